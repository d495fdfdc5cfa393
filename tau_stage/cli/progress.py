"""What is shown while scenes are performed: a live view, plain lines, JSON lines for programs, or nothing.

``TakeProgress`` is a plain object fed with events: how far a performance has come. Views take events as they arrive.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, singledispatchmethod
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Column, Table
from rich.text import Text

from tau_stage import stage
from tau_stage.audio import SILENCE_DBFS
from tau_stage.cli.printing import console, is_plain, silence, warn
from tau_stage.cost import expected_usage, price
from tau_stage.errors import UsageError, format_if, os_reason
from tau_stage.protocol import Usage, ignore
from tau_stage.report import Note
from tau_stage.runs import RunObserver
from tau_stage.scene import ImprovisePlan, ListenPlan, Plan
from tau_stage.take import PAID
from tau_stage.take import records as record
from tau_stage.text import counted, one_line, printable_json, with_clause

SHORTEST_WAIT_S = 0.05  # A shorter one would be shown as 0.0 s

MOST_SHOWN = 1_000  # characters of what is said now: more than any terminal is wide


@dataclass(slots=True)
class PlayerRow:
    """One player of a performance: what it does or waits for, how loud it is now, and the seconds spoken so far."""

    state: str = "waiting"
    level_dbfs: float = SILENCE_DBFS
    seconds: float = 0.0
    unheard: int = 0

    def hear(self, *, lost: bool = False) -> None:
        """Note that one hearing less is under way."""
        self.unheard = max(0, self.unheard - 1)
        if lost:
            self.state = "lost"
        elif self.state == "listening" and not self.unheard:
            self.state = "idle"


STATES: dict[type, str] = {
    record.PlayerOpened: "idle",
    record.OpeningRefused: "asked to wait {0.wait_s:.0f} s",
    record.LineBegan: "thinking",
    record.LineAgain: "thinking",
    record.LineSpoken: "idle",
    record.PlayerLost: "lost",
    stage.PlayerState: "{0.state}",
    stage.AudioProgress: "speaking",
    stage.HearingBegan: "listening",
}
"""What a player does after an event of its own."""


@dataclass
class TakeProgress:
    """One performance."""

    plan: Plan
    rows: dict[str, PlayerRow] = field(default_factory=dict)
    said: str = ""  # who says what now, as far as it is known
    prompt: str = ""  # what a person is asked to say, or empty
    making: str = ""  # what is being made of the take after its last line, or empty
    begun: bool = False
    over: bool = False  # whether all is made of it
    done: int = 0  # lines that are finished
    dollars: Decimal = Decimal(0)  # so far, as far as it is known, which ``is_known`` tells; an estimate
    is_known: bool = True
    spent: bool = True
    _tariffs: dict[str, tuple[str, str]] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict)
    _heard: str = ""

    def __post_init__(self) -> None:
        self.rows = {player.name: PlayerRow() for player in self.plan.players}
        self._words = {line.id: line.words for line in self.plan.lines if not line.improvised}

    @cached_property
    def total(self) -> int:
        """How many lines there will be; where nobody can know, how many are likely."""
        return len(self.plan.lines) if is_written(self.plan) else len(expected_usage(self.plan))

    def apply(self, event: stage.Event) -> None:
        """Take in one event."""
        if isinstance(event, PAID):
            self._pay(event.player, event.usage, event.model if isinstance(event, record.Transcribed) else None)
        if state := STATES.get(type(event)):
            self.rows[event.player].state = state.format(event)  # type: ignore[union-attr]  # each of them has one
        self._follow(event)

    @singledispatchmethod
    def _follow(self, event: stage.Event) -> None:
        """Change what this kind of event changes; most change nothing."""

    @_follow.register
    def _(self, event: stage.ResumeSummary) -> None:
        self.done, self.dollars = len(event.seconds), event.dollars
        for _, player, seconds in event.seconds:
            self.rows[player].seconds += seconds

    @_follow.register
    def _(self, event: record.TakeBegan | record.TakeResumed) -> None:
        self.spent, self.begun = event.spent, True
        self._tariffs = {role.name: (role.model, role.prices) for role in event.roles if not role.human}
        self._opening_next()

    @_follow.register
    def _(self, _event: record.PlayerOpened) -> None:
        self._opening_next()

    @_follow.register
    def _(self, _event: record.TakeEnded) -> None:
        self.said, self.prompt = "", ""

    @_follow.register
    def _(self, event: record.ModelNamed) -> None:
        self._tariffs[event.player] = (event.model, self._tariffs[event.player][1])

    @_follow.register
    def _(self, event: record.LineBegan) -> None:
        self.said, self.prompt = f"{event.player}: {self._words.get(event.line, '')}", ""

    @_follow.register
    def _(self, event: stage.WordsProgress) -> None:
        if event.line in self._words:
            return
        if event.line != self._heard:
            self._heard, self.said = event.line, f"{event.player}: "
        self.said += event.words[: max(0, MOST_SHOWN - len(self.said))]

    @_follow.register
    def _(self, event: stage.PersonPrompted) -> None:
        self.prompt = prompt(event)

    @_follow.register
    def _(self, event: stage.AudioProgress) -> None:
        self.rows[event.player].level_dbfs = event.dbfs

    @_follow.register
    def _(self, event: record.PlayerLost) -> None:
        self.rows[event.player].unheard = 0

    @_follow.register
    def _(self, event: record.LineSpoken) -> None:
        self.done += 1
        row = self.rows[event.player]
        row.level_dbfs, row.seconds = SILENCE_DBFS, row.seconds + event.samples / event.rate

    @_follow.register
    def _(self, event: stage.HearingBegan) -> None:
        self.rows[event.player].unheard += 1

    @_follow.register
    def _(self, event: record.LineHeard) -> None:
        self.rows[event.hearer].hear()

    @_follow.register
    def _(self, event: record.LineMissed) -> None:
        self.rows[event.hearer].hear(lost=event.lost)

    def _opening_next(self) -> None:
        player = next((player for player in self.plan.opening_order if self.rows[player.name].state == "waiting"), None)
        if player:
            self.rows[player.name].state = "opening"

    def _pay(self, player: str, usage: Usage, model: str | None) -> None:
        if tariff := self._tariffs.get(player):
            own, provider = tariff
            cost = price(usage, model or own, provider)
            self.dollars += cost.known
            self.is_known &= cost.total is not None


def is_written(plan: Plan) -> bool:
    """Tell whether all that will be said stands in the scene, so that its lines can be counted beforehand."""
    return not plan.cues and not any(isinstance(step, ImprovisePlan | ListenPlan) for step in plan.steps)


def prompt(event: stage.PersonPrompted) -> str:
    """Return what a person is told on the terminal.

    >>> prompt(stage.PersonPrompted("guest", "guest-1", "Good evening.", "tired", in_s=2))
    'guest, in 2: (tired) Good evening.'
    """
    when = f", in {event.in_s}" if event.in_s else ", type" if event.typed else ", speak now"
    how = format_if("({}) ", event.direction)
    return f"{event.player}{when}: {how}{event.words or '...'}"


# ---- plain lines, or nothing


class ProgressView(RunObserver):
    """Shows events; this one shows warnings only."""

    def warn(self, text: str) -> None:
        """Print it."""
        warn(text)


class ProgressLines(ProgressView):
    """Prints one line per thing that happened; what was made of a take is printed with it."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._many = len(plans) > 1

    def show(self, plan: Plan, event: stage.Event) -> None:
        """Print it, if it is worth a line."""
        if text := describe(plan, event):
            warn(one_line(f"{plan.slug}: {text}" if self._many else text))


def describe(plan: Plan, event: stage.Event) -> str:
    """Write what happened as one line; empty, if it is not worth one."""
    match event:
        case stage.ResumeSummary():
            return f"resuming after {counted(len(event.seconds), 'line')}"
        case record.OpeningRefused():
            return with_clause(event.problem, f"waiting {event.wait_s:.1f} s")
        case record.LineSpoken() if not event.problem:
            of = f"/{len(plan.lines)}" if is_written(plan) else ""
            return f"{event.number}{of} {event.player}: {event.said} ({_took(event)})"
        case stage.PersonPrompted():
            return prompt(event)
        case record.LineAgain():
            wait = f" in {event.wait_s:.1f} s" if event.wait_s >= SHORTEST_WAIT_S else ""
            again = "performing it again" if event.interrupted else f"retrying{wait}"
            return with_clause(f"line {event.line}: {event.problem}", again)
        case record.PlayerLost():
            return with_clause(event.problem, "the player is lost")
        case _:
            return DESCRIBED.get(type(event), "").format(event)


DESCRIBED: dict[type, str] = {
    record.PlayerOpened: "opened {0.player} in {0.took_s:.2f} s",
    record.LineSpoken: "line {0.line}, player {0.player}, failed: {0.problem}",
    record.ToolCalled: "{0.player} calls {0.tool}({0.arguments}): {0.output}",
    record.SoundPlayed: "[{0.source}]",
    record.LineDropped: "dropped line {0.line}: {0.problem}",
    record.LineLost: "{0.problem}",
    record.LineMissed: "{0.problem}",
    record.Warned: "{0.text}",
}
"""Lines of what is described by its facts alone."""


def _took(event: record.LineSpoken) -> str:
    """Write the seconds of a line; of one that was not performed now, that it is from the take before."""
    return "reused" if event.former else f"{event.samples / event.rate:.1f} s"


# ---- a live view: what is under way is drawn anew, and what is finished scrolls away above it

METER = 16
FLOOR_DBFS = -48.0
COLOURS = {"speaking": "bold green", "thinking": "yellow", "listening": "cyan", "idle": "dim", "lost": "bold red"}
WITH_METER = 60  # columns of a window that has room for level meters
WIDEST = 100  # A view no wider than this stays whole in most windows that are made narrower
SCROLLED = 80  # columns of a finished line; its seconds stand at their end
BAR = 20
NAMES = 16  # columns that a player's name may have


class LiveProgress(ProgressView):
    """Draws the performances that are under way, and prints above them what is finished."""

    def __init__(self, plans: Sequence[Plan], out: Console) -> None:
        self._progress = {id(plan): TakeProgress(plan) for plan in plans}
        self._out = out
        self.refresh: Callable[[], None] = lambda: None  # draws at once, before the next turn of the clock

    def show(self, plan: Plan, event: stage.Event) -> None:
        """Take it in: a finished line, or what else is worth one, is printed; all else is seen in the next view."""
        self._progress[id(plan)].apply(event)
        scene = f"{plan.slug}: " if len(self._progress) > 1 else ""
        if isinstance(event, record.LineSpoken) and not event.problem:
            self._out.print(_finished(plan, scene + self._counted(plan, event.number), event, self._out.width))
        elif not isinstance(event, stage.PersonPrompted | record.PlayerOpened) and (text := describe(plan, event)):
            self._out.print(one_line(scene + text), style="" if isinstance(event, record.SoundPlayed) else "yellow")

    def making(self, plan: Plan, what: str) -> None:
        """Show what is made of a take; a performance of which all is made is no longer drawn."""
        progress = self._progress[id(plan)]
        progress.making, progress.over = what, not what
        self.refresh()  # what takes a moment only would not be seen

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the view, as wide as the window is now."""
        for progress in self._progress.values():
            if progress.begun and not progress.over:
                yield from self._drawn(progress, options.max_width)

    def _counted(self, plan: Plan, number: int) -> str:
        """Write the number of a line, as wide as the last one's."""
        total = str(self._progress[id(plan)].total)
        return f"{number:{len(total)}}" + (f"/{total}" if is_written(plan) else "")

    def _drawn(self, progress: TakeProgress, width: int) -> RenderResult:
        total = max(progress.total, progress.done)
        about = "/" if is_written(progress.plan) else " of about "
        spent = format_if("(nothing spent)", not progress.spent)
        known = format_if("at least ", not progress.is_known)
        figures = f"{progress.done}{about}{total}  {known}${progress.dollars:.4f} estimate"
        yield _text_line(one_line(progress.plan.title), style="bold")
        yield _bar(total if progress.making else progress.done, total, (figures, spent), width)
        if progress.making:
            yield _text_line(f"  {progress.making} ...", style="cyan")
            return
        yield _player_rows(progress, width)
        yield _text_line(f"  {one_line(progress.said)}", style="italic")
        if progress.prompt:
            yield Text(f"  {one_line(progress.prompt)}", style="bold yellow")


def _text_line(text: str, *, style: str) -> RenderableType:
    """Write words on one line of the view, cut where it ends."""
    return Constrain(Text(text, style=style, no_wrap=True, overflow="ellipsis"), WIDEST)


def _names(width: int) -> int:
    return NAMES if width >= WITH_METER else NAMES // 2


def _finished(plan: Plan, number: str, event: record.LineSpoken, width: int) -> RenderableType:
    """Write a finished line: its number, its player, its words, its seconds."""
    names = min(_names(width), max(cell_len(one_line(player.name)) for player in plan.players))
    row = Table.grid(padding=(0, 2, 0, 0), pad_edge=False, expand=True)
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True, overflow="ellipsis", width=names)
    row.add_column(overflow="fold", ratio=1)
    row.add_column(no_wrap=True, justify="right", min_width=len("100.0 s"))
    words, took = Text(one_line(event.said), style="dim" if event.former else ""), Text(_took(event), style="dim")
    row.add_row(Text(number, style="dim"), Text(one_line(event.player), style="bold"), words, took)
    return Constrain(row, SCROLLED)


def _bar(done: int, total: int, figures: tuple[str, str], width: int) -> RenderableType:
    """Draw the bar, how far it is, and whose money it is; where there is no room, the figures stay."""
    parts: list[RenderableType] = [figures[0]]
    if len(" ".join(figures)) < width:
        parts.append(figures[1])
    if sum(map(len, figures[: len(parts)])) + len(parts) + BAR < width:
        parts.insert(0, ProgressBar(total=max(total, 1), completed=done, width=BAR))
    row = Table.grid(*(Column(no_wrap=True) for _ in parts), padding=(0, 1, 0, 0), pad_edge=False)
    row.add_row(*parts)
    return row


def _player_rows(progress: TakeProgress, width: int) -> RenderableType:
    """Draw each player: what it does, how loud it is, how long it has spoken."""
    rows = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    has_meter = width >= WITH_METER
    rows.add_column(no_wrap=True, overflow="ellipsis", max_width=_names(width) + 2)
    rows.add_column(overflow="fold")
    rows.add_column(no_wrap=True, justify="right")
    for name, row in progress.rows.items():
        state = Text(one_line(row.state), style=COLOURS.get(row.state, "magenta"))
        spoken = Text(f"{row.seconds:.1f} s", style="dim")
        rows.add_row(Text(f"  {one_line(name)}"), state, spoken, *([meter(row)] if has_meter else []))
    return rows


def meter(row: PlayerRow) -> str:
    """Draw a level meter; full scale is full width.

    >>> meter(PlayerRow("speaking", -24.0))
    '########........'
    """
    share = (row.level_dbfs - FLOOR_DBFS) / -FLOOR_DBFS
    full = max(0, min(METER, round(share * METER))) if row.state == "speaking" else 0
    return "#" * full + "." * (METER - full)


# ---- JSON lines: words while they arrive, for captions, pipes and other programs


class EventStream(ProgressView):
    """Writes a JSON object a line, as soon as there is something to tell, and shows everything in another view too.

    Where it cannot be written any more, that is said once, and the performance goes on without it: it has
    ``ended``, and is ``lost`` where somebody misses something, as a reader who left does not.
    """

    def __init__(self, out: TextIO, view: ProgressView, name: str) -> None:
        self.ended = self.lost = False
        self._out = out
        self._view = view
        self._name = name

    def show(self, plan: Plan, event: stage.Event) -> None:
        """Write it, if it has words or is a state."""
        self._view.show(plan, event)
        if not self.ended and (told := _event_data(event)):
            try:
                self._out.write(printable_json(json.dumps({"scene": plan.slug, **told}, ensure_ascii=False)) + "\n")
                self._out.flush()
            except OSError as error:
                self._end(error)

    def making(self, plan: Plan, what: str) -> None:
        """Show it; no program waits for it."""
        self._view.making(plan, what)

    def _end(self, error: OSError) -> None:
        self.ended, self.lost = True, not isinstance(error, BrokenPipeError)
        if self._out is sys.stdout:  # what it still holds would fail once more as Python ends
            silence(self._out)
        reason = os_reason(error)
        warn(f"--stream {self._name}: {reason}; the performance continues without it")


def _event_data(event: stage.Event) -> dict[str, object] | None:
    if isinstance(event, stage.ResumeSummary):
        return {"type": "resumed", "lines": [line for line, _, _ in event.seconds]}
    if type(event) not in STREAMED:
        return None
    kind, names = STREAMED[type(event)]
    facts = {"type": kind, **{name: getattr(event, name) for name in names}}
    if isinstance(event, record.LineSpoken):
        offset_s, seconds = (round(samples / event.rate, 3) for samples in (event.offset_samples, event.samples))
        facts |= {"offset_s": offset_s, "seconds": seconds, "first_audio_s": event.first_audio_s}
        facts |= {"problem": event.problem, "written": event.written} if event.problem else {}
        facts |= {"former": True} if event.former else {}
    return facts


STREAMED: dict[type, tuple[str, tuple[str, ...]]] = {
    stage.WordsProgress: ("words", ("player", "line", "words")),
    stage.PlayerState: ("state", ("player", "state")),
    record.ToolCalled: ("call", ("player", "line", "tool", "arguments", "output", "failed", "took_s")),
    record.LineSpoken: ("line", ("player", "line", "said")),
}
"""What a program is told of an event: its type, and which of its facts."""


# ---- which view


@contextmanager
def open_progress(plans: Sequence[Plan], *, quiet: bool, aside: bool = False) -> Iterator[ProgressView]:
    """Open the view that suits where the output goes: one that is drawn anew would be in a typist's way.

    So it would be where the terminal shows something else ``aside``.
    """
    typed = any(person.human == "tty" for plan in plans for person in plan.people)
    asked = any(line.pick == "ask" for plan in plans for line in plan.lines)
    if quiet:
        yield ProgressView()
    elif typed or asked or aside or is_plain(sys.stderr):
        yield ProgressLines(plans)
    else:
        out = console(sys.stderr)
        live = LiveProgress(plans, out)
        to_terminal = sys.stdout.isatty()  # rich would send a pipe's text to the terminal, too
        with Live(live, console=out, refresh_per_second=12, transient=True, redirect_stdout=to_terminal) as drawing:
            live.refresh = drawing.refresh
            yield live


@contextmanager
def open_status(*, quiet: bool) -> Iterator[Note]:
    """Open what says what is being made of a take: a line of a terminal, which goes away, or nothing."""
    if quiet or is_plain(sys.stderr):
        yield ignore
        return
    with Status("", console=console(sys.stderr)) as status:
        yield lambda what: status.update(Text(one_line(what)))


@contextmanager
def open_stream(wanted: str | None, view: ProgressView) -> Iterator[ProgressView]:
    """Open a view that streams, too, where that is wanted: to a file, or with ``-`` to the standard output."""
    if wanted is None:
        yield view
    elif wanted == "-":
        yield EventStream(sys.stdout, view, wanted)
    else:
        try:
            file = open(wanted, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - a pipe or a device is as good as a file
        except OSError as error:
            raise UsageError(f"--stream {wanted}: {os_reason(error)}") from None
        stream = EventStream(file, view, wanted)
        try:
            yield stream
        finally:
            with suppress(OSError) if stream.ended else nullcontext():  # what it still holds fails once more
                file.close()
