"""The table at the end: what it cost to speak and to listen, per player."""

from __future__ import annotations

import io

from rich.console import Console

from tau_stage.protocol.usage import Usage
from tau_stage.report.tables import plain_text, tabulate_take
from tau_stage.take import records as record
from tau_stage.take.folding import fold
from tau_stage.take.take_model import Take
from tests.test_take import BEGAN, journal_of, spoken


def plain(take: Take) -> str:
    return plain_text(tabulate_take(take))


def take(*, spent: bool = True, model: str = "gpt-realtime-2.1", **ending: object) -> Take:
    roles = tuple(role.model_copy(update={"model": model}) for role in BEGAN.roles)
    facts = journal_of(
        spoken("clerk-1", "clerk", 48_000, Usage(audio_out=1000), first_audio_s=0.25),
        spoken("tourist-1", "tourist", 24_000, Usage(audio_out=500, audio_in=1000, cached_text_in=1000)),
        record.LineMissed(line="tourist-1", hearer="clerk", problem="clerk is deaf", lost=True),
    )
    end = record.TakeEnded.model_validate({"ended": "complete"} | ending)
    return fold([BEGAN.model_copy(update={"spent": spent, "roles": roles}), *facts[1:-1], end])


def test_each_player_has_a_row_and_the_totals_are_an_estimate() -> None:
    assert plain(take()).splitlines() == [
        "T",
        "player        lines  seconds    spoke  listened   cached    total  latency",
        "clerk (lost)      1      2.0  $0.0640   $0.0000  $0.0000  $0.0640   250 ms",
        "tourist           1      1.0  $0.0320   $0.0320  $0.0004  $0.0644   200 ms",
        "estimate          2      3.0  $0.0960   $0.0320  $0.0004  $0.1284",
        "warning: clerk is deaf",
    ]


def test_on_the_understudy_it_says_that_nothing_was_spent() -> None:
    said = plain(take(spent=False))
    assert "Nothing was spent, because the understudy performed." in said
    assert "estimate what gpt-realtime-2.1 would cost" in said


def test_an_unknown_price_is_never_zero() -> None:
    said = plain(take(model="my-own"))
    assert "unknown" in said
    assert "cost unknown: clerk, tourist: a price or a reported usage is missing; the cost is at least $0.0000" in said


def test_usage_that_was_not_told_is_unknown_and_what_is_known_is_told_too() -> None:
    facts = journal_of(
        spoken("clerk-1", "clerk", 48_000, Usage(untold=1)),
        spoken("tourist-1", "tourist", 24_000, Usage(audio_out=500)),
    )
    said = plain(fold(facts))
    assert "cost unknown: clerk: " in said
    assert "the cost is at least $0.0320" in said


def test_what_is_built_on_sums_is_marked() -> None:
    facts = journal_of(
        spoken("clerk-1", "clerk", 48_000, Usage(audio_out=1000, estimated=True)),
        spoken("tourist-1", "tourist", 24_000, Usage(audio_out=500)),
    )
    _, _, clerk, tourist, total, note = plain(fold(facts)).splitlines()
    assert "~$0.0640" in clerk
    assert "~" not in tourist
    assert "~$0.0960" in total
    assert note == "estimated: clerk: usage was reported only partly or only as totals; the highest price is used"


def test_what_stopped_it_is_the_last_word() -> None:
    assert plain(take(ended="failed", problem="line x: no")).endswith("\nfailed: line x: no")


def test_on_a_terminal_it_fits_eighty_columns() -> None:
    drawn = io.StringIO()
    Console(file=drawn, width=80).print(tabulate_take(take(ended="budget", problem="too dear")))
    text = drawn.getvalue()
    assert all(word in text for word in ("tourist", "$0.1284", "warning: clerk is deaf", "budget: too dear"))
    assert "…" not in text
