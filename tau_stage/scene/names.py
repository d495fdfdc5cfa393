"""Names that an author writes: which words and voices are known, what a wrong one meant, what names are on disk."""

import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePath
from typing import NamedTuple

from tau_stage.errors import LFS_HINT, LFS_PROBLEM, UsageError, is_lfs_pointer
from tau_stage.text import composed, folded, hidden, language_name, visible

LONGEST = 60
LONGEST_STEM = 120

SOUND_STEMS = ("sfx-", "bed-")  # how the stems of sounds begin; a player's must not

_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})


def slug(name: str) -> str:
    """Make a name a file's name: lower-case ASCII letters, digits and single hyphens, at most 60 of them.

    A name without any such letter gets one made from its hash, so that different names stay different.

    >>> slug("The last umbrella"), slug("Zoë"), slug("../etc/passwd"), slug("CON")
    ('the-last-umbrella', 'zoe', 'etc-passwd', 'con-')
    >>> slug("幽霊").startswith("x-")
    True
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    joined = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].strip("-")
    if not joined:
        return f"x-{hashlib.sha256(composed(name).encode(errors='replace')).hexdigest()[:8]}"
    return f"{joined}-" if joined == "latest" or is_device(joined) else joined


_FORBIDDEN = frozenset('<>:"|?*\\')  # signs that no file's name may have on Windows


def identity(path: str, variant: str = "") -> str:
    """Return the one name of all that belongs to a scene: its file's stem, and the variant after a dot.

    A stem that is no name for a folder everywhere, or leaves no room for one, gets a name made from it.

    >>> identity("scenes/last_umbrella.yaml"), identity("scenes/moods.yaml", "calm"), identity("con.yaml")
    ('last_umbrella', 'moods.calm', 'con-')
    >>> identity("scenes/act 1: dawn?.yaml")  # Windows forbids such signs
    'act-1-dawn'
    """
    stem = composed(PurePath(path).stem)
    is_short = len(stem.encode(errors="replace")) <= LONGEST_STEM
    is_bare = stem.lstrip(".").rstrip(" .") == stem and not _FORBIDDEN.intersection(stem)
    if stem == "latest" or not all((stem.isprintable(), is_short, is_bare, not is_device(stem))):
        stem = slug(stem)
    return f"{stem}.{variant}" if variant else stem


def is_device(name: str) -> bool:
    """Tell whether Windows keeps a file's name for itself, whatever follows a dot.

    >>> is_device("NUL.wav"), is_device("null.wav")
    (True, False)
    """
    return name.partition(".")[0].rstrip().lower() in _DEVICES


def shortened(name: str) -> str:
    """Shorten a name that is made of slugs to 60 characters; what is cut off is told by a hash."""
    if len(name) <= LONGEST:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-'):-<{LONGEST - 9}}-{mark}"


LONGEST_WORD = 200
"""Characters of a word, or a name, that is looked up among known ones; nothing known is nearly so long."""

MOST_KNOWN = 300  # known names among which the nearest one is looked for: the first of them
NEAR = 0.6  # how alike a known word must be, from 0 to 1, to be the one that was meant

_COMPARED = 4  # known words that are compared with care, of those that share most letters in order

HINTS = tomllib.loads(Path(__file__).with_name("hints.toml").read_text("utf-8"))  # what errors make their hints of

SPEAKER_WORDS, TEXT_WORDS = (tuple(HINTS[key].split()) for key in ("speaker", "text"))
"""What other formats call the one who speaks, and what is said."""

MEANT: Mapping[str, tuple[str, ...]] = {key: tuple(others.split()) for key, others in HINTS["meant"].items()}
"""Keys of scenes, and what others call them."""

ELSEWHERE: Mapping[str, str] = HINTS["elsewhere"]  # keys of one place that are sought in others, and where they stand


def automatic_id(player: str, ordinal: int) -> str:
    """Return the id of a line whose author gave it none.

    >>> automatic_id("The Clerk", 2)
    'the-clerk-2'
    """
    return f"{slug(player)}-{ordinal}"


def cue_id(number: int) -> str:
    """Return the id of a cue, from 1, in the order of the scene."""
    return f"cue-{number}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Find the known word that a wrong one most likely meant, or an empty string."""
    if len(word) > LONGEST_WORD:
        return ""
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import extract

    names, meant = _spellings(tuple(islice(known, MOST_KNOWN))), folded(visible(word))
    similarity = Indel.normalized_similarity  # never below the ratio of ``difflib``
    alike = extract(meant, list(names), scorer=similarity, score_cutoff=NEAR - 1e-6, limit=_COMPARED)
    close = get_close_matches(meant, [name for name, *_ in alike], n=1, cutoff=NEAR)
    return names[close[0]] if close else ""


@lru_cache(maxsize=64)
def _spellings(known: tuple[str, ...]) -> dict[str, str]:
    return {folded(name): name for name in known}


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    r"""Make a hint with the nearest word, or another hint where none is near; say what of a word nobody sees.

    >>> did_you_mean("voise", ["voice"])
    "did you mean 'voice'?"
    >>> did_you_mean("voice\u200b", ["voice"])
    "did you mean 'voice'? the text contains invisible characters: U+200B"
    """
    near = nearest(word, known)
    if near and hidden(word) and folded(visible(word)) == folded(near):
        return f"did you mean '{near}'? the text contains invisible characters: {', '.join(hidden(word))}"
    return f"did you mean '{near}'?" if near else otherwise


def key_meant(key: str, options: Iterable[str]) -> str:
    """Find the option that an unknown key most likely meant: by the words others use, else by its letters; or nothing.

    A key that stands elsewhere means no other one.
    """
    known, word = tuple(options), folded(visible(key)).replace("-", "_").replace(" ", "_")
    called = (option for option, others in MEANT.items() if option in known and word in others)
    return next(called, "") or ("" if word in ELSEWHERE and word not in known else nearest(key, known))


def ranked(word: str, known: Iterable[str]) -> list[str]:
    """Rank known words, those first that are most like another."""
    short = word[:LONGEST_WORD]
    return sorted(known, key=lambda other: -SequenceMatcher(None, short, other).ratio())


def listed(names: Iterable[str]) -> str:
    """List names for a hint, cut before they become a list nobody reads.

    >>> listed(f"player{n}" for n in range(20))
    'player0, player1, player2, player3, player4, player5, player6, player7, player8, player9, player10, player11...'
    """
    shown = list(islice(names, 13))
    return ", ".join(shown[:12]) + ("..." if len(shown) > 12 else "")


OPENAI_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
"""Voices of the GA Realtime API. Source: openai-python 3.52.0; marin and cedar are the recommended ones."""

XAI_VOICES = (
    *("altair", "ara", "atlas", "aurora", "carina", "castor", "celeste", "cosmo", "eve", "helios", "helix", "iris"),
    *("kepler", "leo", "liora", "lumen", "luna", "lux", "naksh", "orion", "perseus", "rex", "rigel", "sal"),
    *("sirius", "ursa", "zagan", "zenith"),
)
"""Voices of Grok. Source: fal.ai, xai/grok-voice/realtime, read 2026-11-27. There may be others."""

CUSTOM_PREFIX = "voice_"  # the id of a custom voice starts so
DEFAULT_VOICE = "marin"  # of OpenAI's voices, one of the two that OpenAI recommends
MISSPELT = 0.8  # how alike a voice and a known one must be to be taken for it misspelt, where other voices are possible
DEFAULT_TRANSCRIPTION = "gpt-transcribe"
"""The model that writes down a person's words, where the endpoint is OpenAI's or unknown.

It takes whole turns, which is all that is needed here, at $0.0045 a minute (genai-prices 0.2.3); gpt-live-transcribe
writes while somebody speaks, at $0.017. Those before it (whisper-1, gpt-4o-transcribe and its mini) end 2027-02-26.
"""


class KnownEndpoint(NamedTuple):
    """What is known of an endpoint."""

    voices: tuple[str, ...] | None = OPENAI_VOICES  # None where the list is not known, so that any name passes
    voice: str = DEFAULT_VOICE  # to be asked for; empty leaves it to a server that has none of OpenAI's
    transcriber: str | None = DEFAULT_TRANSCRIPTION  # None leaves it to a server whose models are not known


_ITS_OWN = KnownEndpoint(None, "", None)
# Sources of transcribers: learn.microsoft.com, AudioInputTranscriptionOptions; docs.x.ai, voice.
KNOWN_ENDPOINTS = {
    "openai": KnownEndpoint(),
    "azure": KnownEndpoint(),
    "azure-preview": KnownEndpoint(),
    "azure-voice-live": KnownEndpoint(None, transcriber="azure-speech"),
    "xai": KnownEndpoint(XAI_VOICES, "ara", "grok-transcribe"),
    **dict.fromkeys(("qwen", "stepfun", "inworld", "vllm", "speaches", "localai"), _ITS_OWN),
    "litellm": KnownEndpoint(None),
    "understudy": KnownEndpoint(),
}
VOICES = {name: known.voices for name, known in KNOWN_ENDPOINTS.items()}  # voices by endpoint

KINDS = (*VOICES, "ga", "beta")  # what the server of an address may be said to be like

_URL = re.compile(r"(?:(?P<kind>[^:/+]*)\+)?wss?://", re.IGNORECASE)


def is_url(endpoint: str) -> bool:
    """Tell whether an endpoint is an address of the user's own instead of a name."""
    return _URL.match(endpoint) is not None


def kind_of(endpoint: str) -> str:
    """Return what the server of an address is like, where the address says so; a name stands for itself."""
    url = _URL.match(endpoint)
    return url.groupdict("")["kind"] if url else endpoint


def voices_of(endpoint: str | None) -> tuple[str, ...] | None:
    """Return the voices of an endpoint; None where they are not known. No endpoint is OpenAI or the understudy.

    >>> "marin" in voices_of(None), voices_of("ws://127.0.0.1:8000")
    (True, None)
    """
    return VOICES.get(endpoint or "openai")


def default_voice(endpoint: str | None) -> str:
    """Return the voice that is asked for where none is named; empty where the server is left to choose.

    >>> default_voice(None), default_voice("xai"), default_voice("speaches")
    ('marin', 'ara', '')
    """
    return _like(endpoint).voice


def voice_at(voice: str, planned: str | None, endpoint: str) -> str:
    """Return the voice to ask for at an endpoint: the default of the one the scene was planned for means its own.

    >>> voice_at("marin", None, "xai"), voice_at("marin", None, "azure"), voice_at("ash", None, "xai")
    ('ara', 'marin', 'ash')
    """
    is_foreign = voice == default_voice(planned) and voice not in (voices_of(endpoint) or ())
    return default_voice(endpoint) if is_foreign else voice


def default_transcription(endpoint: str | None) -> str | None:
    """Return the model that writes down words at an endpoint; None where the server is left to choose.

    >>> default_transcription(None), default_transcription("xai"), default_transcription("speaches")
    ('gpt-transcribe', 'grok-transcribe', None)
    """
    return _like(endpoint).transcriber


def _like(endpoint: str | None) -> KnownEndpoint:
    """Return what is known of an endpoint, or of the kind that its address names; else of OpenAI."""
    return KNOWN_ENDPOINTS.get(kind_of(endpoint or "openai"), KNOWN_ENDPOINTS["openai"])


def is_known(voice: str, endpoint: str | None) -> bool:
    """Tell whether a voice is known at an endpoint, is a custom one, or nobody knows which there are."""
    known = voices_of(endpoint)
    return known is None or voice.startswith(CUSTOM_PREFIX) or _is_in(voice, known)


def _is_in(voice: str, known: tuple[str, ...]) -> bool:
    return (voice if known == OPENAI_VOICES else voice.casefold()) in known


def misspelt(voice: str, endpoint: str | None) -> str:
    """Return the known voice that an unknown one is nearly called; empty where there is none.

    >>> misspelt("marinn", "openai"), misspelt("robot", "openai"), misspelt("marin", "openai")
    ('marin', '', '')
    """
    if is_known(voice, endpoint):
        return ""
    near = get_close_matches(voice.casefold(), voices_of(endpoint) or (), n=1, cutoff=MISSPELT)
    return near[0] if near else ""


def is_wrong_voice(voice: str, endpoint: str | None) -> bool:
    """Tell whether there is no such voice at an endpoint: elsewhere than at OpenAI's only if it is misspelt."""
    return bool(misspelt(voice, endpoint)) or (voices_of(endpoint) == OPENAI_VOICES and not is_known(voice, endpoint))


def endpoints_with(voice: str) -> list[str]:
    """Return the endpoints that are known to have a voice.

    >>> endpoints_with("rex"), endpoints_with("robot")
    (['xai'], [])
    """
    return [name for name, voices in VOICES.items() if voices and _is_in(voice, voices)]


def voice_problem(voice: str, endpoint: str) -> tuple[str, str]:
    """Return what is wrong with a voice at an endpoint, and what to do about it; empty where nothing is.

    >>> voice_problem("rex", "openai")
    ("openai has no voice 'rex'", "write 'endpoint: xai' in the scene, or use --endpoint xai")
    """
    if not is_wrong_voice(voice, endpoint):
        return "", ""
    places, known = endpoints_with(voice), voices_of(endpoint) or ()
    hint = endpoint_hint(places[0]) if places else did_you_mean(voice, known, f"voices: {', '.join(known)}")
    return f"{endpoint} has no voice '{voice}'", hint


def endpoint_hint(name: str) -> str:
    """Return how to choose an endpoint."""
    return f"write 'endpoint: {name}' in the scene, or use --endpoint {name}"


def voice_warning(voice: str, endpoint: str | None) -> str:
    """Return what is worth saying of a voice that is not known at an endpoint; empty where nothing is.

    >>> voice_warning("rex", None)
    "'rex' is a voice of xai: write 'endpoint: xai' in the scene, or use --endpoint xai"

    >>> voice_warning("robot", "openai")
    "'robot' is not a known voice of openai; known voices: alloy, ash, ballad, cedar, coral, echo, marin, sage, \
shimmer, verse"
    """
    if is_known(voice, endpoint):
        return ""
    if endpoint is None and (places := endpoints_with(voice)):
        return f"'{voice}' is a voice of {places[0]}: {endpoint_hint(places[0])}"
    known = ", ".join(voices_of(endpoint) or ())
    return f"'{voice}' is not a known voice of {endpoint or 'openai'}; known voices: {known}"


SOUNDS = (".wav", ".flac", ".ogg", ".mp3")  # endings of recordings in a folder

PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}  # how pictures begin, and what they are
LARGEST_PICTURE = 10 * 1024**2  # bytes of a cover: programs that play sound leave out larger ones, or stop
BESIDE = "the path is relative to the scene"  # a hint about a file that is not there


def resolve_path(scene: str, name: str) -> Path:
    """Tell where a file lies that a scene names.

    Args:
        scene: The scene file, as the user named it.
        name: As the scene has it: relative to the scene, or absolute.

    >>> resolve_path("scenes/tavern.yaml", "sounds/door.wav").as_posix()
    'scenes/sounds/door.wav'
    """
    return Path(scene).parent / name


def sounds_in(folder: Path) -> list[Path]:
    """Return the recordings in a folder, by name.

    Raises:
        OSError: It cannot be read.
    """
    return sorted(file for file in folder.iterdir() if file.suffix in SOUNDS)


def picture_type(data: bytes, name: str, size: int = 0) -> str:
    r"""Return the media type of a picture.

    Args:
        data: Its first bytes.
        name: What an error calls it.
        size: How many bytes it has.

    Raises:
        UsageError: It is neither a JPEG nor a PNG, or larger than programs that play sound take.

    >>> picture_type(b"\x89PNG\r\n\x1a\n", "cover.png")
    'image/png'
    """
    if is_lfs_pointer(data):
        raise UsageError(f"{name}: {LFS_PROBLEM}", LFS_HINT)
    found = PICTURES.get(next(filter(data.startswith, PICTURES), b""))
    if found is None:
        raise UsageError(f"{name}: not a JPEG or PNG picture", "save the cover as a JPEG or PNG file")
    if size > LARGEST_PICTURE:
        told = f"a cover may have at most {LARGEST_PICTURE // 1024**2} MiB, but this one has {size / 1024**2:.1f} MiB"
        raise UsageError(f"{name}: {told}", "save a smaller picture: a JPEG of 3000 by 3000 pixels is enough")
    return found


def speak_language(code: str) -> str:
    """Return what a player is told of the language that it speaks.

    >>> speak_language("de"), speak_language("pt-BR"), speak_language("xx")
    ('Speak German.', 'Speak Portuguese (pt-BR).', 'Speak the language xx.')
    """
    name = language_name(code)
    if name == code:
        return f"Speak the language {code}."
    return f"Speak {name} ({code})." if "-" in code else f"Speak {name}."
