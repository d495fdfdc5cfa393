"""The words of the scene language: what is reserved, what a name is called in files, what a wrong word meant."""

from collections.abc import Iterable
from difflib import get_close_matches

from tau_stage.scene.names import slug
from tau_stage.text import folded, hidden, visible

LONGEST_WORD = 200
"""Characters of a word, or a name, that is looked up among known ones; nothing known is nearly so long."""

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


def automatic_id(player: str, ordinal: int) -> str:
    """The id of a line whose author gave it none.

    >>> automatic_id("The Clerk", 2)
    'the-clerk-2'
    """
    return f"{slug(player)}-{ordinal}"


def cue_id(number: int) -> str:
    """The id of a cue, from 1, in the order of the scene."""
    return f"cue-{number}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that a wrong one most likely meant, or an empty string.

    >>> nearest("voise", ["voice", "persona"]), nearest("cut_in", ["voice", "persona"])
    ('voice', '')
    """
    if len(word) > LONGEST_WORD:
        return ""
    names = {folded(name): name for name in known}
    close = get_close_matches(folded(visible(word)), names, n=1, cutoff=0.6)
    return names[close[0]] if close else ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    r"""A hint with the nearest word, or another hint where none is near; it names what of a word nobody sees.

    >>> did_you_mean("voise", ["voice"])
    "did you mean 'voice'?"
    >>> did_you_mean("voice\u200b", ["voice"])
    "did you mean 'voice'? what stands here holds U+200B, which nobody sees"
    """
    near = nearest(word, known)
    unseen = hidden(word) if near and folded(visible(word)) == folded(near) else ()
    why = f" what stands here holds {', '.join(unseen)}, which nobody sees" if unseen else ""
    return f"did you mean '{near}'?{why}" if near else otherwise


def listed(names: Iterable[str]) -> str:
    """Names for a hint, cut before they become a list nobody reads.

    >>> listed(f"player{n}" for n in range(20))
    'player0, player1, player2, player3, player4, player5, player6, player7, player8, player9, player10, player11...'
    """
    shown = list(names)
    return ", ".join(shown[:12]) + ("..." if len(shown) > 12 else "")
