"""The words of the scene language: what is reserved, what a name is called in files, what a wrong word meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from itertools import islice

from tau_stage.scene.names import slug
from tau_stage.text import folded, hidden, visible

LONGEST_WORD = 200
"""Characters of a word, or a name, that is looked up among known ones; nothing known is nearly so long."""

MOST_KNOWN = 300
"""Known names among which the nearest one is looked for: the first of them."""

NEAR = 0.6
"""How alike a known word must be, from 0 to 1, to be the one that was meant."""

_COMPARED = 4
"""Known words that are compared with care, of those that share most letters in order."""

LINE_OPTIONS = frozenset(
    [
        "id",
        "direction",
        "to",
        "hears",
        "takes",
        "pick",
        "pause",
        "cut_in",
        "expect",
        "timeout",
        "when",
        "note",
        "conversation",
        "max_output_tokens",
        "metadata",
        "tools",
        "tool_choice",
        "output",
        "reasoning",
        "commentary",
    ]
)
"""Words that stand beside a speaker (scene-language.md, rule 3), built already or not."""

STEP_WORDS = frozenset(
    ["prompt", "user", "assistant", "pause", "sfx", "bed", "gain", "until", "heard", "together", "improvise", "listen"],
)
"""Words that start a step which is no player's line, or stand beside one."""

HEARING_WORDS = frozenset(("everyone", "nobody"))

RESERVED = LINE_OPTIONS | STEP_WORDS | HEARING_WORDS
"""Words that cannot be players' names."""


SPEAKER_WORDS = ("speaker", "player", "role", "character", "actor", "name", "who")
TEXT_WORDS = ("text", "line", "words", "content", "says", "say", "dialogue", "message", "speech")
"""What other formats call the one who speaks, and what is said."""

MEANT = {
    "scene": ("title", "name", "heading"),
    "players": ("characters", "cast", "actors", "roles", "speakers", "voices", "agents", "participants"),
    "lines": (
        "dialogue",
        "dialog",
        "conversation",
        "messages",
        "turns",
        "steps",
        "transcript",
        "text",
        "segments",
        "utterances",
        "script_lines",
    ),
    "script": ("screenplay", "fountain"),
    "direction": ("instructions", "instruction", "emotion", "style", "tone", "mood", "delivery"),
    "persona": ("system", "system_prompt", "description", "personality", "prompt"),
    "pause": ("wait", "delay", "silence", "sleep", "gap"),
    "human": ("input", "microphone", "mic", "recording"),
    "length": ("seconds", "duration", "time", "long"),
    "says": ("contains", "said", "includes", "wer"),
    "first_audio": ("latency", "ttfb", "delay"),
    "budget": ("cost", "max_cost", "money", "dollars"),
    "speed": ("rate", "pace", "tempo"),
    "endpoint": ("provider", "url", "server", "base_url"),
    "max_output_tokens": ("max_tokens", "max_response_output_tokens"),
    "sfx": ("sound", "audio", "effect", "sound_effect", "fx", "noise"),
    "bed": ("music", "background", "ambience", "atmosphere", "loop"),
    "gain": ("volume", "level"),
    "note": ("comment", "notes", "remark"),
    "to": ("target", "addressee", "listener"),
    "hears": ("audience", "listeners"),
    "vars": ("variables",),
    "on": ("cues", "events", "triggers"),
    "expect": ("expects", "expectations", "checks", "assert", "tests"),
    "deliver": ("output", "outputs", "export", "delivery"),
    "stereo": ("channels", "mono"),
    "pan": ("panning", "balance", "position"),
    "bitrate": ("kbps", "quality"),
    "artist": ("author", "creator", "performer"),
    "cover": ("image", "picture", "artwork"),
}
"""Keys of scenes, and what others call them."""


ELSEWHERE = {"pan": "it stands with a player, like ann: {pan: -0.5}"}
"""Keys of one place that are sought in others, and where they stand."""


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
    """Find the known word that a wrong one most likely meant, or an empty string.

    >>> nearest("voise", ["voice", "persona"]), nearest("cut_in", ["voice", "persona"])
    ('voice', '')
    """
    if len(word) > LONGEST_WORD:
        return ""
    names, meant = _spellings(tuple(islice(known, MOST_KNOWN))), folded(visible(word))
    close = get_close_matches(meant, _alike(meant, names), n=1, cutoff=NEAR)
    return names[close[0]] if close else ""


@lru_cache(maxsize=64)
def _spellings(known: tuple[str, ...]) -> dict[str, str]:
    return {folded(name): name for name in known}


def _alike(word: str, known: Iterable[str]) -> list[str]:
    """Return the few known words that share most letters, in order, with another."""
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import extract

    similarity = Indel.normalized_similarity  # never below the ratio of ``difflib``
    found = extract(word, list(known), scorer=similarity, score_cutoff=NEAR - 1e-6, limit=_COMPARED)
    return [name for name, *_ in found]


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    r"""Make a hint with the nearest word, or another hint where none is near; say what of a word nobody sees.

    >>> did_you_mean("voise", ["voice"])
    "did you mean 'voice'?"
    >>> did_you_mean("voice\u200b", ["voice"])
    "did you mean 'voice'? what stands here holds U+200B, which nobody sees"
    """
    near = nearest(word, known)
    unseen = hidden(word) if near and folded(visible(word)) == folded(near) else ()
    why = f" what stands here holds {', '.join(unseen)}, which nobody sees" if unseen else ""
    return f"did you mean '{near}'?{why}" if near else otherwise


def key_meant(key: str, options: Iterable[str]) -> str:
    """Find the option that an unknown key most likely meant: by the words others use, else by its letters; or nothing.

    >>> key_meant("title", ["voice", "scene"]), key_meant("voise", ["scene", "voice"]), key_meant("x", ["voice"])
    ('scene', 'voice', '')
    """
    known, word = tuple(options), folded(visible(key)).replace("-", "_").replace(" ", "_")
    called = (option for option, others in MEANT.items() if option in known and word in others)
    return next(called, "") or nearest(key, known)


def ranked(word: str, known: Iterable[str]) -> list[str]:
    """Rank known words, those first that are most like another.

    >>> ranked("wate", ["voice", "note", "gate"])
    ['gate', 'note', 'voice']
    """
    short = word[:LONGEST_WORD]
    return sorted(known, key=lambda other: -SequenceMatcher(None, short, other).ratio())


def listed(names: Iterable[str]) -> str:
    """List names for a hint, cut before they become a list nobody reads.

    >>> listed(f"player{n}" for n in range(20))
    'player0, player1, player2, player3, player4, player5, player6, player7, player8, player9, player10, player11...'
    """
    shown = list(islice(names, 13))
    return ", ".join(shown[:12]) + ("..." if len(shown) > 12 else "")
