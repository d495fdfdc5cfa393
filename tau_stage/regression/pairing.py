"""Which line of a take is which line of a snapshot. Pure.

A line that its author named is that line for ever. One without a name is known by player and ordinal, which changes
with every line before it: these are paired by their words first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from tau_stage.regression.snapshot import Frozen
from tau_stage.scene.words import automatic_id

Pairs = dict[str, str]
"""Ids of the take by ids of the snapshot."""


def paired(old: Mapping[str, Frozen], new: Mapping[str, Frozen]) -> Pairs:
    """Return the lines that both have.

    Args:
        old: The snapshot's.
        new: The take's.
    """
    both = {name: name for name in old if name in new and not (_is_made(name, old) and _is_made(name, new))}
    for player in dict.fromkeys(line.player for line in old.values()):
        mine = [
            name for name, line in old.items() if line.player == player and name not in both and _is_made(name, old)
        ]
        theirs = [name for name, line in new.items() if line.player == player and _is_made(name, new)]
        both |= _by_words(mine, [name for name in theirs if name not in both.values()], old, new)
    return {name: both[name] for name in old if name in both}


def moved(pairs: Pairs, new: Mapping[str, Frozen]) -> list[str]:
    """Return ids of the take's lines that stand in another place than the snapshot has them: as few as tell it."""
    before, after = list(pairs.values()), [name for name in new if name in pairs.values()]
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    kept = {name for block in blocks for name in before[block.a : block.a + block.size]}
    return [name for name in after if name not in kept]


def _is_made(name: str, lines: Mapping[str, Frozen]) -> bool:
    """Tell whether the stage gave a line its id."""
    ordinal = name.rpartition("-")[2]
    return ordinal.isascii() and ordinal.isdigit() and name == automatic_id(lines[name].player, int(ordinal))


def _by_words(
    mine: Sequence[str], theirs: Sequence[str], old: Mapping[str, Frozen], new: Mapping[str, Frozen]
) -> Pairs:
    """Pair lines of the same words in the same order, then of the same words, then those in the same place."""
    asked, wanted = [old[name].asked for name in mine], [new[name].asked for name in theirs]
    steps = SequenceMatcher(None, asked, wanted, autojunk=False).get_opcodes()
    pairs: Pairs = {}
    for kind, a, b, c, d in steps:
        if kind == "equal":
            pairs |= dict(zip(mine[a:b], theirs[c:d], strict=True))
    for name in (name for name in mine if name not in pairs):
        same = (other for other in theirs if other not in pairs.values() and new[other].asked == old[name].asked)
        if found := next(same, None):
            pairs[name] = found
    for kind, a, b, c, d in steps:
        if kind == "replace":
            left = [name for name in mine[a:b] if name not in pairs]
            right = [name for name in theirs[c:d] if name not in pairs.values()]
            pairs |= dict(zip(left, right, strict=False))
    return pairs
