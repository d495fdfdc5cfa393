"""The board: how far a performance has come, as the news tell it. A plain object fed with events."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from tau_stage.audio.level import SILENCE_DBFS
from tau_stage.cost import price
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import ImprovisePlan, ListenPlan, Plan
from tau_stage.stage.notes import Listening, News, Prompting, Resuming, Sounding, State, Wording
from tau_stage.take import records as record
from tau_stage.take.fold import PAID

MOST_SHOWN = 1_000
"""Characters of what is said now: more than any terminal is wide."""


@dataclass(slots=True)
class Seat:
    """One player on the board.

    Attributes:
        state: opening, idle, listening, thinking, speaking, lost, or what it waits for.
        level_dbfs: Of what is heard now.
        seconds: Spoken so far.
    """

    state: str = "waiting"
    level_dbfs: float = SILENCE_DBFS
    seconds: float = 0.0
    unheard: int = 0


@dataclass(slots=True)
class Board:
    """One performance.

    Attributes:
        plan: What is performed.
        seats: By player.
        said: Who says what now, as far as it is known.
        prompt: What a person is asked to say, or empty.
        making: What is being made of the take after its last line, or empty.
        begun: Whether the performance is under way.
        over: Whether all is made of it.
        done: Lines that are finished.
        dollars: So far, as far as it is known; an estimate.
        is_known: Whether that is all of it.
        spent: Whether money is spent.
    """

    plan: Plan
    seats: dict[str, Seat] = field(default_factory=dict)
    said: str = ""
    prompt: str = ""
    making: str = ""
    begun: bool = False
    over: bool = False
    done: int = 0
    dollars: Decimal = Decimal(0)
    is_known: bool = True
    spent: bool = True
    _tariffs: dict[str, tuple[str, str]] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict)
    _heard: str = ""

    def __post_init__(self) -> None:
        self.seats = {player.name: Seat() for player in self.plan.players}
        self._words = {line.id: line.words for line in self.plan.lines if not line.improvised}

    def apply(self, news: News) -> None:
        """Take in one piece of news."""
        if isinstance(news, PAID):
            self._pay(news.player, news.usage, news.model if isinstance(news, record.Transcribed) else None)
        match news:
            case Resuming():
                self.done, self.dollars = len(news.seconds), news.dollars
                for _, player, seconds in news.seconds:
                    self.seats[player].seconds += seconds
            case record.TakeBegan() | record.TakeResumed():
                self.spent, self.begun = news.spent, True
                self._tariffs = {role.name: (role.model, role.prices) for role in news.roles if not role.human}
                self._opening_next()
            case record.ModelNamed():
                self._tariffs[news.player] = (news.model, self._tariffs[news.player][1])
            case record.PlayerOpened():
                self.seats[news.player].state = "idle"
                self._opening_next()
            case record.OpeningRefused():
                self.seats[news.player].state = f"asked to wait {news.wait_s:.0f} s"
            case record.LineBegan():
                self.said, self.prompt = f"{news.player}: {self._words.get(news.line, '')}", ""
                self.seats[news.player].state = "thinking"
            case Wording():
                self._worded(news)
            case Prompting():
                self.prompt = prompt(news)
            case State():
                self.seats[news.player].state = news.state
            case Sounding():
                seat = self.seats[news.player]
                seat.state, seat.level_dbfs = "speaking", news.dbfs
            case record.LineAgain():
                self.seats[news.player].state = "thinking"
            case record.PlayerLost():
                seat = self.seats[news.player]
                seat.state, seat.unheard = "lost", 0
            case record.LineSpoken():
                self._spoken(news)
            case Listening():
                seat = self.seats[news.player]
                seat.unheard, seat.state = seat.unheard + 1, "listening"
            case record.LineHeard():
                self._has_heard(self.seats[news.hearer], lost=False)
            case record.LineMissed():
                self._has_heard(self.seats[news.hearer], lost=news.lost)
            case record.TakeEnded():
                self.said, self.prompt = "", ""
            case _:
                pass

    def _worded(self, news: Wording) -> None:
        """Show words of nobody's script as they arrive."""
        if news.line not in self._words:
            if news.line != self._heard:
                self._heard, self.said = news.line, f"{news.player}: "
            self.said += news.words[: MOST_SHOWN - len(self.said)] if len(self.said) < MOST_SHOWN else ""

    def _opening_next(self) -> None:
        player = next(
            (player for player in self.plan.opening_order if self.seats[player.name].state == "waiting"), None
        )
        if player:
            self.seats[player.name].state = "opening"

    def _spoken(self, news: record.LineSpoken) -> None:
        self.done += 1
        seat = self.seats[news.player]
        seat.state, seat.level_dbfs = "idle", SILENCE_DBFS
        seat.seconds += news.samples / news.rate

    def _pay(self, player: str, usage: Usage, model: str | None) -> None:
        if tariff := self._tariffs.get(player):
            own, provider = tariff
            cost = price(usage, model or own, provider)
            self.dollars += cost.known
            self.is_known &= cost.total is not None

    @staticmethod
    def _has_heard(seat: Seat, *, lost: bool) -> None:
        seat.unheard = max(0, seat.unheard - 1)
        if lost:
            seat.state = "lost"
        elif seat.state == "listening" and not seat.unheard:
            seat.state = "idle"


def is_written(plan: Plan) -> bool:
    """Tell whether all that will be said stands in the scene, so that its lines can be counted beforehand."""
    return not plan.cues and not any(isinstance(step, ImprovisePlan | ListenPlan) for step in plan.steps)


def prompt(news: Prompting) -> str:
    """Return what a person is told on the terminal.

    >>> prompt(Prompting("guest", "guest-1", "Good evening.", "tired", in_s=2))
    'guest, in 2: (tired) Good evening.'
    """
    when = f", in {news.in_s}" if news.in_s else ", type" if news.typed else ", speak now"
    how = f"({news.direction}) " if news.direction else ""
    return f"{news.player}{when}: {how}{news.words or '...'}"
