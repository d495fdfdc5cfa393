"""Count what a performance has cost and may still cost: reserved before each line, and never within one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from tau_stage.cost import CACHED, LISTENED, MILLION, SPOKEN, Cost, PriceList, price, prices
from tau_stage.errors import BudgetExceeded
from tau_stage.protocol import Usage
from tau_stage.scene import MOST_TOKENS
from tau_stage.take import PAID
from tau_stage.take import records as record

NEARLY_ALL = Decimal("0.8")  # the share of the budget that, once it is used, is worth a warning

OF_THE_BUDGET = "of the budget"  # what the warning says, by which a take that goes on finds it

ZERO = Decimal(0)
NOTHING = Usage()


class Budget:
    """Counts what was spent and holds a line back that would probably cost too much.

    What a line is likely to cost is foreseen from the scene, and corrected by what this player's lines, or if there
    were none yet anybody's, have really cost; what nobody told the cost of counts as foreseen; a line that nobody has
    foreseen is taken to cost what its player's last one did. On the understudy the same sums are rehearsed.

    Args:
        limit: Dollars; None is none.
        tariffs: Model and price list, by player.
        foreseen: Tokens that each line is likely to use, by its id.

    Attributes:
        answering: The models that servers name, by player; their prices count.
        paid_takes: Dollars that were paid for takes of lines, by line and take, where several are wanted.
    """

    def __init__(
        self, limit: Decimal | None, tariffs: Mapping[str, tuple[str, str]], foreseen: Mapping[str, Usage]
    ) -> None:
        self.limit = limit
        self._most = Decimal("inf") if limit is None else limit
        self.spent = ZERO
        self.paid_takes: dict[tuple[str, int], Decimal] = {}
        self._asked = dict(tariffs)
        self.answering: dict[str, str] = {}
        self._foreseen = foreseen
        self._last: dict[str, Decimal] = {}
        self._paid: dict[str, Decimal] = defaultdict(Decimal)
        self._planned: dict[str, Decimal] = defaultdict(Decimal)
        self._read: dict[str, Decimal] = defaultdict(Decimal)
        self._tools: dict[str, Decimal] = defaultdict(Decimal)
        self._promised: dict[str, Decimal] = {}
        self._tokens: dict[str, int] = {}
        self._has_warned = False

    # ---- what was spent

    def bills_time(self, player: str) -> bool:
        """Tell whether a player is billed by the time of its audio: then that is all."""
        return self._listed(player).per_minute is not None

    def goes_by_forecast(self, fact: PAID) -> bool:
        """Tell whether a budget has to go by the forecast, as it is not known what a response has cost."""
        if self.limit is None or fact.player not in self._asked or isinstance(fact, record.Transcribed):
            return False
        return self._price(fact.player, fact.usage).total is None and self._listed(fact.player).is_known

    def apply(self, fact: record.Record) -> None:
        """Count what a record tells of: when it is written down, and once more when the take goes on."""
        if isinstance(fact, record.ModelNamed):
            self.answering[fact.player] = fact.model
        elif isinstance(fact, PAID) and fact.player in self._asked:
            cost = self._cost(fact)
            self.spent += cost
            self._tokens[fact.player] = fact.usage.tokens or self._tokens.get(fact.player, 0)
            self._learn(fact, cost)

    def restore(self, journal: Sequence[record.Record]) -> None:
        """Count what a take has cost that goes on; a warning is not given again, unless the budget is larger now."""
        for fact in journal:
            self.apply(fact)
        told = any(OF_THE_BUDGET in fact.text for fact in record.of_type(journal, record.Warned))
        self._has_warned = told and self._is_near

    def _cost(self, fact: PAID) -> Decimal:
        """Price a response; one whose cost is not known costs what it was likely to, but at least what is known."""
        line, player, usage = fact.line, fact.player, fact.usage
        if usage == NOTHING:
            return ZERO
        model = fact.model if isinstance(fact, record.Transcribed) else ""
        cost = self._price(player, usage, model)
        if usage.untold and _broke_off(fact):
            return cost.known + self.expected(line, player)
        if cost.total is None:
            return cost.known if model else max(cost.known, self._likely(line, player))
        self._read[player] = _read(cost)
        return cost.total

    def _learn(self, fact: PAID, cost: Decimal) -> None:
        """Adjust what the next lines are likely to cost to what a whole line has.

        That is without attempts that failed and takes that were not picked.
        """
        line, player = fact.line, fact.player
        match fact:
            case record.TakeKept():
                self.paid_takes[line, fact.take] = cost
            case record.ToolTurn():
                self._tools[line] += cost
            case record.LineAgain(interrupted=True):
                self._tools.pop(line, None)
            case record.LineSpoken(problem="", former=False):
                self.release(line)
                cost = self._tools.pop(line, ZERO) + self.paid_takes.get((line, fact.take), cost)
                self._last[player] = cost
                planned = self._planned_price(player, self._foreseen.get(line, NOTHING)).total
                if planned:
                    self._paid[player] += cost
                    self._planned[player] += planned
            case record.LineSpoken() | record.LineLost() | record.LineFailed():
                self.release(line)

    def release(self, line: str) -> None:
        """Give up a line: nothing is kept for it any more."""
        self._promised.pop(line, None)

    @property
    def unpriced(self) -> Iterator[str]:
        """Models whose price nobody knows, where there is a budget that should hold them."""
        if self.limit is None:
            return
        for model, provider in dict.fromkeys(self._asked.values()):
            if not prices(model, provider).is_known:
                blind = ", ".join(player for player, tariff in self._asked.items() if tariff == (model, provider))
                yield f"the price of model {model} is unknown, so the budget does not limit {blind}"

    @property
    def near_limit(self) -> bool:
        """Whether it is time to warn; true once."""
        is_news = self._is_near and not self._has_warned
        self._has_warned |= is_news
        return is_news

    @property
    def _is_near(self) -> bool:
        return self.spent >= self._most * NEARLY_ALL

    # ---- what may be spent

    def expected(self, line: str, player: str) -> Decimal:
        """Estimate the dollars of a line if all it says is of the dearest kind, so that its cap leaves room."""
        usage = self._foreseen.get(line)
        if usage is None:
            return self._likely(line, player)
        cost = self._planned_price(player, usage)
        spoken = (usage.text_out + usage.audio_out) * self._per_token(player, "audio" if usage.audio_out else "text")
        return (_read(cost) + spoken + cost.by_kind.get("seconds", ZERO)) * self._correction(player)

    def reserve(self, *lines: tuple[str, str]) -> None:
        """Let lines begin, all or none, by id and player, and keep what they will cost; or raise BudgetExceeded."""
        new = {line: self.expected(line, player) for line, player in lines if line not in self._promised}
        if new:
            self._require(next(iter(new)), sum(new.values(), ZERO))
            self._promised |= new

    @property
    def committed(self) -> Decimal:
        """Dollars that were spent, and that are kept for lines."""
        return self.spent + sum(self._promised.values(), ZERO)

    def tokens(self, line: str, player: str) -> int:
        """Estimate the tokens of a response; of a line that nobody has foreseen, as many as its player's last one."""
        usage = self._foreseen.get(line)
        return self._tokens.get(player, 0) if usage is None else usage.tokens

    def check(self, line: str, player: str) -> None:
        """Tell by a ``BudgetExceeded`` that a line may not begin that nothing is kept for: it costs too much."""
        self._require(line, self.expected(line, player))

    def affords(self, line: str, player: str, besides: Usage = NOTHING, like: Usage | None = None) -> bool:
        """Tell whether a line that has begun may be asked for once more.

        ``besides`` is to be paid first; ``like`` is what the line has used before, when it went well.
        """
        owed = self._owed(line, player, besides)
        again = self._owed(line, player, like) if like else self.expected(line, player)
        return self._covers(owed + again - self._promised.get(line, ZERO))

    def most_tokens(self, line: str, player: str, output: str) -> int | None:
        """Tell how many tokens the next response of a line, ``audio`` or ``text``, may have; None: it has no cap."""
        per_token = self._per_token(player, output)
        if self.limit is None or not per_token:
            return None
        others = sum((promise for name, promise in self._promised.items() if name != line), ZERO)
        left = self.limit - self.spent - others - self._input(line, player)
        tokens = max(1, int(left / per_token))
        return tokens if tokens < MOST_TOKENS else None

    # ---- inside

    def _require(self, line: str, dollars: Decimal) -> None:
        if not self._covers(dollars):
            raise BudgetExceeded(self._most, self.spent, line, dollars)

    def _covers(self, more: Decimal) -> bool:
        """Tell whether the budget has room for so many dollars, on top of what was spent and what is kept for lines."""
        return self.committed + more <= self._most

    def _price(self, player: str, usage: Usage, model: str = "") -> Cost:
        asked, provider = self._asked[player]
        return price(usage, model or self.answering.get(player, asked), provider)

    def _planned_price(self, player: str, usage: Usage) -> Cost:
        """Price what is foreseen as the model that was asked for, where the one that answers has no known price."""
        return price(usage, self._listed(player).model, self._asked[player][1])

    def _listed(self, player: str) -> PriceList:
        asked, provider = self._asked[player]
        listed = prices(self.answering.get(player, asked), provider)
        return listed if listed.is_known else prices(asked, provider)

    def _owed(self, line: str, player: str, usage: Usage) -> Decimal:
        """Price a usage; for each response that was not told, as much as it was likely to cost."""
        cost = self._price(player, usage)
        return cost.known + self._likely(line, player) * max(1, usage.untold) if cost.total is None else cost.total

    def _likely(self, line: str, player: str) -> Decimal:
        """Return what a line is likely to cost, or, if nobody has foreseen it, what its player's last one did."""
        usage = self._foreseen.get(line)
        if usage is None:
            return self._last.get(player) or max(self._last.values(), default=ZERO)
        return self._planned_price(player, usage).known * self._correction(player)

    def _correction(self, player: str) -> Decimal:
        """Tell how much more, or less, lines have cost than was foreseen."""
        if planned := self._planned.get(player):
            return self._paid[player] / planned
        planned = sum(self._planned.values(), ZERO)
        return sum(self._paid.values(), ZERO) / planned if planned else Decimal(1)

    def _input(self, line: str, player: str) -> Decimal:
        """Estimate in dollars what a line reads; if nobody has foreseen it, what its player's last response did."""
        if usage := self._foreseen.get(line):
            return _read(self._planned_price(player, usage)) * self._correction(player)
        return self._read[player]

    def _per_token(self, player: str, output: str) -> Decimal:
        """Return dollars of the dearest token that an answer is made of; nothing, where no price is known."""
        known = self._listed(player).per_million
        kinds = SPOKEN if output == "audio" else ("text_out",)
        return max((known[kind] / MILLION for kind in kinds if kind in known), default=ZERO)


def _broke_off(fact: PAID) -> bool:
    """Tell whether a response broke off before its usage was told, so that nobody knows what it has cost."""
    return isinstance(fact, record.LineFailed) or getattr(fact, "reason", "") in ("dropped", "silent", "interrupted")


def _read(cost: Cost) -> Decimal:
    """Price what was read, as far as prices are known."""
    return sum((cost.by_kind.get(kind, ZERO) for kind in (*LISTENED, *CACHED)), ZERO)
