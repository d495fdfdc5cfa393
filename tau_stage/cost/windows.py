"""How much a model's conversation may hold, and what to do where a scene would exceed it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A model's window, in tokens (OpenAI, the models' pages).

    Attributes:
        tokens: All it may hold.
        most_in: What may go in before the beginning is dropped.
    """

    tokens: int
    most_in: int


SMALL = Window(32_768, 28_672)
LARGE = Window(128_000, 128_000)

WINDOWS = {
    "gpt-realtime": SMALL,
    "gpt-realtime-mini": SMALL,
    "gpt-realtime-1.5": SMALL,
    "gpt-4o-realtime-preview": SMALL,
    "gpt-4o-mini-realtime-preview": SMALL,
    "gpt-realtime-2": LARGE,
    "gpt-realtime-2.1": LARGE,
    "gpt-realtime-2.1-mini": LARGE,
}

DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def window_of(model: str) -> Window | None:
    """The window of a model, dated or not; None where nobody knows it.

    >>> window_of("gpt-realtime").tokens, window_of("gpt-4o-realtime-preview-2025-06-03").tokens
    (32768, 32768)
    >>> window_of("my-own-model") is None
    True
    """
    return WINDOWS.get(DATE.sub("", model))


def overflow(player: str, model: str, context: int) -> str | None:
    """The warning for a player whose conversation is likely to hold so many tokens; None where they fit.

    >>> overflow("ann", "gpt-realtime-2.1", 5000) is None
    True
    """
    window = window_of(model)
    if window is None or context <= window.most_in:
        return None
    return (
        f"player {player}: the conversation is likely to grow to {context:,} tokens, and {model} takes "
        f"{window.most_in:,} in before it forgets the beginning (its window is {window.tokens:,}); "
        "give the player hears_as: text, let fewer players hear each line, or split the scene"
    )
