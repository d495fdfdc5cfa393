"""Asking somebody at the terminal which take of a line it shall be."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tau_stage.scene.plan import LinePlan
from tau_stage.stage.keyboard import typed_line
from tau_stage.stage.picking import Option, picked


async def asking(line: LinePlan, options: Sequence[Option]) -> int:
    """Show the takes of a line and let somebody choose; nothing typed is the closest."""
    best = picked(line.words, options, "closest")
    print(f"{line.id}, asked: {line.words}", file=sys.stderr)
    for number, option in enumerate(options, 1):
        print(f"  {number}: {option.said} ({option.seconds:.1f} s)", file=sys.stderr)
    while True:
        print(f"which take, 1 to {len(options)}? [{best + 1}] ", end="", file=sys.stderr, flush=True)
        typed = await typed_line(None)
        if not (typed or "").strip():
            return best
        if typed and typed.strip().isdigit() and 1 <= int(typed) <= len(options):
            return int(typed) - 1
