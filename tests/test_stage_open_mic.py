"""The open microphone: turns are detected, answers may be interrupted, tools and cues go on beside it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.scene.plan import PlayerPlan
from tau_stage.stage.events import Event, PlayerState, WordsProgress
from tau_stage.stage.people import Typist
from tau_stage.take import records as record
from tau_stage.transport import Transport
from tau_stage.understudy import faults as fault
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.support.tone_voice import tone

ASKED = (
    "Where is the ferry to the other side of the river?",
    "When does the last boat leave?",
    "Goodbye, and thank you.",
)


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


def recording(folder: Path, *said: str, silence_s: float = 1.0) -> Path:
    """A person's file, with its words beside it; each utterance is its words as a tone."""
    with WavWriter(folder / "guest.wav") as file:
        file.append(Pcm.silence(RATE))
        for words in said:
            file.append(Pcm.join([tone("guest", words), Pcm.silence(round(silence_s * RATE))]))
    (folder / "guest.txt").write_text("\n".join(said))
    return folder / "guest.wav"


def scene(file: Path | str, listen: str = "", *, further: str = "", before: str = "", after: str = "") -> str:
    return f"""
pause: 300ms
players:
  ann: {{voice: ash, turn_detection: {{type: server_vad, silence: 400ms}}}}
  bob: {{voice: sage}}
  guest: {{human: {file}}}
{further}
lines:
{before}  - listen: {{player: ann, from: guest{listen}}}
{after}"""


async def test_every_utterance_is_a_turn_and_is_answered(house: Playhouse, tmp_path: Path) -> None:
    take = await house.perform(scene(recording(tmp_path, *ASKED), before="  - ann: Yes?\n", after="  - ann: So.\n"))
    assert take.ended == "complete"
    assert [(line.id, line.player, line.human) for line in take.lines] == [
        ("ann-1", "ann", False),
        ("listen-1-1", "guest", True), ("listen-1-2", "ann", False),
        ("listen-1-3", "guest", True), ("listen-1-4", "ann", False),
        ("listen-1-5", "guest", True), ("listen-1-6", "ann", False),
        ("ann-2", "ann", False),
    ]  # fmt: skip
    assert [line.said for line in take.lines if line.human] == list(ASKED)
    assert all(line.said for line in take.lines)
    for number, line in enumerate(entry for entry in take.lines if entry.human):
        assert tone("guest", ASKED[number]).data in house.file(line).data
    ends = [(line.offset_samples, line.offset_samples + line.samples) for line in take.lines]
    assert all(after[0] >= before[1] + round(0.3 * RATE) for before, after in pairwise(ends))
    assert house.heard("bob") == [line.id for line in take.lines]
    assert house.heard("ann") == []
    assert take.warnings == ()


async def test_turn_detection_is_on_only_while_the_microphone_is_open(house: Playhouse, tmp_path: Path) -> None:
    await house.perform(scene(recording(tmp_path, ASKED[0]), before="  - ann: Yes?\n", after="  - ann: So.\n"))
    inputs = [event["session"].get("audio", {}).get("input", {}) for event in house.sent("ann", "session.update")]
    detections = [heard["turn_detection"] for heard in inputs if "turn_detection" in heard]
    assert detections == [None, {"type": "server_vad", "silence_duration_ms": 400}, None]
    kinds = [event["type"] for event in house.sent("ann")]
    assert kinds.count("response.create") == 2
    assert "conversation.item.truncate" not in kinds


async def test_what_was_written_down_is_billed_apart(house: Playhouse, tmp_path: Path) -> None:
    take = await house.perform(scene(recording(tmp_path, ASKED[0])))
    (fact,) = house.facts(record.Transcribed)
    assert (fact.player, fact.model, fact.line) == ("ann", "gpt-transcribe", "listen-1-1")
    assert fact.usage.seconds > 0
    ann = take.players[0]
    spoken = next(line for line in take.lines if line.player == "ann")
    assert (ann.usage.audio_in, ann.usage.seconds) == (spoken.usage.audio_in, fact.usage.seconds)
    kinds = json.loads((house.folder.path / "cost.json").read_text())["players"]["ann"]["kinds"]
    assert kinds["seconds"] == {"seconds": 2.0, "dollars": "0.00015"}


@pytest.mark.parametrize(
    ("listen", "asked"),
    [
        (", transcription: {language: en}", {"model": "gpt-transcribe", "language": "en"}),
        (", transcription: gpt-4o-mini-transcribe", {"model": "gpt-4o-mini-transcribe"}),
    ],
)
async def test_it_asks_for_the_transcription_of_the_scene(
    house: Playhouse, tmp_path: Path, listen: str, asked: dict[str, str]
) -> None:
    await house.perform(scene(recording(tmp_path, ASKED[0]), listen))
    inputs = [event["session"].get("audio", {}).get("input", {}) for event in house.sent("ann", "session.update")]
    assert [heard["transcription"] for heard in inputs if "transcription" in heard] == [asked]
    (fact,) = house.facts(record.Transcribed)
    assert fact.model == asked["model"]
    assert bool(fact.usage.audio_in) != bool(fact.usage.seconds)


async def test_nothing_is_written_down_where_transcription_is_off(house: Playhouse, tmp_path: Path) -> None:
    take = await house.perform(scene(recording(tmp_path, *ASKED), ", transcription: off"))
    assert [line.player for line in take.lines] == ["guest", "ann"] * len(ASKED)
    assert [line.said for line in take.lines if line.human] == [""] * len(ASKED)
    assert house.facts(record.Transcribed) == []
    (asked,) = [
        event["session"]["audio"]["input"]["transcription"]
        for event in house.sent("ann", "session.update")
        if "transcription" in event["session"].get("audio", {}).get("input", {})
    ]
    assert asked is None


@pytest.mark.parametrize(
    ("ends", "lines"),
    [(", turns: 1", 2), (", until: last boat", 4), (", for: 1s", 2), (", until: goodbye", 6)],
)
async def test_it_ends_by_turns_a_phrase_or_time(house: Playhouse, tmp_path: Path, ends: str, lines: int) -> None:
    take = await house.perform(scene(recording(tmp_path, *ASKED), ends))
    assert len(take.lines) == lines


async def test_a_second_microphone_counts_on_from_the_first(house: Playhouse, tmp_path: Path) -> None:
    file = recording(tmp_path, *ASKED)
    take = await house.perform(
        scene(file, ", turns: 1", after="  - ann: Go on.\n  - listen: {player: ann, from: guest}\n")
    )
    said = [line for line in take.lines if line.human]
    # what the first microphone read of the file is read
    assert [line.said for line in said] == [ASKED[0]]
    assert [line.id for line in take.lines] == ["listen-1-1", "listen-1-2", "ann-1"]


# ---- in real time

REAL = ", turns: 9"


async def test_in_real_time_answers_lie_where_they_are_heard(house: Playhouse, tmp_path: Path) -> None:
    file = recording(tmp_path, *ASKED[:2], silence_s=4.0)
    text = scene(file, REAL).replace(f"human: {file}", f"human: {file}, pace: realtime")
    began = anyio.current_time()
    take = await house.perform(text)
    assert anyio.current_time() - began > 9
    first, answer, second, other = take.lines
    assert abs(first.offset_samples - (RATE - round(0.3 * RATE))) < RATE // 10
    assert answer.offset_samples >= first.offset_samples + first.samples
    assert answer.offset_samples + answer.samples < second.offset_samples
    assert other.offset_samples > second.offset_samples
    assert answer.first_audio_s is not None
    assert answer.first_audio_s < 0.2
    assert (answer.ended, answer.reason) == ("completed", None)


async def test_who_speaks_into_an_answer_stops_it_where_it_was_heard(house: Playhouse, tmp_path: Path) -> None:
    file = recording(tmp_path, *ASKED[:2], silence_s=0.7)
    text = scene(file, REAL).replace(f"human: {file}", f"human: {file}, pace: realtime")
    take = await house.perform(text)
    answer = take.lines[1]
    assert (answer.player, answer.ended, answer.reason) == ("ann", "cancelled", "turn_detected")
    (cut,) = house.sent("ann", "conversation.item.truncate")
    assert cut["audio_end_ms"] == answer.samples * 1000 // RATE
    assert 0 < answer.samples < RATE
    assert house.received("ann", "error") == []
    assert house.file(answer).duration_s == answer.duration_s
    assert take.lines[3].ended == "completed"


async def test_a_microphone_that_closes_in_mid_speech_keeps_what_was_said(house: Playhouse, tmp_path: Path) -> None:
    file = recording(tmp_path, *ASKED[:2])
    text = scene(file, ", for: 1500ms").replace(f"human: {file}", f"human: {file}, pace: realtime")
    began = anyio.current_time()
    take = await house.perform(text)
    assert anyio.current_time() - began < 6
    (line,) = take.lines
    assert (line.player, line.human, line.said) == ("guest", True, "")
    assert 0.4 < line.duration_s < 0.9


# ---- beside the microphone

TOOLS = """
tools:
  lamp: {description: The listener wants the lamp., returns: {ok: true}}
on:
  - call: {player: ann, tool: lamp}
    do: [bob: Let there be light.]
"""


async def test_a_tool_is_called_and_another_voice_answers_while_the_microphone_is_open(
    house: Playhouse, tmp_path: Path
) -> None:
    take = await house.perform(scene(recording(tmp_path, "I want the lamp, please.", ASKED[1]), further=TOOLS))
    assert [(line.id, line.player) for line in take.lines if line.player != "bob"] == [
        ("listen-1-1", "guest"), ("listen-1-2", "ann"), ("listen-1-3", "guest"), ("listen-1-4", "ann"),
    ]  # fmt: skip
    assert "cue-1-bob-1" in [line.id for line in take.lines]
    answer = next(line for line in take.lines if line.id == "listen-1-2")
    assert [(call.tool, call.output) for call in answer.calls] == [("lamp", '{"ok":true}')]
    assert answer.said
    assert len(house.facts(record.ToolTurn)) == 1
    assert len(house.understudy.visits[0].bill) == 3


async def test_a_silence_makes_somebody_speak(house: Playhouse, tmp_path: Path) -> None:
    file = recording(tmp_path, ASKED[0], ASKED[1], silence_s=12.0)
    text = scene(file, REAL, further="on: [{silence: 4s, times: 1, do: [bob: Are you still there?]}]")
    take = await house.perform(text.replace(f"human: {file}", f"human: {file}, pace: realtime"))
    assert [line.player for line in take.lines] == ["guest", "ann", "bob", "guest", "ann"]


async def test_an_answer_that_fails_is_told_and_the_microphone_stays_open(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.FailResponses(times=1, code="server_error", message="Sorry.")])
    take = await house.perform(scene(recording(tmp_path, *ASKED[:2])))
    assert take.ended == "complete"
    assert [line.player for line in take.lines] == ["guest", "guest", "ann"]
    assert "Sorry; the scene continued" in take.warnings[0]


class Interim:
    """A transport whose server tells the words so far before it tells them all, as xAI's does."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.waiting: list[bytes] = []
        self.send, self.aclose, self.drop = inner.send, inner.aclose, inner.drop

    async def receive(self) -> bytes:
        if self.waiting:
            return self.waiting.pop()
        frame = await self.inner.receive()
        event = json.loads(frame)
        if event["type"] != "conversation.item.input_audio_transcription.completed":
            return frame
        self.waiting.append(frame)
        del event["usage"]
        return json.dumps(event | {"transcript": event["transcript"][:5], "status": "in_progress"}).encode()


async def test_the_words_so_far_are_not_taken_for_all_of_them(tmp_path: Path) -> None:
    class Telling(Playhouse):
        @asynccontextmanager
        async def _connect(self, player: PlayerPlan) -> AsyncIterator[Transport]:
            async with super()._connect(player) as inner:
                yield Interim(inner)

    take = await Telling(tmp_path).perform(scene(recording(tmp_path, *ASKED)))
    assert [line.said for line in take.lines if line.player == "guest"] == list(ASKED)


async def test_a_session_that_drops_ends_the_scene_with_its_place(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "in_response", visit=1)])
    take = await house.perform(scene(recording(tmp_path, ASKED[0])))
    assert take.ended == "failed"
    assert "player ann: the session was closed" in take.problem


# ---- what was found wanting


@pytest.mark.parametrize("pace", ["fast", "realtime"])
async def test_a_long_speech_is_kept_whole(house: Playhouse, tmp_path: Path, pace: str) -> None:
    long = "So I said to him that no umbrella in the world was worth a walk of seven miles in such a rain. " * 8
    file = recording(tmp_path, long, ASKED[1])
    take = await house.perform(scene(file).replace(f"human: {file}", f"human: {file}, pace: {pace}"))
    first = take.lines[0]
    assert first.duration_s > tone("guest", long).duration_s > 10
    assert tone("guest", long).data in house.file(first).data


async def test_a_cue_of_the_listening_player_is_one_line_and_paid_once(house: Playhouse, tmp_path: Path) -> None:
    text = scene(recording(tmp_path, *ASKED), further="on: [{said: {player: guest, words: ferry}, do: [ann: Ahem.]}]")
    take = await house.perform(text)
    assert [(line.id, line.player) for line in take.lines if line.player == "ann"] == [
        ("listen-1-2", "ann"), ("cue-1-ann-1", "ann"), ("listen-1-4", "ann"), ("listen-1-6", "ann"),
    ]  # fmt: skip
    assert len({line.response for line in take.lines if line.player == "ann"}) == 4
    billed = house.understudy.visits[0].bill.values()
    spoken = [line.usage for line in take.lines if line.player == "ann"]
    assert sum(usage["output_tokens"] for usage in billed) == sum(u.audio_out + u.text_out for u in spoken)
    assert house.received("ann", "error") == []


async def test_a_cue_of_the_listening_player_waits_for_its_answer_in_writing(house: Playhouse) -> None:
    plan = plan_of(
        "players: {friend: {output: text}, you: {human: tty}}\n"
        "on: [{said: {player: you, words: hi}, do: [friend: Hm.]}]\nlines: [listen: friend]"
    )
    read, write = os.pipe()
    os.write(write, b"Hi there\n\nHow are you?\n")
    os.close(write)
    take = await house.perform(plan, people={"you": Typist(plan.player("you"), fd=read)})
    os.close(read)
    assert take.ended == "complete"
    assert [line.said for line in take.lines if line.human] == ["Hi there", "How are you?"]
    assert "cue-1-friend-1" in [line.id for line in take.lines]


async def test_in_real_time_nobody_speaks_over_itself_and_lines_lie_where_they_were_heard(
    house: Playhouse, tmp_path: Path
) -> None:
    file = recording(tmp_path, ASKED[0], ASKED[1], silence_s=12.0)
    cue = "on: [{said: {player: guest, words: ferry}, do: [ann: Ahem.]}, {silence: 4s, times: 1, do: [bob: Well?]}]"
    take = await house.perform(
        scene(file, REAL, further=cue).replace(f"human: {file}", f"human: {file}, pace: realtime")
    )
    own = [(line.offset_samples, line.offset_samples + line.samples) for line in take.lines if line.player == "ann"]
    assert all(after[0] >= before[1] for before, after in pairwise(sorted(own)))
    bob = next(line for line in take.lines if line.player == "bob")
    before = max(line.offset_samples + line.samples for line in take.lines if line.number < bob.number)
    assert bob.offset_samples - before > 3.5 * RATE


async def test_a_conversation_in_writing_has_its_time(house: Playhouse) -> None:
    plan = plan_of("players: {friend: {output: text}, you: {human: tty}}\nlines: [{listen: {for: 3s}}]")
    read, write = os.pipe()
    os.write(write, b"Hello\n")
    began = anyio.current_time()
    take = await house.perform(plan, people={"you": Typist(plan.player("you"), fd=read)})
    os.close(write)
    os.close(read)
    assert len(take.lines) == 2
    assert anyio.current_time() - began < 4


async def test_the_budget_holds_at_an_open_microphone(house: Playhouse, tmp_path: Path) -> None:
    text = scene(recording(tmp_path, *ASKED), further="limits: {budget: $0.0006}")
    take = await house.perform(text)
    assert take.ended == "budget"
    assert len([line for line in take.lines if line.player == "ann"]) < 3
    assert take.cost.total is not None
    assert "of the budget of $0.0006" in take.problem


async def test_answers_are_capped_by_what_is_left_and_free_again_behind(house: Playhouse, tmp_path: Path) -> None:
    text = scene(recording(tmp_path, *ASKED[:2]), further="limits: {budget: $0.02}", after="  - ann: So.\n")
    take = await house.perform(text)
    assert take.ended == "complete"
    sessions = [event["session"] for event in house.sent("ann", "session.update")]
    caps = [session["max_output_tokens"] for session in sessions if "max_output_tokens" in session]
    assert 4096 > caps[0] > caps[1] > caps[2] > 0
    assert caps[3:] == ["inf"]


async def test_who_is_lost_behind_an_open_microphone_is_told_what_the_person_said(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "response", visit=1)])
    take = await house.perform(scene(recording(tmp_path, *ASKED[:1]), after="  - ann: So.\n"))
    assert (take.ended, [line.player for line in take.lines]) == ("complete", ["guest", "ann", "ann"])
    assert house.items("ann") == ["user: <listen-1-1>", f"assistant: {take.lines[1].said}",
                                  'user: Perform this line: "So."']  # fmt: skip


async def test_a_session_that_is_lost_is_noticed_at_once(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "in_response", visit=1)])
    began = anyio.current_time()
    take = await house.perform(scene(recording(tmp_path, ASKED[0])))
    assert take.ended == "failed"
    assert anyio.current_time() - began < 5
    assert take.players[0].status == "lost"
    house = Playhouse(tmp_path / "on", faults=[fault.Strike("drop", "in_response", visit=2)])
    text = scene(recording(tmp_path, ASKED[0]), further="limits: {on_lost_player: continue}", after="  - bob: Ah.\n")
    take = await house.perform(text)
    assert (take.ended, take.lines[-1].said) == ("complete", "Ah.")


async def test_after_a_barge_in_the_silence_begins_when_the_person_has_stopped(
    house: Playhouse, tmp_path: Path
) -> None:
    file = recording(tmp_path, ASKED[0], ASKED[0] * 4, silence_s=0.7)
    text = scene(file, REAL, further="on: [{silence: 2s, times: 1, do: [bob: Still there?]}]")
    take = await house.perform(text.replace(f"human: {file}", f"human: {file}, pace: realtime"))
    assert [line.player for line in take.lines][:4] == ["guest", "ann", "guest", "ann"]


async def test_beside_a_cues_microphone_the_scene_waits(house: Playhouse, tmp_path: Path) -> None:
    take = await house.perform(
        f"players: {{ann: , bob: , guest: {{human: {recording(tmp_path, ASKED[0])}}}}}\n"
        "on: [{said: begin, do: [{listen: {player: bob}}]}]\nlines: [ann: Begin., ann: The end.]"
    )
    assert [line.id for line in take.lines] == ["ann-1", "listen-1-1", "listen-1-2", "ann-2"]


# ---- words and states, while they come


async def test_words_and_states_are_told_while_they_come(house: Playhouse, tmp_path: Path) -> None:
    send, receive = anyio.create_memory_object_stream[Event](5000)
    await house.perform(scene(recording(tmp_path, ASKED[0])), watch=send)
    send.close()
    async with receive:
        news = [item async for item in receive]
    words = [item for item in news if isinstance(item, WordsProgress)]
    said = "".join(item.words for item in words if item.player == "ann")
    assert said == next(item.said for item in news if isinstance(item, record.LineSpoken) and item.player == "ann")
    assert "".join(item.words for item in words if item.player == "guest") == ASKED[0]
    states = [item.state for item in news if isinstance(item, PlayerState)]
    assert states == ["listening", "thinking", "speaking", "idle"]


# ---- in writing


async def test_a_conversation_in_writing_ends_with_the_input_or_a_phrase(house: Playhouse) -> None:
    text = """
output: text
players: {friend: , you: {human: tty}}
lines: [{listen: {until: farewell}}]
"""
    plan = plan_of(text)
    for typed, lines in ((b"Hello there\nWhat a day\n", 4), (b"Hello there\nFarewell\nNo more\n", 4)):
        read, write = os.pipe()
        os.write(write, typed)
        os.close(write)
        take = await house.perform(plan, people={"you": Typist(plan.player("you"), fd=read)})
        os.close(read)
        assert (take.ended, len(take.lines), take.samples > 0) == ("complete", lines, True)
        assert [line.file for line in take.lines] == [None] * lines
        assert take.lines[1].first_words_s is not None
        assert house.items("friend")[0] == "user: Hello there"
        assert take.warnings == ()
