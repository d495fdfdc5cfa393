"""``hearing: stream``: heard while it is spoken, and in the end the same items with the very samples."""

from __future__ import annotations

import json
from itertools import groupby, pairwise
from pathlib import Path

import anyio
import pybase64
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import read_wav
from tau_stage.errors import SceneError
from tau_stage.report.page import render_page
from tau_stage.session import Deadlines
from tau_stage.stage.fan_out import PIECE, ClipForm, HeardClip, NotHeard, open_fan_out
from tau_stage.take import records as record
from tau_stage.understudy import faults as fault
from tests.support.counted_calls import counted_calls
from tests.support.far_servers import Uplink
from tests.support.in_memory_stage import Playhouse, plan_of, reused_for_retake
from tests.test_cassette import both
from tests.test_cli_validate import run
from tests.test_stage_fan_out import Hearers
from tests.test_stage_hearing import LONG, ensemble, requests, silences
from tests.test_stage_resume import every_stop

HEAD = "players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}\nlimits: {start_rate: 100/s}\n"
STREAM = "hearing: stream\n" + HEAD
LINES = "lines:\n  - ann: Good evening to you all.\n  - bob: Is it?\n  - cid: It was, until now.\n"


def held(house: Playhouse, visit: int) -> list[Pcm]:
    """The sounds in a conversation, as its server has them, in order; sessions count from 1."""
    return list(house.understudy.visits[visit - 1].heard.values())


def lines_of(house: Playhouse, *ids: str) -> list[Pcm]:
    spoken = {fact.line: fact for fact in house.facts(record.LineSpoken)}
    return [read_wav(house.folder.path / str(spoken[line].file)) for line in ids]


def ways(house: Playhouse) -> dict[tuple[str, str], str]:
    return {(fact.line, fact.hearer): fact.by for fact in house.facts(record.LineHeard)}


def kinds(house: Playhouse, player: str) -> list[str]:
    """What was sent into a player's input buffer, a kind once where it is repeated."""
    sent = [event["type"].rpartition(".")[2] for event in house.sent(player) if event["type"].startswith("input_")]
    return [kind for kind, _ in groupby(sent)]


async def test_the_item_that_a_hearer_holds_is_the_same_sample_for_sample(tmp_path: Path) -> None:
    streamed, whole = Playhouse(tmp_path / "a"), Playhouse(tmp_path / "b")
    take = await streamed.perform(STREAM + LINES)
    other = await whole.perform(HEAD + LINES)
    assert (take.ended, take.warnings) == ("complete", ())
    assert {line.id: line.sha256 for line in take.lines} == {line.id: line.sha256 for line in other.lines}
    assert [held(streamed, visit) for visit in (1, 2, 3)] == [held(whole, visit) for visit in (1, 2, 3)]
    assert held(streamed, 1) == lines_of(streamed, "bob-1", "cid-1")
    assert set(ways(streamed).values()) == {"stream"}
    assert set(ways(whole).values()) == {"create_audio"}
    assert [hearing.by for hearing in take.lines[0].hearers] == ["stream", "stream"]
    assert kinds(streamed, "cid") == ["append", "commit", "append", "commit"]
    assert take.cost == other.cost


async def test_a_line_is_heard_while_it_is_spoken(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, uplink=Uplink(rtt_s=0.04, bytes_per_s=20e6 / 8), judges=False)
    house.understudy.pace = 1.0
    take = await house.perform(ensemble(8, 1, LONG, "hearing: stream\n") + "  - p1: Yes.\n")
    assert [len(line.hearers) for line in take.lines] == [7, 7]
    ((asked_s, sounds_s),) = silences(house.passed)
    assert asked_s <= 0.01
    assert sounds_s <= 0.07


async def test_it_takes_one_round_trip_a_line(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, uplink=Uplink(rtt_s=0.1), judges=False)
    await house.perform(ensemble(10, 6, "Yes, it is.", "hearing: stream\n"))
    asked = requests(house.passed)
    assert max(later - earlier for earlier, later in pairwise(asked)) / 0.1 < 1.15


async def test_a_line_is_sent_in_pieces_that_are_encoded_once_for_all(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    house.understudy.pace = 1.0
    with counted_calls() as calls:
        take = await house.perform(STREAM + "lines:\n  - ann: " + "Good evening to you all. " * 4)
    pieces = [event["audio"] for event in house.sent("bob", "input_audio_buffer.append")]
    assert pieces == [event["audio"] for event in house.sent("cid", "input_audio_buffer.append")]
    lengths = [len(pybase64.b64decode(piece)) // 2 for piece in pieces]
    assert sum(lengths) == take.lines[0].samples
    assert min(lengths[:-1]) >= PIECE
    encoded_by_the_understudy = len(house.received("ann", "response.output_audio.delta"))
    assert calls["b64encode"] == len(pieces) + encoded_by_the_understudy


async def test_each_player_hears_as_the_scene_has_it(tmp_path: Path) -> None:
    scene = STREAM.replace("sage", "sage, label_speakers: true").replace("coral", "coral, hearing: create_audio")
    house = Playhouse(tmp_path)
    await house.perform(scene.replace("ash", "ash, hears_as: text") + LINES)
    assert {hearer: by for (_, hearer), by in ways(house).items()} == {
        "ann": "text",
        "bob": "stream",
        "cid": "create_audio",
    }
    sent = [event for event in house.sent("bob") if event["type"] != "input_audio_buffer.append"]
    assert [event["type"] for event in sent[1:3]] == ["conversation.item.create", "input_audio_buffer.commit"]
    assert sent[1]["item"]["content"] == [{"type": "input_text", "text": "ann says:"}]


@pytest.mark.parametrize("step", ["{ann: Good evening., takes: 2}", "{together: [{ann: Now.}, {bob: Never.}]}"])
async def test_what_cannot_be_streamed_is_sent_when_it_is_over(step: str, tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(f"{STREAM}lines:\n  - {step}\n  - cid: It was.\n")
    assert (take.ended, take.warnings) == ("complete", ())
    assert {by for (line, _), by in ways(house).items() if line != "cid-1"} == {"create_audio"}
    assert {by for (line, _), by in ways(house).items() if line == "cid-1"} == {"stream"}
    assert kinds(house, "cid") == []


async def test_a_line_shorter_than_a_server_takes_is_sent_whole(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(STREAM + "lines:\n  - ann: Oh.\n  - bob: What is it?\n")
    assert take.lines[0].duration_s < 0.1
    assert held(house, 2) == lines_of(house, "ann-1")
    assert ways(house)["ann-1", "bob"] == "create_audio"
    assert kinds(house, "bob") == ["append", "clear"]


async def test_an_attempt_that_is_rejected_is_cleared_and_the_next_is_heard(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, [fault.Strike("drop", "in_response", visit=1)])
    await house.perform(STREAM + LINES)
    assert held(house, 2) == lines_of(house, "ann-1", "cid-1")
    assert kinds(house, "bob") == ["append", "clear", "append", "commit", "append", "commit"]
    assert ways(house)["ann-1", "bob"] == "stream"


async def test_of_a_line_that_is_cut_what_was_heard_is_committed(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    cutting = "  - {bob: Is it?, cut_in: {on: ann, after: 300ms}}\n  - cid: It was.\n"
    take = await house.perform(f"{STREAM}lines:\n  - ann: Good evening to you all, and welcome.\n{cutting}")
    assert take.lines[0].reason == "cut_in"
    assert held(house, 3) == lines_of(house, "ann-1", "bob-1")
    assert ways(house)["ann-1", "cid"] == "stream"


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (fault.Strike("refuse", "append", visit=2), "the model refused (server_error): No."),
        (fault.Strike("stray", "append", visit=2), "the model refused (server_error): Hiccup."),
        (fault.Strike("refuse", "hearing", visit=2), "the model refused (server_error): No."),
    ],
)
async def test_a_server_that_refuses_gets_each_line_whole_and_it_is_told_once(
    order: fault.Strike, said: str, tmp_path: Path
) -> None:
    house = Playhouse(tmp_path, [order])
    take = await house.perform(STREAM + LINES)
    why = said.removesuffix(".")
    told = f"player bob cannot use 'hearing: stream': {why}; it will hear each line only after the line is complete"
    assert (take.ended, take.warnings) == ("complete", (told,))
    assert ways(house)["ann-1", "bob"] == ways(house)["cid-1", "bob"] == "create_audio"
    assert ways(house)["ann-1", "cid"] == "stream"
    left = dict(house.understudy.visits[1].heard)
    for event in house.sent("bob", "conversation.item.delete"):
        del left[event["item_id"]]
    assert list(left.values()) == lines_of(house, "ann-1", "cid-1")


async def test_a_server_that_confirms_no_commit_is_streamed_to_no_more(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, [fault.Strike("silence", "hearing", visit=2)])
    take = await house.perform(STREAM + LINES + "  - ann: And now it is not.\n")
    unanswered, refused = take.warnings
    assert unanswered == "understudy: no input_audio_buffer.committed arrived; the request is assumed to have succeeded"
    assert refused.startswith(
        "player bob cannot use 'hearing: stream': its server does not confirm committed audio; it "
    )
    assert held(house, 2) == lines_of(house, "cid-1", "ann-2")


async def test_who_is_lost_while_it_hears_is_told_of_the_line_when_it_is_back(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, [fault.Strike("drop", "append", visit=2)])
    take = await house.perform(STREAM + LINES)
    assert take.ended == "complete"
    assert held(house, 4) == lines_of(house, "ann-1", "cid-1")
    assert (ways(house)["ann-1", "bob"], ways(house)["cid-1", "bob"]) == ("create_audio", "stream")


async def test_who_does_not_read_any_more_is_lost_and_holds_nobody_up(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, [fault.Strike("stall", "append", visit=3)])
    take = await house.perform(STREAM + LINES, deadlines=Deadlines(request_s=3))
    assert take.ended == "complete"
    assert ways(house)["ann-1", "bob"] == "stream"
    assert held(house, 4) == lines_of(house, "ann-1", "bob-1")


async def test_a_retake_hears_the_lines_it_takes_over_whole(tmp_path: Path) -> None:
    house, plan = Playhouse(tmp_path), plan_of(STREAM + LINES)
    first = await house.perform(plan)
    former = reused_for_retake(plan, house.folder, first, "bob-1")
    house.understudy.visits.clear()
    take = await house.perform(plan, former=former)
    assert {line.id: [hearing.by for hearing in line.hearers] for line in take.lines} == {
        "ann-1": ["create_audio", "stream"],
        "bob-1": [],
        "cid-1": ["stream", "create_audio"],
    }


@pytest.mark.slow
async def test_a_take_goes_on_from_each_of_its_records(tmp_path: Path) -> None:
    """Slow: the scene once for each record."""
    await every_stop(Playhouse(tmp_path), plan_of(STREAM + LINES), tmp_path)


async def test_what_is_heard_by_stream_replays_from_its_cassette(tmp_path: Path) -> None:
    house = Playhouse(tmp_path / "house", [fault.Strike("drop", "in_response", visit=1)], keeps=False)
    cutting = "  - {bob: Not again., cut_in: {on: cid, after: 300ms}}\n  - {ann: '(sadly) Well.', takes: 2}\n"
    plan = plan_of(STREAM.replace("sage", "sage, label_speakers: true") + LINES + cutting)
    take, again = await both(house, plan, tmp_path / "tapes")
    assert take.lines[0].attempts == again.lines[0].attempts == 2
    assert [hearing.by for line in again.lines[:4] for hearing in line.hearers] == ["stream"] * 8


def test_a_person_has_no_hearing() -> None:
    with pytest.raises(SceneError, match="player 'dan' is a human and cannot have 'hearing'"):
        plan_of(HEAD.replace("{ann:", "{dan: {human: tty, hearing: stream}, ann:") + "lines: [ann: Hm.]")


async def test_a_plan_a_view_and_a_page_say_who_hears_by_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = tmp_path / "scene.yaml"
    scene.write_text(HEAD.replace("coral", "coral, hearing: stream") + LINES)
    assert run("plan", str(scene)) == 0
    assert "these players hear lines while they are spoken, at the same cost: cid\n" in capsys.readouterr().out
    assert run("plan", str(scene), "--json") == 0
    told = json.loads(capsys.readouterr().out)["players"]
    assert [told[name]["hearing"] for name in ("bob", "cid")] == ["create_audio", "stream"]
    assert run("show", str(scene)) == 0
    assert capsys.readouterr().out.count("hears lines as") == 1
    house = Playhouse(tmp_path / "out")
    take = await house.perform(scene.read_text())
    assert render_page(take, house.folder).count(", by stream") == 2


async def test_who_reads_no_piece_is_lost_after_one_deadline() -> None:
    hearers, audio = Hearers("bob"), Pcm.silence(20 * PIECE)
    began = anyio.current_time()
    async with open_fan_out(hearers.sessions, hearers.news.append, {"bob": ClipForm(streams=True)}) as fan_out:
        stream = fan_out.begin_stream("ann-1", "1", ["bob"])
        for at in range(0, len(audio), PIECE):
            stream.append(audio[at : at + PIECE])
        await anyio.sleep(4)
        fan_out.send_to(HeardClip("ann-1", "1", "ann", audio, "One."), ["bob"])
    (missed,) = hearers.news
    assert isinstance(missed, NotHeard)
    assert missed.lost
    assert anyio.current_time() - began == pytest.approx(hearers.sessions["bob"].deadlines.request_s)
