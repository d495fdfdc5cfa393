"""``deliver:``: what is made of a take, besides what every take leaves."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, ModelWrapValidatorHandler, model_validator

from tau_stage.scene import units
from tau_stage.scene.fields import Boolean, Form, SceneModel, SoundFile, Title, are_texts, option
from tau_stage.scene.names import did_you_mean, is_device, listed
from tau_stage.scene.units import FromText, text_like, wrong
from tau_stage.text import hidden, visible

DEFAULT_NAMES = "{scene}_{player}_{number:03}_{line}"
MOST_KBPS = {24_000: 160, 44_100: 320, 48_000: 320}  # of an MP3, by its sample rate

FileKind = Literal["wav", "flac", "ogg", "mp3"]
KINDS: tuple[FileKind, ...] = ("wav", "flac", "ogg", "mp3")

_TAGGED: tuple[FileKind, ...] = ("flac", "ogg", "mp3")
OF_KINDS: Mapping[str, tuple[FileKind, ...]] = {
    "bits": ("wav", "flac"),
    "bitrate": ("mp3",),
    **dict.fromkeys(("title", "artist", "cover"), _TAGGED),
}
"""Options that not every kind of file has."""

PLACES = ("scene", "player", "number", "line", "language")

PRESETS: Mapping[str, Mapping[str, Any]] = tomllib.loads(
    Path(__file__).with_name("delivery_presets.toml").read_text("utf-8")
)
"""What stands for the name of a preset: options, and further ones for a delivery in stereo."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_PLACE = re.compile(r"\{(\w*)(?::0?([1-9]))?\}", re.ASCII)


def mix_file(value: str) -> str:
    """Return a file's name, with an ending that says what it is."""
    value = value.strip()
    if not _FILE.fullmatch(value):
        hint = "write a name like mix.wav, without a folder"
        raise wrong(f"'{value}' is not a valid mix file name", hint)
    if is_device(value):
        raise wrong(f"'{value}' cannot be the mix file name, because Windows reserves it", "write a name like mix.wav")
    if PurePath(value).suffix[1:].lower() not in KINDS:
        raise wrong(f"a mix must be a .wav, .flac, .ogg or .mp3 file, not '{value}'", "for example: mix.wav")
    return value


def one_text(value: object) -> object:
    """Return a text, and no list of them."""
    if are_texts(value):
        raise wrong("expected a string, not a list", f'write "{", ".join(value)}"')
    return value


def tag(value: str) -> str:
    """Return a text that players of music show."""
    if unseen := hidden(value):
        hint = f"type it again: {visible(value)}" if visible(value) else "type it again, or remove the key"
        raise wrong(f"this text contains invisible characters: {', '.join(unseen)}", hint)
    if not value:
        raise wrong("this text is empty", "write some text, or remove the key")
    return value


def names(value: str) -> str:
    """Return a template for names of lines' files, with folders before them."""
    value = value.strip()
    named = [name for name, _ in _PLACE.findall(value)]
    for name in named:
        if name not in PLACES:
            hint = did_you_mean(name, PLACES, "it may contain {scene}, {player}, {number:03}, {line} and {language}")
            raise wrong(f"'names' does not support {{{name}}}", hint)
    rest = _PLACE.sub("x", value)
    if {"{", "}"}.intersection(rest):
        raise wrong(f"'{value}' has a brace that is not part of a placeholder", f"the default is: {DEFAULT_NAMES}")
    if "\\" in rest:
        raise wrong("write folders in 'names' with a slash, not a backslash", f"write {value.replace(chr(92), '/')}")
    if any(not part.strip(" .") for part in rest.split("/")):
        raise wrong(f"'{value}' points outside the lines folder", "for example: {player}/{line}")
    if not {"number", "line"}.intersection(named):
        raise wrong("'names' must contain {line} or {number}", f"the default is: {DEFAULT_NAMES}")
    return value


def filled(template: str, values: Mapping[str, str | int]) -> str:
    """Fill in the places of a valid template; an empty one goes with the sign that parts it from what is beside it.

    >>> filled("{line}-{number:03}", {"line": "door", "number": 7})
    'door-007'
    >>> filled("{language}/{language}_{line}", {"line": "door", "language": ""})
    'door'
    """
    for name in (name for name, value in values.items() if value == ""):
        template = re.sub(rf"\{{{name}\}}[-_. /]|[-_. ]?\{{{name}\}}", "", template)
    return _PLACE.sub(lambda place: str(values[place[1]]).zfill(int(place[2] or 0)), template)


def preset(value: str) -> str:
    """Return the name of a preset."""
    if value not in PRESETS:
        raise wrong(f"unknown preset '{value}'", did_you_mean(value, PRESETS, f"known presets: {listed(PRESETS)}"))
    return value


_MIX_FILE = r"\.([wW][aA][vV]|[fF][lL][aA][cC]|[oO][gG][gG]|[mM][pP]3)$"


def _decibels(unit: str, sign: str = "-", example: str = "") -> Any:
    return text_like(rf"^{sign}\d+(\.\d+)? ?{unit}$", example)


Lufs = Annotated[float, FromText(units.loudness, _decibels("LUFS", example="-16 LUFS"))]
Rms = Annotated[float, FromText(units.rms, _decibels("dB", example="-20 dB"))]
TruePeak = Annotated[float, FromText(units.peak, _decibels("dBTP", "-?", "-1 dBTP"))]
NoiseFloor = Annotated[float, FromText(units.noise_floor, _decibels("dB", example="-60 dB"))]
Tolerance = Annotated[float, FromText(units.tolerance, _decibels("dB", "", "1 dB"))]
Silence = Annotated[float, FromText(units.duration, text_like(units.DURATION, "500ms", "1s"))]
SampleRate = Annotated[
    Literal[24_000, 48_000], FromText(units.sample_rate, {"type": "string", "enum": [*units.SAMPLE_RATES.values()]})
]
FileRate = Annotated[
    Literal[24_000, 44_100, 48_000],
    FromText(units.file_rate, {"type": "string", "enum": [*units.FILE_RATES.values()]}),
]
Bits = Annotated[Literal["16", "24", "32f"], FromText(units.bits, {"enum": ["16", "24", "32f", 16, 24]})]
BitRate = Annotated[
    int, FromText(units.bit_rate, {"type": "string", "enum": [f"{rate} kbps" for rate in units.BIT_RATES]})
]
Preset = Annotated[str, FromText(preset, {"type": "string", "enum": [*PRESETS]})]
MixFile = Annotated[str, FromText(mix_file, text_like(_MIX_FILE))]
NameTemplate = Annotated[str, FromText(names, text_like(r"\{(line|number)", DEFAULT_NAMES))]
Alignment = Literal["aligned", "packed"]
Tag = Annotated[Title, BeforeValidator(one_text), AfterValidator(tag)]


_BESIDE = ("stereo", "stems", "preset")
DEFAULT_LUFS = -16.0
DEFAULT_PEAK = -1.0


class Level(NamedTuple):
    """How loud a file is to be: its loudness, or its root mean square."""

    decibels: float
    unit: Literal["LUFS", "dB RMS"]

    def __str__(self) -> str:
        """Write it as it is asked for."""
        return f"{self.decibels:g} {self.unit}"


class FileOptions(SceneModel):
    """Options of an audio file that is created from a take."""

    loudness: Lufs | None = option("Integrated loudness, for example -23 LUFS.")
    rms: Rms | None = option("RMS level of the whole file, used instead of 'loudness', for example -20 dB.")
    peak: TruePeak | None = option("The maximum true peak, for example -1 dBTP. Default: -1 dBTP.", shown="-1 dBTP")
    tolerance: Tolerance | None = option(
        "How far the level may deviate before the delivery fails, for example 1 dB. Default: deviations are reported."
    )
    noise_floor: NoiseFloor | None = option(
        "The maximum level of the quietest half second, for example -60 dB. The delivery fails if the level is higher."
    )
    rate: FileRate | None = option("Sample rate: 24 kHz, 44.1 kHz or 48 kHz. Default: the 'rate' under 'deliver'.")
    bits: Bits | None = option("Bit depth of WAV and FLAC files: 16 or 24. WAV also supports 32f (float).")
    bitrate: BitRate | None = option(
        "MP3 bit rate, for example 128 kbps. At 24 kHz, the maximum is 160 kbps. Default: about half the maximum."
    )
    head: Silence = option("Silence at the start, for example 500ms. Default: none.", 0.0, shown="0s")
    tail: Silence = option("Silence at the end, for example 1s. Default: none.", 0.0, shown="0s")

    @model_validator(mode="after")
    def has_one_level(self) -> Self:
        """Refuse a loudness beside a root mean square."""
        if self.loudness is not None and self.rms is not None:
            raise wrong("a file can have 'loudness' or 'rms', not both", "remove one", inside=("rms",), key=True)
        return self

    @property
    def level(self) -> Level | None:
        """How loud it is to be; None: as it was performed."""
        if self.rms is not None:
            return Level(self.rms, "dB RMS")
        return None if self.loudness is None else Level(self.loudness, "LUFS")

    @property
    def ceiling(self) -> float | None:
        """The true peak that is not exceeded; None: whatever there is."""
        return DEFAULT_PEAK if self.peak is None and self.level else self.peak


class Mix(FileOptions):
    """All stems in one file, normalized to a target loudness."""

    FORM = Form(
        "'mix' of 'deliver'",
        "for example: mix: {loudness: -16 LUFS, peak: -1 dBTP, file: mix.wav}, or mix: none",
        without="none",
        strays=dict.fromkeys((*_BESIDE, "lines"), "move it next to 'mix', under 'deliver'"),
    )

    loudness: Lufs | None = option("Integrated loudness, for example -16 LUFS. Default: -16 LUFS.", shown="-16 LUFS")
    file: MixFile = option("File name, ending in .wav, .flac, .ogg or .mp3. Default: mix.wav.", "mix.wav")
    title: Tag | None = option("Title tag of FLAC, OGG and MP3 files. Default: the scene's title.")
    artist: Tag | None = option("Artist tag of FLAC, OGG and MP3 files.")
    cover: SoundFile | None = option(
        "Cover picture of FLAC, OGG and MP3 files: a JPEG or PNG file, relative to the scene."
    )

    @property
    def kind(self) -> FileKind:
        """What kind of file it is."""
        return next(kind for kind in KINDS if self.file.lower().endswith(kind))

    @property
    def level(self) -> Level:
        """How loud it is to be."""
        return super().level or Level(DEFAULT_LUFS, "LUFS")


class LineFiles(FileOptions):
    """The lines as separate files for a game engine or an editor, in ``export/``."""

    FORM = Form(
        "'lines' of 'deliver'",
        'for example: lines: {trim: true, names: "{player}_{line}"}, or lines: none',
        without="none",
        strays=dict.fromkeys((*_BESIDE, "mix"), "move it next to 'lines', under 'deliver'"),
    )

    trim: Boolean = option("Whether to remove silence at the start and the end. Default: true.", True)
    names: NameTemplate = option(
        "File name pattern, which may include folders: {language}, {scene}, {player}, {number}, {number:03}, {line}.",
        DEFAULT_NAMES,
    )
    format: FileKind = option("File format: wav, flac, ogg or mp3. Default: wav.", "wav")

    @property
    def kind(self) -> FileKind:
        """What kind of files they are."""
        return self.format


class Deliver(SceneModel):
    """Files to create from a take."""

    FORM = Form(
        "'deliver'",
        "for example: deliver: {mix: {loudness: -16 LUFS}}",
        strays=dict.fromkeys(LineFiles.options(), "move it under 'lines'")
        | dict.fromkeys(Mix.options(), "move it under 'mix'")
        | {
            "format": "the mix file name sets the format, for example deliver: {mix: {file: mix.mp3}}; "
            "under 'lines', write 'format'"
        },
    )

    preset: Preset | None = option(
        "A preset for a common use: podcast, audiobook or game. Other options override its options."
    )
    mix: Mix | None = Field(
        default_factory=Mix,
        description="All stems in one file, or none to skip the mix. Default: the defaults of its keys.",
    )
    rate: SampleRate = option(
        "Sample rate of the mix, packed stems and exported lines: 24 kHz or 48 kHz. Default: 24 kHz.",
        24_000,
        shown="24 kHz",
    )
    stereo: Boolean = option(
        "Whether the mix and the stems of effects and beds are in stereo. Effects and beds keep their channels. "
        "'pan' sets each player's position. Default: false.",
        False,
    )
    stems: Alignment = option(
        "With 'packed', each player's lines are also written to stems-packed/, without the silence between them.",
        "aligned",
    )
    lines: LineFiles | None = option("A separate file for each line, in export/. Default: none.")
    words: Boolean = option(
        "Whether to write the time of each word to lines/*.words.json and subtitles.karaoke.vtt. Default: false.", False
    )
    mouths: Boolean = option(
        "Whether to write lines/*.mouths.tsv: mouth shapes in Rhubarb Lip Sync format. Default: false.", False
    )

    @model_validator(mode="wrap")
    @classmethod
    def lay_over_preset(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Take from a preset what is not said."""
        told = handler(values)
        return handler(_completed(told)) if told.preset else told

    @property
    def channels(self) -> int:
        """Of the mix, and of the stems of effects and beds."""
        return 2 if self.stereo else 1


def _completed(told: Deliver) -> dict[str, Any]:
    """Return the options of a delivery with those of its preset that are not said."""
    options = PRESETS[told.preset or ""]
    own = {name: None if part == "none" else part for name, part in options.items() if name != "in_stereo"}
    if told.stereo:
        own |= {name: {**options[name], **part} for name, part in options.get("in_stereo", {}).items()}
    if "rate" in told.model_fields_set:
        own = {name: {**part, "rate": None} if isinstance(part, dict) else part for name, part in own.items()}
    return _laid_over(own, told)


_INSTEAD = {"loudness": "rms", "rms": "loudness"}


def _laid_over(under: Mapping[str, Any], over: SceneModel) -> dict[str, Any]:
    """Return options with those of a model laid over that were said; what they leave no place for is left out."""
    said = {name: getattr(over, name) for name in over.model_fields_set}
    parts = {
        name: _laid_over(under[name], value)
        for name, value in said.items()
        if isinstance(value, SceneModel) and isinstance(under.get(name), dict)
    }
    whole = {**under, **said, **parts}
    kind = str(whole.get("format", PurePath(str(whole.get("file", ""))).suffix[1:])).lower()
    out = {_INSTEAD.get(name) for name in said} | {name for name, kinds in OF_KINDS.items() if kind not in kinds}
    return {name: value for name, value in whole.items() if name in said or name not in out}
