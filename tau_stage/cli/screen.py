"""What a person sees while scenes are performed: a live view on a terminal, plain lines in a pipe, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from tau_stage.cli.board import is_written, prompt
from tau_stage.cli.printing import console, is_plain, warn
from tau_stage.report.deliver import Note, unnoted
from tau_stage.scene.plan import Plan
from tau_stage.stage.notes import News, Prompting, Resuming
from tau_stage.take import records as record
from tau_stage.text import one_line


class Screen(Protocol):
    """Shows news."""

    def show(self, plan: Plan, news: News) -> None:
        """Show one piece of news of one performance."""

    def making(self, plan: Plan, what: str) -> None:
        """Show what is being made of a take after its last line; empty: all is made."""


class Nothing:
    """Shows nothing."""

    def show(self, plan: Plan, news: News) -> None:
        """Show nothing."""

    def making(self, plan: Plan, what: str) -> None:
        """Show nothing."""


class Lines:
    """Prints one line per thing that happened."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._many = len(plans) > 1

    def show(self, plan: Plan, news: News) -> None:
        """Print it, if it is worth a line."""
        text = told(plan, news)
        if text:
            warn(one_line(f"{plan.slug}: {text}" if self._many else text))

    def making(self, plan: Plan, what: str) -> None:
        """Print nothing: what was made is printed with the take."""


def told(plan: Plan, news: News) -> str:
    """Write what happened as one line; empty, if it is not worth one."""
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


@contextmanager
def open_screen(plans: Sequence[Plan], *, quiet: bool, aside: bool = False) -> Iterator[Screen]:
    """Open the screen that suits where the output goes; one that is drawn anew would be in a typist's way.

    Args:
        plans: What is performed.
        quiet: Whether nothing is shown.
        aside: Whether the terminal shows something else at the same time.
    """
    typed = any(person.human == "tty" for plan in plans for person in plan.people)
    asked = any(line.pick == "ask" for plan in plans for line in plan.lines)
    if quiet:
        yield Nothing()
    elif typed or asked or aside or is_plain(sys.stderr):
        yield Lines(plans)
    else:
        from tau_stage.cli.live import open_live

        with open_live(plans) as live:
            yield live


@contextmanager
def open_status(*, quiet: bool) -> Iterator[Note]:
    """Open what says what is being made of a take: a line of a terminal, which goes away, or nothing."""
    if quiet or is_plain(sys.stderr):
        yield unnoted
        return
    from rich.status import Status
    from rich.text import Text

    with Status("", console=console(sys.stderr)) as status:
        yield lambda what: status.update(Text(one_line(what)))
