"""A line's timeout: all that a line does counts, and what was said until then is kept."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tau_stage.session import Deadlines
from tau_stage.understudy import faults as fault
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tests.support.in_memory_stage import Playhouse
from tests.support.tampering_server import Tampering
from tests.support.tone_voice import Tones

HEAD = """
players:
  ann: {voice: ash}
  bob: {voice: sage}
"""


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


async def test_a_line_that_takes_too_long_is_cut_off_and_the_scene_goes_on(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("silence", "response", visit=1)])
    began = anyio.current_time()
    take = await house.perform(HEAD + "lines: [{ann: One., timeout: 2s}, bob: Two.]")
    assert anyio.current_time() - began < 10
    assert take.ended == "incomplete"
    assert [(line.said, line.ended, line.reason) for line in take.lines] == [
        ("", "failed", "timeout"), ("Two.", "completed", None),
    ]  # fmt: skip
    assert take.problem == "1 of 2 lines failed: line ann-1, player ann: nothing arrived before the timeout"


async def test_what_was_said_until_the_timeout_is_kept(house: Playhouse) -> None:
    class Slow(Tones):
        async def speak(self, request: SpeechRequest) -> SpokenLine:
            await anyio.sleep(3)
            return await super().speak(request)

    house.understudy.actor = Slow()
    take = await house.perform(HEAD + "lines: [{ann: One., timeout: 2s}, {bob: Two., timeout: 4s}]")
    assert [(line.said, line.reason) for line in take.lines] == [("", "timeout"), ("Two.", None)]
    assert len(house.sent("ann", "response.cancel")) == 1


STOPS = ("response.cancel", "conversation.item.truncate")
LONG = "I have a very long story to tell you, and it is longer than you think, as it goes on and on."


async def test_a_player_that_does_not_stop_keeps_what_was_heard_and_is_opened_again(house: Playhouse) -> None:
    house.understudy = Tampering(ignores=STOPS, pace=0.2)
    scene = f"lines: [ann: '{LONG}', {{bob: Stop!, cut_in: {{on: ann, after: 1s}}}}, ann: Two.]"
    take = await house.perform(HEAD + scene, deadlines=Deadlines(request_s=1))
    assert [(line.ended, line.reason) for line in take.lines] == [
        ("cancelled", "cut_in"), ("completed", None), ("completed", None),
    ]  # fmt: skip
    assert take.lines[0].samples == 28_800
    assert any(
        "no response.done for the cancelled response within 1 s; its session will be reopened" in told
        for told in take.warnings
    )
    assert any("player ann was reconnected" in told for told in take.warnings)


async def test_a_cut_that_is_not_answered_costs_no_line(house: Playhouse) -> None:
    house.understudy = Tampering(ignores=STOPS)
    scene = f"lines: [ann: '{LONG}', {{bob: Stop!, cut_in: {{on: ann, after: 1s}}}}, ann: Two.]"
    take = await house.perform(HEAD + scene, deadlines=Deadlines(request_s=3))
    assert (take.ended, [line.ended for line in take.lines]) == ("complete", ["cancelled", "completed", "completed"])
    assert take.warnings == (
        "understudy: no conversation.item.truncated arrived; the request is assumed to have succeeded",
    )
    assert len(house.understudy.visits) == 2


def lamp_that_takes(seconds: int, folder: Path) -> Plan:
    """Ann calls a tool that takes a while, and her line may take 4 s."""
    (folder / "lamps.py").write_text(f"import anyio\nasync def lamp() -> None:\n    await anyio.sleep({seconds})\n")
    scene = f"""{HEAD}
tools: {{lamp: {{description: The listener wants the lamp on., run: "lamps:lamp"}}}}
lines: [{{user: {{ann: The lamp on please.}}}}, {{ann: , improvise: Go on., timeout: 4s}}, bob: Two.]
"""
    return make_plan(parse_scene(scene, str(folder / "test.yaml")))


async def test_a_timeout_covers_all_the_responses_of_a_line(tmp_path: Path, house: Playhouse) -> None:
    class Slow(Tones):
        async def speak(self, request: SpeechRequest) -> SpokenLine:
            await anyio.sleep(3)
            return await super().speak(request)

    house.understudy.actor = Slow()
    take = await house.perform(lamp_that_takes(3, tmp_path), allow_tools=True)
    assert [(line.player, line.reason) for line in take.lines] == [("ann", "timeout"), ("bob", None)]
    assert [call.failed for call in take.lines[0].calls] == [False]
    assert len(house.sent("ann", "response.create")) == 2


async def test_a_timeout_covers_the_tools_of_a_line(tmp_path: Path, house: Playhouse) -> None:
    began = anyio.current_time()
    take = await house.perform(lamp_that_takes(20, tmp_path), allow_tools=True)
    line = take.lines[0]
    assert (line.said, line.ended, line.reason, take.lines[1].said) == ("", "cancelled", "timeout", "Two.")
    assert [(call.tool, call.failed, "longer than 4 s" in call.output) for call in line.calls] == [("lamp", True, True)]
    assert len(house.sent("ann", "response.create")) == 1
    (told,) = house.understudy.visits[0].bill.values()
    assert line.usage.text_out == told["output_token_details"]["text_tokens"]
    assert anyio.current_time() - began < 15


async def test_a_timeout_covers_the_waits_for_another_attempt(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.FailResponses(times=1, message="Please try again in 30s.")])
    began = anyio.current_time()
    take = await house.perform(HEAD + "lines: [{ann: One., timeout: 4s}, bob: Two.]")
    assert [(line.ended, line.reason) for line in take.lines] == [("failed", "timeout"), ("completed", None)]
    assert anyio.current_time() - began < 10
