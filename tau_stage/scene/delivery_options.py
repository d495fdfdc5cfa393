"""``deliver:``: what is made of a take, besides what every take leaves."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tau_stage.scene import units
from tau_stage.scene.fields import Boolean, Form, SceneModel, SoundFile, Title, are_texts, option
from tau_stage.scene.names import did_you_mean, is_device
from tau_stage.scene.units import FromText, text_like, wrong
from tau_stage.text import hidden, visible

DEFAULT_NAMES = "{scene}_{player}_{number:03}_{line}"
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
MOST_KBPS = {24_000: 160, 48_000: 320}  # of an MP3, by its sample rate

OF_MP3 = ("bitrate", "title", "artist", "cover")  # options of a mix that only an MP3 has
PLACES = ("scene", "player", "number", "line")

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_PLACE = re.compile(r"\{(\w*)(?::0?([1-9]))?\}", re.ASCII)


def mix_file(value: str) -> str:
    """Return a file's name, with an ending that says what it is."""
    value = value.strip()
    if not _FILE.fullmatch(value):
        hint = "write a name like mix.wav, without a folder"
        raise wrong(f"'{value}' cannot be the mix's name, as it lies in the take's folder", hint)
    if is_device(value):
        raise wrong(f"'{value}' cannot be the mix's name, as Windows keeps it for itself", "write a name like mix.wav")
    if not value.lower().endswith(SUFFIXES):
        raise wrong(f"a mix is WAV, FLAC, OGG or MP3, and '{value}' is none of them", "write it like mix.wav")
    return value


def one_text(value: object) -> object:
    """Return a text, and no list of them."""
    if are_texts(value):
        raise wrong("an MP3 has one text here, not a list", f'write it like "{", ".join(value)}"')
    return value


def tag(value: str) -> str:
    """Return a text that players of music show."""
    if unseen := hidden(value):
        hint = f"write it anew: {visible(value)}" if visible(value) else "write it anew, or leave it out"
        raise wrong(f"this text holds {', '.join(unseen)}, which nobody sees", hint)
    if not value:
        raise wrong("this text is empty", "write it, or leave it out")
    return value


def names(value: str) -> str:
    """Return a template for names of lines' files."""
    value = value.strip()
    named = [name for name, _ in _PLACE.findall(value)]
    for name in named:
        if name not in PLACES:
            hint = did_you_mean(name, PLACES, "it may hold {scene}, {player}, {number:03} and {line}")
            raise wrong(f"names know no {{{name}}}", hint)
    rest = _PLACE.sub("", value)
    if {"{", "}"}.intersection(rest):
        raise wrong(f"'{value}' has a brace that stands for nothing", f"the default is: {DEFAULT_NAMES}")
    if {"/", "\\"}.intersection(rest):
        raise wrong("names are names of files, and hold no folder", "leave out the slash")
    if not {"number", "line"}.intersection(named):
        raise wrong("names must hold {line} or {number}", f"the default is: {DEFAULT_NAMES}")
    return value


def filled(template: str, values: Mapping[str, str | int]) -> str:
    """Fill in the places of a valid template.

    >>> filled("{line}-{number:03}", {"line": "door", "number": 7})
    'door-007'
    """
    return _PLACE.sub(lambda place: str(values[place[1]]).zfill(int(place[2] or 0)), template)


_MIX_FILE = r"\.([wW][aA][vV]|[fF][lL][aA][cC]|[oO][gG][gG]|[mM][pP]3)$"

Lufs = Annotated[float, FromText(units.loudness, text_like(r"^-\d+(\.\d+)? ?LUFS$", "-16 LUFS"))]
TruePeak = Annotated[float, FromText(units.peak, text_like(r"^-?\d+(\.\d+)? ?dBTP$", "-1 dBTP"))]
SampleRate = Annotated[
    Literal[24_000, 48_000], FromText(units.sample_rate, {"type": "string", "enum": ["24 kHz", "48 kHz"]})
]
BitRate = Annotated[
    int, FromText(units.bit_rate, {"type": "string", "enum": [f"{rate} kbps" for rate in units.BIT_RATES]})
]
MixFile = Annotated[str, FromText(mix_file, text_like(_MIX_FILE))]
NameTemplate = Annotated[str, FromText(names, text_like(r"\{(line|number)", DEFAULT_NAMES))]
Alignment = Literal["aligned", "packed"]
Tag = Annotated[Title, BeforeValidator(one_text), AfterValidator(tag)]


_BESIDE = ("rate", "stereo", "stems")


class Mix(SceneModel):
    """All stems in one file, brought to one loudness."""

    FORM = Form(
        "'mix' of deliver",
        "write it like mix: {loudness: -16 LUFS, peak: -1 dBTP, file: mix.wav}, or mix: none",
        without="none",
        strays=dict.fromkeys((*_BESIDE, "lines"), "write it beside 'mix', below deliver"),
    )

    loudness: Lufs = option("Integrated loudness, like -16 LUFS. Default: -16 LUFS.", -16.0, shown="-16 LUFS")
    peak: TruePeak = option("True peak that is not exceeded, like -1 dBTP. Default: -1 dBTP.", -1.0, shown="-1 dBTP")
    file: MixFile = option("Its name: .wav, .flac, .ogg or .mp3. Default: mix.wav.", "mix.wav")
    bitrate: BitRate | None = option(
        "Of an MP3, like 128 kbps; above 160 kbps at 48 kHz only. Default: about half the most."
    )
    title: Tag | None = option("Of an MP3: its title. Default: the scene's.")
    artist: Tag | None = option("Of an MP3: who made it.")
    cover: SoundFile | None = option("Of an MP3: its picture, a JPEG or PNG file beside the scene.")

    @property
    def is_mp3(self) -> bool:
        """Whether it is an MP3 file."""
        return self.file.lower().endswith(".mp3")


class LineFiles(SceneModel):
    """The lines as files for a game engine or an editor, in ``export/``."""

    FORM = Form(
        "'lines' of deliver",
        'write it like lines: {trim: true, names: "{player}_{line}"}, or lines: none',
        without="none",
        strays=dict.fromkeys((*_BESIDE, "mix"), "write it beside 'lines', below deliver"),
    )

    trim: Boolean = option("Whether silence at the head and the tail goes. Default: true.", True)
    names: NameTemplate = option("Names of the files: {scene}, {player}, {number}, {number:03}, {line}.", DEFAULT_NAMES)


class Deliver(SceneModel):
    """What is made of a take."""

    FORM = Form(
        "deliver",
        "write it like deliver: {mix: {loudness: -16 LUFS}}",
        strays=dict.fromkeys(Mix.options(), "write it below 'mix'")
        | dict.fromkeys(LineFiles.options(), "write it below 'lines'"),
    )

    mix: Mix | None = Field(default_factory=Mix, description="All stems in one file; none for none.")
    rate: SampleRate = option(
        "Rate of the mix, packed stems and exported lines: 24 kHz or 48 kHz. Default: 24 kHz.",
        24_000,
        shown="24 kHz",
    )
    stereo: Boolean = option(
        "Two channels for the mix and for the stems of effects and beds: their files keep left and right, "
        "and players stand where 'pan' says. Default: false.",
        False,
    )
    stems: Alignment = option(
        "packed: also each player's lines without the silence between, in stems-packed/.", "aligned"
    )
    lines: LineFiles | None = option("Also a file for each line, in export/, named and trimmed. Default: none.")
    words: Boolean = option(
        "Whether lines/*.words.json and subtitles.karaoke.vtt tell when each word is heard. Default: false.", False
    )
    mouths: Boolean = option(
        "Whether lines/*.mouths.tsv tell the shapes of a mouth, as Rhubarb Lip Sync writes them. Default: false.", False
    )

    @property
    def channels(self) -> int:
        """Of the mix, and of the stems of effects and beds."""
        return 2 if self.stereo else 1
