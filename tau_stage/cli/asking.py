"""Asking somebody at the terminal which take of a line it shall be."""

from __future__ import annotations

from collections.abc import Sequence

from tau_stage.cli.printing import warn
from tau_stage.devices.keyboard import typed_line
from tau_stage.scene.plan import LinePlan
from tau_stage.stage.takes import Option, picked
from tau_stage.text import one_line


async def asking(line: LinePlan, options: Sequence[Option]) -> int:
    """Show the takes of a line and let somebody choose; nothing typed is the closest."""
    best = picked(line.words, options, "closest")
    warn(f"{line.id}, asked: {one_line(line.words)}")
    for number, option in enumerate(options, 1):
        warn(f"  {number}: {one_line(option.said)} ({option.seconds:.1f} s)")
    while True:
        warn(f"which take, 1 to {len(options)}? [{best + 1}] ", end="")
        typed = await typed_line(None)
        if not (typed or "").strip():
            return best
        if typed and typed.strip().isdigit() and 1 <= int(typed) <= len(options):
            return int(typed) - 1
