"""Free play: whose turn it is, and when it is over. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from tau_stage.scene.plan import ImprovisePlan, LinePlan
from tau_stage.text import is_found

NO_NAMES = frozenset(("and", "for", "from", "the", "with", "das", "der", "die", "und", "von", "les"))
"""Words that stand in many names and call nobody; those of one or two letters never do."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said.

    Attributes:
        player: Who.
        words: What; empty: the player passed.
        seconds: How long it sounded.
        dollars: What it cost.
    """

    player: str
    words: str
    seconds: float = 0.0
    dollars: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Play:
    """How far free play has come.

    Attributes:
        asked: Turns that were offered.
        turns: Turns that were taken.
        words: Words spoken.
        seconds: Spoken.
        dollars: Spent.
        passes: Offers in a row that were passed.
        last: The last turn that was offered.
    """

    asked: int = 0
    turns: int = 0
    words: int = 0
    seconds: float = 0.0
    dollars: Decimal = Decimal(0)
    passes: int = 0
    last: Turn | None = None

    def after(self, turn: Turn) -> Play:
        """Return the play after one more turn."""
        spoke = bool(turn.words.strip())
        return replace(
            self,
            asked=self.asked + 1,
            turns=self.turns + spoke,
            words=self.words + len(turn.words.split()),
            seconds=self.seconds + turn.seconds,
            dollars=self.dollars + turn.dollars,
            passes=0 if spoke else self.passes + 1,
            last=turn,
        )


def next_turn(step: ImprovisePlan, play: Play, said_before: Turn | None = None) -> LinePlan | None:
    """Return the next turn of free play as a line; None when it is over.

    Args:
        step: The play.
        play: How far it has come.
        said_before: What was said last before it began.
    """
    if _is_over(step, play):
        return None
    player = _player(step, play, said_before)
    return LinePlan(
        number=0,
        id=f"{step.id}-{play.asked + 1}",
        player=player,
        words="",
        direction="",
        prompt="",
        improvised=True,
        hearers=step.hearers[player],
        pause_s=step.pause_s,
        source_line=step.source_line,
    )


def _is_over(step: ImprovisePlan, play: Play) -> bool:
    reached = (
        step.turns is not None and play.turns >= step.turns,
        step.for_s is not None and play.seconds >= step.for_s,
        step.words is not None and play.words >= step.words,
        step.budget is not None and play.dollars >= step.budget,
        play.passes >= len(step.players),
    )
    said = play.last.words if play.last else ""
    return any(reached) or bool(step.until and is_found(step.until, said, line=step.source_line))


def _player(step: ImprovisePlan, play: Play, said_before: Turn | None) -> str:
    """Tell whose turn it is; nobody answers itself."""
    last = play.last or said_before
    silent = last.player if last else None
    if step.order == "called" and last and (name := called(step.players, last)):
        return name
    order = step.players if isinstance(step.order, str) else step.order
    if isinstance(step.order, str) and play.last:
        at = order.index(play.last.player) + 1
        return order[at % len(order)]
    at = play.asked % len(order)
    after = step.players.index(silent) + 1 if silent in step.players else 0
    around = (*order[at:], *order[:at], *step.players[after:], *step.players)
    return next(name for name in around if name != silent)


def called(players: tuple[str, ...], turn: Turn) -> str | None:
    """Tell who is addressed by what was said: the player named last in it, other than the one who speaks.

    A part of a name will do, but no "the" or "of"; where two players are meant by the same word, it is the one whose
    whole name it is.

    >>> called(("keeper", "Old Tom", "maid"), Turn("maid", "Keeper, another one! What do you say, Tom?"))
    'Old Tom'
    """
    found: list[tuple[int, bool, int, str]] = []
    for name in players:
        if name == turn.player:
            continue
        for part in {name, *_calling(name)}:
            places = re.finditer(rf"(?<!\w){re.escape(part)}(?!\w)", turn.words, re.IGNORECASE)
            found += [(place.end(), part == name, len(part), name) for place in places]
    return max(found, key=lambda each: each[:3])[-1] if found else None


def _calling(name: str) -> list[str]:
    """Return the parts of a name by which its player may be called."""
    return [word for word in re.findall(r"\w+", name) if len(word) > 2 and word.casefold() not in NO_NAMES]
