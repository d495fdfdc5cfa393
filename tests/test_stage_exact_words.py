"""Lines whose words must be said exactly: what is asked again, how often, what is kept, and what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.checks.checking import check
from tau_stage.checks.metrics import measure
from tau_stage.checks.verdict import Verdict
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.report.page import ending
from tau_stage.scene.plan import Plan, PlayerPlan
from tau_stage.stage.performance import perform
from tau_stage.stage.sessions import Stage, open_stage
from tau_stage.stage.takes import TakeOption, pick_take
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.take_model import Performed, Take
from tau_stage.text import same_words
from tau_stage.transport import Transport
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.delivery import requested_line
from tau_stage.understudy.faults import RewordLines
from tau_stage.understudy.server import Understudy, open_understudy
from tau_stage.understudy.settings import profile_named
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.support.memory_server import connected
from tests.support.scripted_providers import ScriptedProvider
from tests.support.tone_voice import Tones, tone

SCENE = """
words: exact
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: I do not know where the key is.%s
  - bob: Nor do I.
"""
ASKED = "I do not know where the key is."


class Wayward(Tones):
    """Says lines otherwise than they are asked for, as often as it is told, then as they are."""

    def __init__(self, said: Mapping[str, Sequence[str]]) -> None:
        self.left = {asked: list(words) for asked, words in said.items()}

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        line = requested_line(request)
        if line and self.left.get(line.words):
            words = self.left[line.words].pop(0)
            return SpokenLine(words, tone(request.voice, words or line.words))
        return await super().speak(request)


def house_where(folder: Path, *said: str, asked: str = ASKED) -> Playhouse:
    """A house whose understudy says a line otherwise, one after the other, then as it is asked for."""
    house = Playhouse(folder)
    house.understudy.actor = Wayward({asked: said})
    return house


def judged(house: Playhouse, plan: Plan, take: Take) -> list[Verdict]:
    """What the scene's expectations say of a take."""
    return check(plan, take, measure(take, house.file))


def line_of(take: Take, name: str) -> Performed:
    return next(line for line in take.lines if line.id == name)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("I don't know where the key is.", "it said “don't” instead of “do not”"),
        ("I do not know where it is.", "it said “it” instead of “the key”"),
        ("I do not know the key is.", "it left out “where”"),
        ("Well, I do not know where the key is.", "it added “Well”"),
    ],
    ids=["contracted", "reworded", "left out", "added"],
)
async def test_a_line_with_other_words_is_asked_for_again_with_what_was_wrong(
    tmp_path: Path, said: str, told: str
) -> None:
    house = house_where(tmp_path, said)
    take = await house.perform(SCENE % "")
    line = line_of(take, "ann-1")
    assert (line.said, line.exact, line.take) == (ASKED, True, 2)
    assert [(other.said, other.exact) for other in line.alternatives] == [(said, False)]
    first, again = house.items("ann")[:2]
    assert first == f'user: Perform this line: "{ASKED}"'
    assert again.startswith(f"user: The last take did not match the line: {told}. Say every word")
    assert again.endswith(f'\nPerform this line: "{ASKED}"')
    assert not [warning for warning in take.warnings if "words differ" in warning]


async def test_a_player_remembers_its_line_as_it_was_first_asked_for(tmp_path: Path) -> None:
    house = house_where(tmp_path, "I have lost the key.", "I do not know.")
    await house.perform(SCENE % "")
    made = [event["item"]["id"] for event in house.received("ann", "conversation.item.added")]
    gone = [event["item_id"] for event in house.received("ann", "conversation.item.deleted")]
    kept = [item for item in made if item not in gone]
    assert kept[0] == "line_1"
    assert len(kept) == 3  # what it was asked, what it said, and what it heard of bob
    assert {"line_1_2", "line_1_3"} <= {*gone}


async def test_the_closest_take_is_kept_where_none_is_exact(tmp_path: Path) -> None:
    said = ("I have lost it.", "I do not know where that key is.", "Who knows?", "never asked for")
    house = house_where(tmp_path, *said)
    plan = plan_of("expect: {exact: true}" + SCENE % "\n    expect: {exact: true}")
    take = await house.perform(plan)
    line = line_of(take, "ann-1")
    assert (line.said, line.exact, line.take) == (said[1], False, 2)
    assert [other.said for other in line.alternatives] == [said[0], said[2]]
    assert len(house.sent("ann", "response.create")) == 3
    warning = f"line ann-1, player ann: the spoken words differ from the scene: “{said[1]}”"
    assert warning in take.warnings
    assert line_of(take, "bob-1").exact is True
    assert [ending(each) for each in take.lines] == ["words differ from the scene", ""]
    failed = [verdict.message for verdict in judged(house, plan, take) if not verdict.passed]
    assert [message.partition(":")[0] for message in failed] == ["the scene", "ann-1"]
    assert all("ann-1 said “I do not know where that key is.”" in message for message in failed)


async def test_every_take_is_paid_for(tmp_path: Path) -> None:
    house = house_where(tmp_path, "I have lost it.", "Who knows?")
    take = await house.perform(SCENE % "")
    line = line_of(take, "ann-1")
    bills = [sum(bill["total_tokens"] for bill in visit.bill.values()) for visit in house.understudy.visits]
    assert [player.usage.tokens for player in take.players] == bills
    assert len(house.sent("ann", "response.create")) == 3
    assert line.usage.tokens == bills[0]
    assert line.cost.total == take.players[0].cost.total


@pytest.mark.parametrize(("options", "takes"), [("\n    takes: 1", 1), ("\n    takes: 5", 5), ("", 3)])
async def test_a_line_is_asked_for_as_often_as_it_may_be(tmp_path: Path, options: str, takes: int) -> None:
    house = house_where(tmp_path, *["Who knows?"] * 9)
    take = await house.perform(SCENE % options)
    assert len(house.sent("ann", "response.create")) == takes
    assert line_of(take, "ann-1").exact is False


async def test_equal_texts_are_never_asked_for_again(tmp_path: Path) -> None:
    variants = {
        "Don't go, it's late.": "Don’t go – it’s LATE!",
        "Zoë paid 1,000 for the café.": "Zoe\u0308 paid 1000 for the cafe\u0301",
        "[sighs] A twenty-one year *old* boat?": "“A twenty one year old boat”",
        "So...": "so",
    }
    house = Playhouse(tmp_path)
    house.understudy.actor = Wayward({asked: [said] for asked, said in variants.items()})
    lines = "".join(f"  - ann: '{asked.replace(chr(39), chr(39) * 2)}'\n" for asked in variants)
    take = await house.perform(f"words: exact\nplayers: {{ann: , bob: }}\nlines:\n{lines}  - bob: Hm.\n")
    assert [line.said for line in take.lines][:-1] == [*variants.values()]
    assert {line.exact for line in take.lines} == {True}
    assert len(house.sent("ann", "response.create")) == len(variants)


WORDS = st.lists(st.text("abcdeéßñ0123", min_size=1, max_size=6), min_size=1, max_size=8)
SIGNS = st.lists(st.sampled_from([" ", ", ", "; ", " – ", "... ", "! ", "\n", " “", "” "]), min_size=9, max_size=9)


@given(words=WORDS, signs=SIGNS, others=SIGNS, upper=st.booleans())
def test_signs_and_case_make_no_other_words(words: list[str], signs: list[str], others: list[str], upper: bool) -> None:
    one, other = ("".join(map("".join, zip(words, around, strict=False))) for around in (signs, others))
    assert same_words(one, other.upper() if upper else other)


async def test_what_nobody_transcribes_is_not_known(tmp_path: Path) -> None:
    house = house_where(tmp_path, "")
    plan = plan_of(SCENE % "\n    expect: {exact: true}")
    take = await house.perform(plan)
    assert (line_of(take, "ann-1").said, line_of(take, "ann-1").exact) == ("", None)
    assert len(house.sent("ann", "response.create")) == 1
    (verdict,) = judged(house, plan, take)
    assert (verdict.outcome, verdict.measured) == ("error", "unknown")


async def test_words_are_free_where_nothing_else_is_said(tmp_path: Path) -> None:
    house = house_where(tmp_path, "Who knows?")
    take = await house.perform(SCENE % "\n    words: free")
    assert (line_of(take, "ann-1").said, line_of(take, "ann-1").exact) == ("Who knows?", None)
    assert line_of(take, "bob-1").exact is True


async def test_several_takes_are_performed_where_somebody_chooses_by_more_than_words(tmp_path: Path) -> None:
    said = (f"{ASKED} Or so.", ASKED, "No.")
    house = house_where(tmp_path, *said)
    take = await house.perform(SCENE % "\n    takes: 3\n    pick: shortest")
    line = line_of(take, "ann-1")
    assert (line.said, line.take, len(line.alternatives)) == (ASKED, 2, 2)


def test_an_exact_take_is_picked_before_others() -> None:
    options = [TakeOption("No.", 0.2), TakeOption("Yes.", 0.5, exact=True), TakeOption("Yes!", 0.4, exact=True)]
    picks = {pick: pick_take("Yes.", options, pick) for pick in ("closest", "first", "shortest")}
    assert picks == {"closest": 1, "first": 1, "shortest": 2}


async def test_the_budget_is_looked_at_before_each_take(tmp_path: Path) -> None:
    house = house_where(tmp_path, *["Who knows where the key to this old house may be by now?"] * 9)
    budget = Decimal("0.0025")
    take = await house.perform(SCENE % "\n    takes: 9", budget=budget)
    asked = len(house.sent("ann", "response.create"))
    assert 1 < asked < 9
    assert f"line ann-1: stopped after {asked} of 9 takes because another take would exceed the budget" in take.warnings
    assert (take.cost.total or Decimal(0)) <= budget


async def test_a_line_beside_the_conversation_is_told_in_its_instructions(tmp_path: Path) -> None:
    house = house_where(tmp_path, "Who knows?")
    take = await house.perform(SCENE % "\n    conversation: none")
    told = [event["response"]["instructions"] for event in house.sent("ann", "response.create")]
    assert line_of(take, "ann-1").exact is True
    assert ["The last take" in each for each in told] == [False, True]
    assert all(each.endswith(f'Perform this line: "{ASKED}"') for each in told)


async def test_a_take_that_goes_on_asks_for_nothing_again(tmp_path: Path) -> None:
    """A performance that is stopped after the first take has it still."""
    house = house_where(tmp_path, "Who knows?", "I do not know where.")
    plan = plan_of(SCENE % "")
    await house.perform(plan)
    journal = house.folder.journal
    text = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(at for at, fact in enumerate(text) if '"type":"take_kept"' in fact)
    journal.write_text("".join(text[: first + 1]), encoding="utf-8")
    again = house_where(tmp_path, "never mind")
    take = await again.perform(plan, again=house.folder)
    line = line_of(take, "ann-1")
    assert (line.said, line.exact, line.take) == (ASKED, True, 3)
    assert [other.said for other in line.alternatives] == ["Who knows?", "never mind"]
    assert [fact.take for fact in again.facts(record.TakeKept) if fact.line == "ann-1"] == [1, 2, 3]


async def test_an_exact_take_from_before_a_stop_is_the_line(tmp_path: Path) -> None:
    house = house_where(tmp_path)
    plan = plan_of(SCENE % "")
    await house.perform(plan)
    journal = house.folder.journal
    text = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(at for at, fact in enumerate(text) if '"type":"take_kept"' in fact)
    journal.write_text("".join(text[: first + 1]), encoding="utf-8")
    again = house_where(tmp_path)
    take = await again.perform(plan, again=house.folder)
    assert line_of(take, "ann-1").exact is True
    assert [call["response"]["metadata"]["line"] for call in again.sent("ann", "response.create")] == []


async def test_a_line_that_is_cut_is_not_held_against_its_words(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE % "\n" + "    cut_in: {on: ann, after: 200ms}\n")
    assert line_of(take, "ann-1").exact is None
    assert len(house.sent("ann", "response.create")) == 1


# ---- servers that speak a text as it stands


SPOKEN = """
words: exact
pronounce: {key: quay}
players: {ann: {voice: %s}, bob: {voice: %s}}
lines:
  - ann: (sadly) I do not know [sighs] where the *key* is.
  - bob: Nor do I.
  - ann: So be it.
    words: free
"""


@pytest.mark.parametrize(("name", "part"), [("xai", "output_text"), ("azure-voice-live", "text")])
async def test_exact_words_are_spoken_as_they_stand_where_the_server_can(name: str, part: str, tmp_path: Path) -> None:
    provider = ScriptedProvider(name)
    first, second, _ = provider.script["voices"]
    plan = plan_of(f'model: "{provider.script["model"]}"\nendpoint: {name}' + SPOKEN % (first, second))
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "1")
    stage = Stage(lambda _player: provider.connected(), lambda _player: provider.place)
    take = await perform(plan, stage, folder)
    assert [(line.said, line.exact) for line in take.lines] == [
        ("I do not know where the key is.", True),
        ("Nor do I.", True),
        ("So be it.", None),
    ]
    assert [[hearing.player for hearing in line.hearers if hearing.heard_at_s is not None] for line in take.lines] == [
        ["bob"],
        ["ann"],
        ["bob"],
    ]
    content = [{"type": part, "text": "I do not know where the quay is."}]
    if name == "xai":
        forced = provider.sent("conversation.item.create")[0]["item"]
        assert forced == {"type": "force_message", "role": "assistant", "content": content}
        assert len(provider.sent("response.create")) == 1
    else:
        asked = provider.sent("response.create")[0]["response"]["pre_generated_assistant_message"]
        assert asked == {"type": "message", "role": "assistant", "content": content}
    told = [
        item["content"][0].get("text", "") for item in (e["item"] for e in provider.sent("conversation.item.create"))
    ]
    assert [text for text in told if "Perform" in text] == ['Perform this line: "So be it."']


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("name", "voices"), [("xai", ("ara", "eve")), ("azure-voice-live", ("en-US-AvaNeural", "coral"))]
)
async def test_an_understudy_of_such_a_server_speaks_a_text_as_it_stands(
    name: str, voices: tuple[str, str], tmp_path: Path
) -> None:
    """Over real sockets; the model itself would say other words."""
    house = Understudy(Tones(), profile=profile_named(name), faults=[RewordLines(times=9)], keeps_visits=True)
    model = "grok-voice-latest" if name == "xai" else "gpt-realtime"
    async with open_understudy(house) as url:
        plan = plan_of(f"endpoint: {name}+{url}\nmodel: {model}" + SPOKEN % voices)
        folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "1")
        async with open_stage([plan], {}) as stage:
            take = await perform(plan, stage, folder)
    assert [(line.said, line.exact, line.attempts) for line in take.lines] == [
        ("I do not know where the key is.", True, 1),
        ("Nor do I.", True, 1),
        ("Well, So be", None, 1),
    ]
    assert not [warning for warning in take.warnings if "status_details" not in warning]
    assert all(line.usage.audio_out or line.usage.seconds for line in take.lines)
    assert not sum(line.usage.text_in + line.usage.audio_in for line in take.lines[:2])


async def test_a_line_is_asked_for_again_where_an_understudy_rewords_it(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, [RewordLines(times=2)])
    take = await house.perform(SCENE % "")
    line = line_of(take, "ann-1")
    assert [other.said for other in line.alternatives] == ["I don't know where the key is."] * 2
    assert (line.said, line.exact, line.take) == (ASKED, True, 3)


async def test_a_model_is_asked_where_its_server_refuses_to_speak_a_text(tmp_path: Path) -> None:
    """As where an address of the user's own is less like another endpoint than it is said to be."""
    house = Understudy(Tones())
    place = replace(ENDPOINTS["understudy"], speaks_verbatim=True)

    @asynccontextmanager
    async def connect(_player: PlayerPlan) -> AsyncIterator[Transport]:
        async with connected(house) as judged:
            yield judged.inner  # no client of OpenAI's sends such a field

    stage = Stage(connect, lambda _player: place)
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "1")
    take = await perform(plan_of(SPOKEN % ("ash", "sage") + "  - bob: No.\n"), stage, folder)
    assert [line.exact for line in take.lines] == [True, True, None, True]
    assert {line.attempts for line in take.lines} == {1}
    told = "Unknown parameter: 'response.pre_generated_assistant_message'.); the model is asked to say the line instead"
    assert [warning.partition(":")[0] for warning in take.warnings if told in warning] == ["player ann", "player bob"]
