"""Two takes side by side: what differs, how much, and what is worth a look first."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tau_stage.report.compare import Comparison, compare_takes, comparison_data, tabulate_comparison
from tau_stage.report.tables import plain_text
from tau_stage.take.take_model import Take
from tau_stage.text import diff_words
from tests.support.in_memory_stage import Playhouse

FIRST = """
scene: The door
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}
lines:
  - ann: Who left the red door open?
    id: who
  - bob: Nobody did.
    id: nobody
  - cid: Ask the wind.
    id: wind
  - ann: Good night.
    id: night
"""
SECOND = """
scene: The door
players: {ann: {voice: ash}, bob: {voice: verse}, cid: {voice: coral}}
lines:
  - ann: Who left the blue door open, and why did nobody ever tell me of it?
    id: who
  - cid: Ask the wind.
    id: wind
  - bob: Nobody did.
    id: nobody
    to: [cid]
  - bob: Sleep well.
    id: sleep
"""


@pytest.fixture
async def first(tmp_path: Path) -> Take:
    return await Playhouse(tmp_path / "first").perform(FIRST)


@pytest.fixture
async def second(tmp_path: Path) -> Take:
    return await Playhouse(tmp_path / "second").perform(SECOND)


def plain(comparison: Comparison) -> str:
    return plain_text(tabulate_comparison(comparison))


def differing(told: Comparison, line: str) -> set[str]:
    (pair,) = (pair for pair in told.pairs if pair.id == line)
    return {difference.what for difference in pair.differences}


def with_line(take: Take, name: str, **facts: object) -> Take:
    lines = tuple(line.model_copy(update=facts if line.id == name else {}) for line in take.lines)
    return take.model_copy(update={"lines": lines})


async def test_a_take_beside_itself_differs_in_nothing(first: Take) -> None:
    told = compare_takes(first, first)
    assert (told.worth_a_look, told.changes) == ((), ())
    assert "no differences in 4 lines" in plain(told)
    assert "worth a look" not in plain(told)
    assert "words:" not in plain(told)


async def test_lines_are_paired_by_id_whatever_their_place(first: Take, second: Take) -> None:
    told = compare_takes(first, second)
    assert {pair.id: (pair.a is not None, pair.b is not None) for pair in told.pairs} == {
        "who": (True, True),
        "nobody": (True, True),
        "wind": (True, True),
        "night": (True, False),
        "sleep": (False, True),
    }
    assert differing(told, "night") == differing(told, "sleep") == {"only"}
    moved = [name for name in ("who", "nobody", "wind") if "place" in differing(told, name)]
    assert moved in (["nobody"], ["wind"])


async def test_what_differs_most_comes_first(first: Take, second: Take) -> None:
    looks = compare_takes(first, second).worth_a_look
    assert [pair.weight for pair in looks] == sorted((pair.weight for pair in looks), reverse=True)
    assert {pair.id for pair in looks[:2]} == {"night", "sleep"}
    assert looks[2].id == "who"


async def test_words_are_compared_one_by_one(first: Take, second: Take) -> None:
    told = compare_takes(first, second)
    assert differing(told, "who") >= {"asked", "said", "seconds"}
    (who,) = (pair for pair in told.pairs if pair.id == "who")
    assert [(piece.kind, piece.words) for piece in who.said][:4] == [
        ("same", "Who left the"),
        ("gone", "red"),
        ("new", "blue"),
        ("same", "door"),
    ]
    assert "who said: Who left the [-red-] {+blue+} door [-open?-] {+open, and why" in plain(told)


async def test_hearers_voices_and_the_scene_are_told(first: Take, second: Take) -> None:
    told = compare_takes(first, second)
    assert "hearers" in differing(told, "nobody")
    changes = {(change.of, change.what): (change.a, change.b) for change in told.changes}
    assert changes["bob", "voice"] == ("sage", "verse")
    assert ("scene", "sha256") in changes
    assert ("ann", "voice") not in changes


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"ended": "cancelled", "reason": "cut_in"}, "completed"),
        ({"first_audio_s": 9.0}, "later"),
        ({"duration_s": 9.0}, "longer"),
        ({"attempts": 3}, "attempts"),
        ({"direction": "softly"}, "direction softly, was none"),
        ({"player": "bob"}, "spoken by bob, was ann"),
        ({"said": "WHO left the red door, open"}, "same words, different spelling"),
    ],
)
async def test_each_thing_that_differs_is_told(first: Take, facts: dict[str, object], what: str) -> None:
    told = compare_takes(first, with_line(first, "who", **facts))
    (pair,) = told.worth_a_look
    assert pair.id == "who"
    assert any(what in difference.told for difference in pair.differences)


async def test_loudness_is_compared_where_both_are_known(first: Take) -> None:
    told = compare_takes(first, first, ({"who": -20.0, "wind": -20.0, "night": -20.2}, {"who": -14.0, "night": -20.0}))
    (pair,) = told.worth_a_look
    assert [difference.told for difference in pair.differences] == ["6.0 dB louder"]
    assert "+6.0" in plain(told)


async def test_an_unknown_cost_is_never_zero(first: Take) -> None:
    unknown = first.lines[0].cost.model_copy(update={"total": None})
    other = with_line(first, "who", cost=unknown).model_copy(update={"cost": unknown})
    told = compare_takes(first, other)
    assert "cost unknown in B" in plain(told)
    (row,) = (line for line in plain(told).splitlines() if line.startswith("cost, an estimate"))
    assert row.split()[-2:] == ["unknown", "-"]
    dear = first.lines[0].cost.model_copy(update={"total": Decimal(1)})
    assert "more expensive" in plain(compare_takes(first, with_line(first, "who", cost=dear)))


async def test_as_json_it_holds_every_figure(first: Take, second: Take) -> None:
    told = json.loads(json.dumps(comparison_data(compare_takes(first, second, ({"who": -20.0}, {})))))
    assert (told["version"], told["worth_a_look"][2]) == (1, "who")
    lines = {line["id"]: line for line in told["lines"]}
    assert lines["who"]["a"]["loudness_dbfs"] == -20.0
    assert lines["who"]["b"]["loudness_dbfs"] is None
    assert lines["night"]["b"] is None
    assert lines["nobody"]["b"]["heard_by"] == ["cid"]
    assert Decimal(told["totals"]["cost, an estimate"]["a"]) == first.cost.total


def drawn(told: Comparison, width: int) -> str:
    shown = io.StringIO()
    Console(file=shown, width=width).print(tabulate_comparison(told))
    return shown.getvalue()


async def test_both_tables_fit_a_hundred_columns_and_move_no_cursor(first: Take, second: Take) -> None:
    name = "an-id-" * 30
    hostile = {"id": name, "said": "\x1b[2J\u202eword " * 100 + "x" * 300, "direction": "slowly " * 40}
    told = compare_takes(first, with_line(second, "sleep", **hostile), ({name: -20.0}, {name: -10.0}))
    for text in (plain(told), drawn(told, 100)):
        assert max(map(len, text.splitlines())) <= 100
        assert not {"\x1b", "\u202e", "…"} & set(text)
        assert "largest differences" in text
        assert all(pair in text for pair in ("who", "nobody", "wind", "night"))


@given(st.text(alphabet="ab \n", max_size=30), st.text(alphabet="ab \n", max_size=30))
def test_both_wordings_can_be_had_from_their_difference(a: str, b: str) -> None:
    pieces = diff_words(a, b)
    for text, other in ((a, "new"), (b, "gone")):
        kept = " ".join(piece.words for piece in pieces if piece.kind != other)
        assert kept == " ".join(text.split())


def test_a_wording_without_end_is_compared_in_no_time() -> None:
    assert [piece.kind for piece in diff_words("a b " * 5000, "b c " * 5000)] == ["gone", "new"]
