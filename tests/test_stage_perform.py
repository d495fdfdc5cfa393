"""Scenes are performed whole, everybody hears what was said, what goes wrong is told. On a virtual clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import anyio
import numpy as np
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import read_wav
from tau_stage.cost import price
from tau_stage.gate import Gate, LocalGate
from tau_stage.protocol.endpoints import endpoint
from tau_stage.scene.load import load_scene, parse_scene
from tau_stage.scene.plan import Plan, PlayerPlan
from tau_stage.scene.planner import make_plan
from tau_stage.session import Deadlines
from tau_stage.stage.events import AudioProgress, Event, HearingBegan, OpeningBegan, OpeningQueued
from tau_stage.stage.performance import PerformanceOptions, perform
from tau_stage.stage.sessions import Provider, Stage
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.journal import read_journal
from tau_stage.take.take_model import Take
from tau_stage.transport import Handshake, Transport
from tau_stage.understudy import faults as fault
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.memory_server import Judged, connected
from tests.support.tone_voice import Tones, tone

UMBRELLA = make_plan(load_scene(Path(__file__).parent.parent / "scenes" / "umbrella.yaml"))

TRIO = """
players:
  ann: {voice: ash}
  bob: {voice: sage}
  cid: {voice: coral}
lines:
  - ann: One.
  - bob: Two.
  - ann: Three.
"""


def plan_of(text: str) -> Plan:
    return make_plan(parse_scene(text, "trio.yaml"))


def stage_for(understudy: Understudy, *, deadlines: Deadlines | None = None, gate: Gate | None = None) -> Stage:
    def connect(player: PlayerPlan) -> AbstractAsyncContextManager[Transport]:
        return connected(understudy, Handshake(query={"model": player.model}))

    return Stage(connect, gate=gate or LocalGate(), deadlines=deadlines or Deadlines())


@pytest.fixture
def house() -> Understudy:
    return Understudy(Tones(), keeps_visits=True)


@pytest.fixture
def folder(tmp_path: Path) -> TakeFolder:
    return TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "a")


async def test_every_line_is_performed_and_everybody_else_hears_exactly_what_was_said(
    house: Understudy, folder: TakeFolder
) -> None:
    take = await perform(UMBRELLA, stage_for(house), folder)
    assert (take.ended, take.problem, take.warnings) == ("complete", "", ())
    assert [line.said for line in take.lines][2] == "The last one today. There may be another by spring."
    visits = dict(zip([player.name for player in UMBRELLA.opening_order], house.visits, strict=True))
    for line in take.lines:
        spoken = read_wav(folder.path / str(line.file))
        assert spoken.sha256 == line.sha256
        assert {hearing.player for hearing in line.hearers} == {"clerk", "tourist", "stranger"} - {line.player}
        for hearing in line.hearers:
            assert visits[hearing.player].heard[f"heard_{line.number}_1"] == spoken
            assert hearing.sha256 == spoken.sha256
            assert hearing.heard_at_s is not None
        assert f"heard_{line.number}_1" not in visits[line.player].heard
    for visit in visits.values():
        assert list(visit.heard) == sorted(visit.heard)


async def test_stems_line_up_and_their_sum_is_the_lines_with_the_pauses(house: Understudy, folder: TakeFolder) -> None:
    take = await perform(UMBRELLA, stage_for(house), folder)
    stems = {player.name: read_wav(folder.path / str(player.stem)).array for player in take.players}
    assert {len(stem) for stem in stems.values()} == {take.samples}
    laid = np.zeros(take.samples, dtype=np.int16)
    for line in take.lines:
        span = slice(line.offset_samples, line.offset_samples + line.samples)
        laid[span] = read_wav(folder.path / str(line.file)).array
        for name, stem in stems.items():
            assert stem[span].any() == (name == line.player)
    assert np.array_equal(sum(stems.values()), laid)
    gaps = [after.offset_samples - before.offset_samples - before.samples for before, after in pairwise(take.lines)]
    assert set(gaps) == {round(0.35 * 24_000)}


async def test_what_is_left_is_whole_and_the_take_is_a_fold_of_the_journal(
    house: Understudy, folder: TakeFolder
) -> None:
    take = await perform(UMBRELLA, stage_for(house), folder)
    names = {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()}
    lines = {str(line.file) for line in take.lines}
    assert names == {
        "journal.jsonl",
        "take.json",
        "cost.json",
        *lines,
        *(f"stems/{n}.wav" for n in ("clerk", "tourist", "stranger")),
    }
    assert Take.model_validate_json((folder.path / "take.json").read_text()) == take
    assert fold(read_journal(folder.journal)) == take
    assert (folder.path.parent / "latest").resolve() == folder.path.resolve()


async def test_two_performances_give_the_same_files(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        folder = TakeFolder.create(tmp_path, "scene", datetime.now(UTC), name)
        await perform(UMBRELLA, stage_for(Understudy(Tones())), folder)
        found.append({path.relative_to(folder.path): path.read_bytes() for path in folder.path.rglob("*.wav")})
    assert found[0] == found[1]
    assert len(found[0]) == 11


async def test_one_round_trip_per_line_words_and_request_leave_together(house: Understudy, folder: TakeFolder) -> None:
    transports: list[Judged] = []
    stage = stage_for(house)

    @asynccontextmanager
    async def connect(player: PlayerPlan) -> AsyncIterator[Transport]:
        async with connected(house, Handshake(query={"model": player.model})) as transport:
            transports.append(transport)
            yield transport

    await perform(plan_of("players: {ann: {voice: ash}}\nlines: [ann: One.]"), Stage(connect, gate=stage.gate), folder)
    sent = [json.loads(frame) for frame in transports[0].sent]
    assert [event["type"] for event in sent] == ["session.update", "conversation.item.create", "response.create"]
    assert sent[1]["item"]["content"] == [{"type": "input_text", "text": 'Perform this line: "One."'}]
    assert sent[2]["response"]["metadata"]["line"] == "ann-1"


async def test_costs_of_a_three_line_scene_by_hand(house: Understudy, folder: TakeFolder) -> None:
    plan = plan_of("model: gpt-realtime-2.1\n" + TRIO.replace("  cid: {voice: coral}\n", ""))
    take = await perform(plan, stage_for(house), folder)
    # a prompt like 'Perform this line: "One."' has 25 bytes, 7 tokens; "Three." makes it 27 bytes, 7 tokens
    # a tone lasts 0.02 s a character: "One." and "Two." 0.08 s, "Three." 0.12 s; at 20 tokens a second spoken: 2, 2, 3
    # heard by the other at 10 tokens a second: 1, 1
    # what the model thinks before it speaks is billed as text; so little is not cached
    used = [line.usage for line in take.lines]
    first, second, third = (usage.text_out - words for usage, words in zip(used, (1, 1, 2), strict=True))
    one = replace(used[0], text_in=7, text_out=1 + first, audio_out=2, audio_in=0, cached_text_in=0)
    two = replace(used[1], audio_in=1, text_in=7, text_out=1 + second, audio_out=2)  # bob heard one, then was asked
    three = replace(used[2], audio_in=2 + 1, text_in=7 + 7, text_out=2 + third, audio_out=3)  # ann: her line, bob's
    assert used == [one, two, three]
    assert all(15 <= thought <= 30 for thought in (first, second, third))
    ann, bob = take.players
    assert ann.cost.spoken == (Decimal(24) * (3 + first + third) + Decimal(64) * 5) / 1_000_000
    assert ann.cost.listened == (Decimal(4) * 21 + Decimal(32) * 3) / 1_000_000
    assert ann.cost.cached == 0
    spoken = Decimal(24) * (1 + second) + Decimal(64) * 2
    assert bob.cost.total == (Decimal(4) * 7 + Decimal(32) * 1 + spoken) / 1_000_000
    assert take.cost.total == price(one + two + three, "gpt-realtime-2.1").total
    assert sum(len(visit.bill) for visit in house.visits) == 3


async def test_sessions_open_one_at_a_time_in_the_order_of_their_first_lines(
    house: Understudy, folder: TakeFolder
) -> None:
    plan = plan_of(TRIO.replace("ann: One", "bob: One") + "limits: {start_rate: 6/min}\n")
    take = await perform(plan, stage_for(house), folder)
    assert take.ended == "complete"
    assert [player.sessions for player in take.players] == [("sess_0002",), ("sess_0001",), ("sess_0003",)]
    opened = [visit.opened_at for visit in house.visits]
    assert [round(later - earlier) for earlier, later in pairwise(opened)] == [10, 10]


async def test_sessions_open_in_the_gap_that_their_endpoint_wants(house: Understudy, folder: TakeFolder) -> None:
    provider = replace(stage_for(house), provider_of=lambda _player: endpoint("openai"))
    for number, (stage, wanted) in enumerate([(stage_for(house), [0, 0]), (provider, [0.2, 0.2])]):
        house.visits.clear()
        own = TakeFolder.create(folder.path.parent.parent, "scene", datetime.now(UTC), f"gap{number}")
        assert (await perform(plan_of(TRIO), stage, own)).ended == "complete"
        opened = [visit.opened_at for visit in house.visits]
        assert [round(later - earlier, 3) for earlier, later in pairwise(opened)] == wanted


async def test_a_busy_provider_is_waited_for_one_session_at_a_time(folder: TakeFolder) -> None:
    house = Understudy(Tones(), faults=[fault.BusyDoor(times=2, retry_after_s=5)], keeps_visits=True)
    take = await perform(plan_of(TRIO), stage_for(house), folder)
    assert take.ended == "complete"
    assert [player.opening_attempts for player in take.players] == [3, 1, 1]
    assert sum("HTTP 429" in warning for warning in take.warnings) == 2
    waits = np.diff([*house.refused, house.visits[0].opened_at])
    assert all(5 <= wait <= 6.25 for wait in waits)
    for earlier, later in pairwise(house.visits):
        assert earlier.ready_at is not None
        assert earlier.ready_at <= later.opened_at


@pytest.mark.parametrize(
    ("house", "facts"),
    [
        (Understudy(Tones(), key="right", keeps_visits=True), ("invalid_api_key", "3000")),
        (
            Understudy(Tones(), faults=[fault.RefuseInBand("insufficient_quota", 1013)], keeps_visits=True),
            ("insufficient_quota", "1013"),
        ),
    ],
)
async def test_what_never_passes_fails_at_once_and_names_player_and_endpoint(
    house: Understudy, facts: tuple[str, ...], folder: TakeFolder
) -> None:
    began = anyio.current_time()
    take = await perform(plan_of(TRIO), stage_for(house), folder)
    assert take.ended == "failed"
    assert all(fact in take.problem for fact in (*facts, "player ann", "at understudy"))
    assert anyio.current_time() - began < 5
    assert len(house.visits) == 1
    assert [player.status for player in take.players] == ["never opened"] * 3
    assert not (folder.path.parent / "latest").exists()


async def test_a_hearer_that_stops_reading_delays_nobody_and_is_named(folder: TakeFolder) -> None:
    house = Understudy(Tones(), faults=[fault.Strike("stall", "hearing", visit=3)], keeps_visits=True)
    take = await perform(plan_of(TRIO), stage_for(house, deadlines=Deadlines(request_s=8)), folder)
    assert take.ended == "complete"
    assert [player.status for player in take.players] == ["played", "played", "lost"]
    assert any("player cid" in warning and "lost" in warning for warning in take.warnings)
    for line in take.lines:
        others = [hearing for hearing in line.hearers if hearing.player != "cid"]
        assert all(hearing.heard_at_s is not None and hearing.heard_at_s < 2 for hearing in others)


async def test_a_player_that_is_lost_before_its_line_ends_the_scene(folder: TakeFolder) -> None:
    house = Understudy(Tones(), faults=[fault.Strike("stall", "hearing", visit=2)])
    take = await perform(
        plan_of(TRIO + "limits: {on_lost_player: stop}\n"), stage_for(house, deadlines=Deadlines(request_s=8)), folder
    )
    assert take.ended == "failed"
    assert "line bob-1, player bob" in take.problem or "player bob" in take.problem
    assert [line.id for line in take.lines] == ["ann-1"]
    assert read_wav(folder.path / "stems" / "ann.wav").array.any()


async def test_a_rate_limit_within_a_turn_is_waited_for_and_nothing_is_heard_twice(folder: TakeFolder) -> None:
    house = Understudy(
        Tones(), faults=[fault.FailResponses(times=2, message="Please try again in 300ms.")], keeps_visits=True
    )
    take = await perform(plan_of(TRIO), stage_for(house), folder)
    assert take.ended == "complete"
    assert [line.attempts for line in take.lines] == [3, 1, 1]
    assert take.lines[0].took_s >= 0.6
    assert [list(visit.heard) for visit in house.visits] == [
        ["heard_2_1"],
        ["heard_1_1", "heard_3_1"],
        ["heard_1_1", "heard_2_1", "heard_3_1"],
    ]


async def test_a_response_that_fails_for_good_ends_the_scene_with_the_providers_words(folder: TakeFolder) -> None:
    house = Understudy(Tones(), faults=[fault.FailResponses(times=9, code="content_policy", message="No.")])
    take = await perform(plan_of(TRIO), stage_for(house), folder)
    assert take.ended == "failed"
    assert take.problem == "line ann-1, player ann: the model refused (content_policy): No."


async def test_sound_that_came_before_a_drop_is_kept(folder: TakeFolder) -> None:
    house = Understudy(Tones(), faults=[fault.Strike("drop", "in_response", visit=1)])
    plan = plan_of(
        "players: {ann: {voice: ash}}\nlines: [ann: A line that is long enough to be cut in two.]\n"
        "limits: {on_lost_player: stop}"
    )
    take = await perform(plan, stage_for(house), folder)
    assert (take.ended, "line ann-1, player ann" in take.problem) == ("failed", True)
    kept = read_wav(folder.path / "lines" / "001-ann-1.attempt-1.wav")
    assert 0 < len(kept) < len(tone("ash", plan.lines[0].words))


class Mute(Tones):
    """Finds no words the first time."""

    silent = 1

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        if self.silent:
            self.silent -= 1
            return SpokenLine("", Pcm())
        return await super().speak(request)


async def test_an_empty_response_is_asked_for_once_more(folder: TakeFolder) -> None:
    take = await perform(plan_of(TRIO), stage_for(Understudy(Mute())), folder)
    assert [line.attempts for line in take.lines] == [2, 1, 1]
    assert "the response is empty" in take.warnings[0]


@pytest.mark.parametrize(("budget", "lines"), [("0.0000001", 0), ("1", 3)])
async def test_the_budget_stops_between_lines_and_never_in_one(
    budget: str, lines: int, house: Understudy, folder: TakeFolder
) -> None:
    options = PerformanceOptions(budget=Decimal(budget))
    take = await perform(plan_of("model: gpt-realtime-2.1\n" + TRIO), stage_for(house), folder, options)
    assert len(take.lines) == lines
    assert take.ended == ("complete" if lines == 3 else "budget")
    assert take.cost.total is not None
    if lines < 3:
        assert "raise limits.budget or --budget" in take.problem


async def test_the_scenes_own_budget_counts_too(house: Understudy, folder: TakeFolder) -> None:
    take = await perform(plan_of(TRIO + "limits: {budget: $0.0000001}\n"), stage_for(house), folder)
    assert take.ended == "budget"


async def test_an_aside_reaches_nobody_else_and_who_hears_nobody_hears_nothing(
    house: Understudy, folder: TakeFolder
) -> None:
    plan = plan_of(
        TRIO.replace("cid: {voice: coral}", "cid: {voice: coral, hears: nobody}").replace(
            "ann: Three.", "ann: Three.\n    to: bob\n    pause: 2s\n  - cid: Four."
        )
    )
    await perform(plan, stage_for(house), folder)
    heard = {name: list(visit.heard) for name, visit in zip(("ann", "bob", "cid"), house.visits, strict=True)}
    assert heard == {"ann": ["heard_2_1", "heard_4_1"], "bob": ["heard_1_1", "heard_3_1", "heard_4_1"], "cid": []}
    take = fold(read_journal(folder.journal))
    assert take.lines[3].offset_samples - take.lines[2].offset_samples - take.lines[2].samples == 48_000


async def test_the_prompter_whispers_to_one_player_only(house: Understudy, folder: TakeFolder) -> None:
    plan = plan_of(TRIO.replace("lines:\n", "lines:\n  - prompt: {bob: Speak slowly from now on.}\n"))
    take = await perform(plan, stage_for(house), folder)
    assert take.ended == "complete"
    prompts = [fact for fact in read_journal(folder.journal) if isinstance(fact, record.ItemGiven)]
    assert [(fact.player, fact.words) for fact in prompts] == [("bob", "Speak slowly from now on.")]
    assert take.lines[1].usage.text_in > take.lines[0].usage.text_in


async def test_a_player_that_writes_is_heard_as_its_words(house: Understudy, folder: TakeFolder) -> None:
    take = await perform(plan_of(TRIO.replace("{voice: ash}", "{voice: ash, output: text}")), stage_for(house), folder)
    assert take.ended == "complete"
    assert (take.lines[0].said, take.lines[0].file, take.lines[0].samples) == ("One.", None, 0)
    assert take.lines[1].usage.text_in > 7
    assert house.visits[1].heard == {}


async def test_a_line_that_is_cut_at_its_cap_is_kept_and_warned_of(house: Understudy, folder: TakeFolder) -> None:
    plan = plan_of(TRIO.replace("ann: One.", "ann: One two three four.\n    max_output_tokens: 7"))
    take = await perform(plan, stage_for(house), folder)
    assert (take.lines[0].ended, take.lines[0].reason) == ("incomplete", "max_output_tokens")
    assert take.warnings == ("line ann-1, player ann: the response is incomplete (max_output_tokens)",)


async def test_an_onlooker_sees_what_happens_and_is_never_waited_for(house: Understudy, folder: TakeFolder) -> None:
    send, receive = anyio.create_memory_object_stream[Event](1000)
    await perform(plan_of(TRIO), stage_for(house), folder, PerformanceOptions(watch=send))
    send.close()
    async with receive:
        news = [item async for item in receive]
    assert {type(item) for item in news} >= {
        record.TakeBegan,
        record.LineSpoken,
        AudioProgress,
        HearingBegan,
        record.TakeEnded,
    }
    openings = [
        (type(item), item.player)
        for item in news
        if isinstance(item, OpeningQueued | OpeningBegan | record.PlayerOpened)
    ]
    turns = [(kind, name) for name in ("ann", "bob", "cid") for kind in (OpeningBegan, record.PlayerOpened)]
    assert [each for each in openings if each[0] is not OpeningQueued] == turns
    assert openings[:3] == [(OpeningQueued, name) for name in ("ann", "bob", "cid")]
    full, unread = anyio.create_memory_object_stream[Event](0)
    other = TakeFolder.create(folder.path.parent.parent, "scene", datetime.now(UTC), "b")
    take = await perform(plan_of(TRIO), stage_for(house), other, PerformanceOptions(watch=full))
    assert take.ended == "complete"
    full.close()
    unread.close()


async def test_a_performance_that_is_stopped_leaves_a_whole_take(house: Understudy, folder: TakeFolder) -> None:
    plan = plan_of(TRIO + "limits: {start_rate: 1/min}\n")
    with anyio.move_on_after(90):
        await perform(plan, stage_for(house), folder)
    take = Take.model_validate_json((folder.path / "take.json").read_text())
    assert take.ended == "interrupted"
    assert [player.status for player in take.players] == ["played", "played", "never opened"]


async def test_an_hour_of_stage_time_is_over_in_a_moment(house: Understudy, folder: TakeFolder) -> None:
    lines = "".join(f"  - {name}: Again and again, number {n}.\n" for n in range(15) for name in ("ann", "bob"))
    plan = plan_of(TRIO.split("lines:", maxsplit=1)[0] + "lines:\n" + lines + "limits: {start_rate: 0.1/min}\n")
    began = anyio.current_time()
    take = await perform(plan, stage_for(house), folder)
    assert (take.ended, len(take.lines)) == ("complete", 30)
    assert anyio.current_time() - began >= 1200


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_over_a_real_socket_a_stalled_hearer_delays_nobody_either(folder: TakeFolder) -> None:
    """Slow: a real deadline passes, and a close handshake that nobody answers."""
    house = Understudy(Tones(), faults=[fault.Strike("stall", "hearing", visit=3)], keeps_visits=True)
    async with open_understudy(house) as url:
        place = Provider(endpoint(url))
        deadlines = Deadlines(request_s=0.8)
        stage = Stage(
            lambda player: place.connect(player.model, 1, 1), lambda _: place.endpoint, LocalGate(), deadlines
        )
        take = await perform(plan_of(TRIO), stage, folder)
    assert take.ended == "complete"
    assert [player.status for player in take.players] == ["played", "played", "lost"]
    for line in take.lines:
        spoken = read_wav(folder.path / str(line.file))
        for hearing in line.hearers:
            if hearing.player != "cid":
                visit = house.visits[("ann", "bob").index(hearing.player)]
                assert visit.heard[f"heard_{line.number}_1"] == spoken
                assert hearing.took_s is not None
                assert hearing.took_s < 0.8
