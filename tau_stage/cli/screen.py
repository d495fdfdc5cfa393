"""What a person sees while scenes are performed: a live view on a terminal, plain lines in a pipe, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from tau_stage.cli.board import Board, Seat, prompt
from tau_stage.cli.printing import console, warn
from tau_stage.scene.plan import ImprovisePlan, ListenPlan, Plan
from tau_stage.stage.notes import News, Prompting, Resuming
from tau_stage.take import records as record
from tau_stage.text import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

METER = 16
FLOOR_DBFS = -48.0
COLOURS = {"speaking": "bold green", "thinking": "yellow", "listening": "cyan", "idle": "dim", "lost": "bold red"}


class Screen(Protocol):
    """Shows news."""

    def show(self, plan: Plan, news: News) -> None:
        """Show one piece of news of one performance."""


class Nothing:
    """Shows nothing."""

    def show(self, plan: Plan, news: News) -> None:
        """Show nothing."""


class Lines:
    """Prints one line per thing that happened."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._many = len(plans) > 1

    def show(self, plan: Plan, news: News) -> None:
        """Print it, if it is worth a line."""
        text = _line(plan, news)
        if text:
            warn(one_line(f"{plan.slug}: {text}" if self._many else text))


def _line(plan: Plan, news: News) -> str:
    match news:
        case Resuming():
            return f"goes on after {len(news.seconds)} {'line' if len(news.seconds) == 1 else 'lines'}"
        case record.PlayerOpened():
            return f"opened {news.player} in {news.took_s:.2f} s"
        case record.OpeningRefused():
            return f"{news.problem}; waiting {news.wait_s:.1f} s"
        case record.LineSpoken() if news.problem:
            return f"line {news.line}, player {news.player}, failed: {news.problem}"
        case record.LineSpoken():
            seconds = news.samples / news.rate
            of = f"/{len(plan.lines)}" if is_written(plan) else ""
            return f"{news.number}{of} {news.player}: {news.said} ({seconds:.1f} s)"
        case Prompting():
            return prompt(news)
        case record.ToolCalled():
            return f"{news.player} calls {news.tool}({news.arguments}): {news.output}"
        case record.SoundPlayed():
            return f"[{news.source}]"
        case record.LineLost():
            return news.problem
        case record.LineDropped():
            return f"{news.line} is dropped: {news.problem}"
        case record.LineAgain() if news.interrupted:
            return f"line {news.line}: {news.problem}; it is performed again"
        case record.LineAgain():
            return f"line {news.line}: {news.problem}; asking again in {news.wait_s:.1f} s"
        case record.LineMissed():
            return news.problem
        case record.PlayerLost():
            return f"{news.problem}; the player is lost"
        case record.Warned():
            return news.text
        case _:
            return ""


class Live:
    """Draws every performance anew a few times a second."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._boards = {id(plan): Board(plan) for plan in plans}

    def show(self, plan: Plan, news: News) -> None:
        """Take it in; it is seen when the view is next drawn."""
        self._boards[id(plan)].apply(news)

    def __rich__(self) -> RenderableType:
        from rich.console import Group

        return Group(*(_drawn(board) for board in self._boards.values()))


def _drawn(board: Board) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    total = len(board.plan.lines) if is_written(board.plan) else None
    money = f"{'' if board.is_known else 'at least '}${board.dollars:.4f} estimate" + (
        "" if board.spent else ", nothing is spent"
    )
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(one_line(board.plan.title), style="bold"),
        ProgressBar(total=total, completed=board.done, width=20),
        Text(f"{board.done}{'' if total is None else f'/{total}'}  {money}"),
    )
    seats = Table.grid(padding=(0, 2))
    for name, seat in board.seats.items():
        state = Text(one_line(seat.state), style=COLOURS.get(seat.state, "magenta"))
        seats.add_row(Text(f"  {one_line(name)}"), state, meter(seat), Text(f"{seat.seconds:.1f} s", style="dim"))
    words = Text(f"  {one_line(board.said)}", style="italic", no_wrap=True, overflow="ellipsis")
    asked = [Text(f"  {one_line(board.prompt)}", style="bold yellow")] if board.prompt else []
    return Group(head, seats, words, *asked)


def is_written(plan: Plan) -> bool:
    """Whether all that will be said stands in the scene, so that its lines can be counted beforehand."""
    return not plan.cues and not any(isinstance(step, ImprovisePlan | ListenPlan) for step in plan.steps)


def meter(seat: Seat) -> str:
    """A level meter; full scale is full width.

    >>> meter(Seat("speaking", -24.0))
    '########........'
    """
    share = (seat.level_dbfs - FLOOR_DBFS) / -FLOOR_DBFS
    full = max(0, min(METER, round(share * METER))) if seat.state == "speaking" else 0
    return "#" * full + "." * (METER - full)


@contextmanager
def open_screen(plans: Sequence[Plan], *, quiet: bool) -> Iterator[Screen]:
    """The screen that suits where the output goes; one that is drawn anew would be in the way of somebody's typing."""
    types = any(person.human == "tty" for plan in plans for person in plan.people)
    if quiet:
        yield Nothing()
    elif types or not sys.stderr.isatty():
        yield Lines(plans)
    else:
        from rich.live import Live as Drawing

        live = Live(plans)
        drawing: AbstractContextManager[object] = Drawing(
            live, console=console(sys.stderr), refresh_per_second=12, transient=True
        )
        with drawing or nullcontext():
            yield live
