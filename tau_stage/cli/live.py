"""The live view of a terminal: performances under way are drawn anew; what is finished scrolls away above them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.constrain import Constrain
from rich.live import Live as Drawing
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tau_stage.cli.board import Board, Seat, is_written
from tau_stage.cli.printing import console
from tau_stage.cli.screen import told
from tau_stage.cost.forecast import expected_usage
from tau_stage.stage.notes import News, Prompting
from tau_stage.take import records as record
from tau_stage.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from tau_stage.scene.plan import Plan

METER = 16
FLOOR_DBFS = -48.0
COLOURS = {"speaking": "bold green", "thinking": "yellow", "listening": "cyan", "idle": "dim", "lost": "bold red"}
WITH_METER = 60
"""Columns of a window that has room for level meters."""
WIDEST = 100
"""A view no wider than this stays whole in most windows that are made narrower."""
SCROLLED = 80
"""Columns of a finished line; its seconds stand at their end."""
BAR = 20
NAMES = 16
"""Columns that a player's name may have."""


class Live:
    """Draws the performances that are under way.

    Args:
        plans: All that are performed.
        out: Where what is finished is printed, above the view.
    """

    def __init__(self, plans: Sequence[Plan], out: Console) -> None:
        self._boards = {id(plan): Board(plan) for plan in plans}
        self._totals: dict[int, int] = {}
        self._out = out

    def show(self, plan: Plan, news: News) -> None:
        """Take it in: a finished line, or what else is worth one, is printed; all else is seen in the next view."""
        self._boards[id(plan)].apply(news)
        scene = f"{plan.slug}: " if len(self._boards) > 1 else ""
        if isinstance(news, record.LineSpoken) and not news.problem:
            self._out.print(_finished(plan, scene + self._counted(plan, news.number), news, self._out.width))
        elif not isinstance(news, Prompting | record.PlayerOpened) and (text := told(plan, news)):
            self._out.print(one_line(scene + text), style="" if isinstance(news, record.SoundPlayed) else "yellow")

    def making(self, plan: Plan, what: str) -> None:
        """Show what is made of a take; a performance of which all is made is no longer drawn."""
        board = self._boards[id(plan)]
        board.making, board.over = what, not what

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the view, as wide as the window is now."""
        for board in self._boards.values():
            if board.begun and not board.over:
                yield from self._drawn(board, options.max_width)

    def _counted(self, plan: Plan, number: int) -> str:
        """Write the number of a line, as wide as the last one's."""
        total = str(self._total(plan))
        return f"{number:{len(total)}}" + (f"/{total}" if is_written(plan) else "")

    def _total(self, plan: Plan) -> int:
        """Tell how many lines there will be; where nobody can know, how many are likely."""
        if id(plan) not in self._totals:
            self._totals[id(plan)] = len(plan.lines) if is_written(plan) else len(expected_usage(plan))
        return self._totals[id(plan)]

    def _drawn(self, board: Board, width: int) -> RenderResult:
        total = max(self._total(board.plan), board.done)
        about = "/" if is_written(board.plan) else " of about "
        spent = "" if board.spent else "(nothing is spent)"
        figures = f"{board.done}{about}{total}  {'' if board.is_known else 'at least '}${board.dollars:.4f} estimate"
        yield _row(one_line(board.plan.title), style="bold")
        yield _progress(total if board.making else board.done, total, (figures, spent), width)
        if board.making:
            yield _row(f"  {board.making} ...", style="cyan")
            return
        yield _seats(board, width)
        yield _row(f"  {one_line(board.said)}", style="italic")
        if board.prompt:
            yield Text(f"  {one_line(board.prompt)}", style="bold yellow")


def _row(text: str, *, style: str) -> RenderableType:
    """Write words on one line of the view, cut where it ends."""
    return Constrain(Text(text, style=style, no_wrap=True, overflow="ellipsis"), WIDEST)


def _names(width: int) -> int:
    return NAMES if width >= WITH_METER else NAMES // 2


def _finished(plan: Plan, number: str, news: record.LineSpoken, width: int) -> RenderableType:
    """Write a finished line: its number, its player, its words, its seconds."""
    names = min(_names(width), max(cell_len(one_line(player.name)) for player in plan.players))
    row = Table.grid(padding=(0, 2, 0, 0), pad_edge=False, expand=True)
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True, overflow="ellipsis", width=names)
    row.add_column(overflow="fold", ratio=1)
    row.add_column(no_wrap=True, justify="right", min_width=len("100.0 s"))
    seconds = Text(f"{news.samples / news.rate:.1f} s", style="dim")
    row.add_row(
        Text(number, style="dim"), Text(one_line(news.player), style="bold"), Text(one_line(news.said)), seconds
    )
    return Constrain(row, SCROLLED)


def _progress(done: int, total: int, figures: tuple[str, str], width: int) -> RenderableType:
    """Draw the bar, how far it is, and whose money it is; where there is no room, the figures stay."""
    row = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    parts: list[RenderableType] = [figures[0]]
    if len(" ".join(figures)) < width:
        parts.append(figures[1])
    if sum(map(len, figures[: len(parts)])) + len(parts) + BAR < width:
        parts.insert(0, ProgressBar(total=max(total, 1), completed=done, width=BAR))
    for _ in parts:
        row.add_column(no_wrap=True)
    row.add_row(*parts)
    return row


def _seats(board: Board, width: int) -> RenderableType:
    """Draw each player: what it does, how loud it is, how long it has spoken."""
    seats = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    has_meter = width >= WITH_METER
    seats.add_column(no_wrap=True, overflow="ellipsis", max_width=_names(width) + 2)
    seats.add_column(overflow="fold")
    seats.add_column(no_wrap=True, justify="right")
    for name, seat in board.seats.items():
        state = Text(one_line(seat.state), style=COLOURS.get(seat.state, "magenta"))
        spoken = Text(f"{seat.seconds:.1f} s", style="dim")
        seats.add_row(Text(f"  {one_line(name)}"), state, spoken, *([meter(seat)] if has_meter else []))
    return seats


def meter(seat: Seat) -> str:
    """Draw a level meter; full scale is full width.

    >>> meter(Seat("speaking", -24.0))
    '########........'
    """
    share = (seat.level_dbfs - FLOOR_DBFS) / -FLOOR_DBFS
    full = max(0, min(METER, round(share * METER))) if seat.state == "speaking" else 0
    return "#" * full + "." * (METER - full)


@contextmanager
def open_live(plans: Sequence[Plan]) -> Iterator[Live]:
    """Open the live view on the standard error; what is printed meanwhile stands above it."""
    out = console(sys.stderr)
    live = Live(plans, out)
    with Drawing(
        live, console=out, refresh_per_second=12, transient=True, redirect_stdout=sys.stdout.isatty()
    ):  # rich would send a pipe's text to the terminal
        yield live
