"""Silence is a failure: a line that nobody can hear has failed, the scene goes on, and the take is incomplete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tau_stage.audio.loudness import AUDIBLE_S
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.report.page import render_page
from tau_stage.report.tables import plain_text, tabulate_take
from tau_stage.report.words import render_sheet, render_transcript
from tau_stage.take import records as record
from tau_stage.understudy import faults as fault
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.delivery import plan_speech
from tau_stage.understudy.server import Understudy
from tau_stage.understudy.settings import CURRENT
from tests.support.in_memory_stage import Playhouse, plan_of, reused_for_retake
from tests.support.tone_voice import Tones, tone
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import run

__all__ = ["no_key", "serve"]

PLAYERS = "players: {ann: {voice: ash}, bob: {voice: sage}}\n"
TRIO = PLAYERS + "lines: [ann: One., bob: Two., ann: Three.]\n"


ZEROS = Pcm.silence(RATE)
WHISPER = Pcm((9).to_bytes(2, "little") * RATE)
CLICK = tone("ash", "One.")[: round(AUDIBLE_S * RATE) - 1]


class Faint(Tones):
    """Says some lines otherwise than aloud.

    Args:
        sounds: What comes instead of the sound, by words.
        times: How often; later it speaks.
    """

    def __init__(self, sounds: Mapping[str, Pcm | None], times: int = 99) -> None:
        self._sounds = sounds
        self._times = times

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        await anyio.lowlevel.checkpoint()
        words = plan_speech(request).transcript
        if request.wants_audio and words in self._sounds and self._times:
            self._times -= 1
            return SpokenLine(words, self._sounds[words])
        return await super().speak(request)


def playhouse(tmp_path: Path, sounds: Mapping[str, Pcm | None], times: int = 99, *faults: fault.Fault) -> Playhouse:
    house = Playhouse(tmp_path)
    house.understudy = Understudy(Faint(sounds, times), faults=faults, keeps_visits=True)
    return house


@pytest.mark.parametrize(
    ("sound", "reason", "problem"),
    [
        (None, "in writing", 'the model answered with text instead of audio: "Two."'),
        (ZEROS, "inaudible", "the model answered with 1 s of digital silence; the response is saved in lines/002"),
        (
            WHISPER,
            "inaudible",
            "its audio of 1 s is inaudible: it peaks at -71 dBFS; the response is saved in lines/002",
        ),
        (CLICK, "inaudible", "its audio of 0.00996 s is inaudible"),
    ],
)
async def test_a_written_line_without_a_sound_has_failed_and_the_scene_goes_on(
    sound: Pcm | None, reason: str, problem: str, tmp_path: Path
) -> None:
    house = playhouse(tmp_path, {"Two.": sound})
    take = await house.perform(TRIO)
    assert [line.ended for line in take.lines] == ["completed", "failed", "completed"]
    line = take.lines[1]
    assert (line.said, line.written, line.samples, line.file, line.hearers) == ("", "Two.", 0, None, ())
    assert (line.reason, line.attempts) == (reason, 2)
    assert [failed.reason for failed in line.failed_attempts] == [reason]
    assert line.problem.startswith(problem)
    assert take.ended == "incomplete"
    assert take.problem == f"1 of 3 lines failed: line bob-1, player bob: {line.problem}"
    assert line.cost.total
    assert not take.warnings[1:]
    assert house.heard("ann") == []


async def test_what_is_inaudible_once_is_asked_for_again(tmp_path: Path) -> None:
    house = playhouse(tmp_path, {"Two.": ZEROS}, times=1)
    take = await house.perform(TRIO)
    assert (take.ended, [line.said for line in take.lines]) == ("complete", ["One.", "Two.", "Three."])
    (failed,) = take.lines[1].failed_attempts
    assert (failed.reason, failed.file) == ("inaudible", "lines/002-bob-1.attempt-1.wav")


@pytest.mark.parametrize(
    ("order", "reason", "problem"),
    [
        (fault.EmptyResponses(9), "empty", "the response is empty"),
        (fault.Strike("silence", "response", times=9), "timeout", "nothing arrived before the timeout"),
    ],
)
async def test_what_nobody_answers_has_failed_too(
    order: fault.Fault, reason: str, problem: str, tmp_path: Path
) -> None:
    house = Playhouse(tmp_path, faults=[order])
    take = await house.perform(PLAYERS + "lines: [{ann: One., timeout: 2s}]\n")
    assert (take.ended, take.lines[0].reason, take.lines[0].problem) == ("incomplete", reason, problem)


async def test_a_line_to_be_written_may_be_silent_but_not_empty(tmp_path: Path) -> None:
    scene = PLAYERS + "lines: [{ann: One., output: text}, {bob: Two., output: text}]\n"
    take = await Playhouse(tmp_path / "one").perform(scene)
    assert (take.ended, [line.said for line in take.lines]) == ("complete", ["One.", "Two."])
    take = await Playhouse(tmp_path / "two", faults=[fault.EmptyResponses(2)]).perform(scene)
    assert (take.ended, [line.problem for line in take.lines]) == ("incomplete", ["the response is empty", ""])


async def test_the_take_with_a_sound_is_picked(tmp_path: Path) -> None:
    house = playhouse(tmp_path, {"One.": None}, times=2)
    take = await house.perform(PLAYERS + "lines: [{ann: One., takes: 2, pick: first}]\n")
    assert (take.ended, take.lines[0].take, take.lines[0].said) == ("complete", 2, "One.")
    assert [other.samples for other in take.lines[0].alternatives] == [0]


async def test_a_cue_may_answer_a_line_that_failed(tmp_path: Path) -> None:
    house = playhouse(tmp_path, {"Two.": ZEROS})
    take = await house.perform(TRIO + "on: [{error: bob, do: [ann: Bob?]}]\n")
    assert [line.id for line in take.lines] == ["ann-1", "bob-1", "cue-1-ann-1", "ann-2"]
    assert (take.ended, take.lines[2].said) == ("incomplete", "Bob?")


class Pen(Tones):
    """Never speaks, and writes."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        await anyio.lowlevel.checkpoint()
        return SpokenLine(plan_speech(request).transcript, None)


async def test_a_take_without_a_sound_is_not_complete_unless_it_is_to_be_read(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    house.understudy = Understudy(Pen())
    take = await house.perform(PLAYERS + "lines: [{improvise: {turns: 2}}]\n")
    assert (take.ended, take.problem, len(take.lines)) == ("incomplete", "no line has any audio", 2)
    take = await house.perform(PLAYERS + "output: text\nlines: [{improvise: {turns: 2}}]\n")
    assert take.ended == "complete"
    take = await house.perform(PLAYERS + "lines: [{ann: , improvise: Hello., output: text}]\n")
    assert take.ended == "complete"


async def test_a_take_in_which_nobody_said_anything_is_not_complete(tmp_path: Path) -> None:
    house = Playhouse(tmp_path / "one", faults=[fault.EmptyResponses(9)])
    take = await house.perform(PLAYERS + "lines: [{improvise: {turns: 2}}]\n")
    assert (take.ended, take.problem) == ("incomplete", "no line was performed")
    house = Playhouse(tmp_path / "two", faults=[fault.Strike("drop", "in_response", times=99)])
    take = await house.perform(TRIO + "limits: {on_lost_player: continue}\n")
    assert (take.ended, take.problem) == ("incomplete", "no line was performed")


async def test_what_only_calls_a_tool_is_a_performance(tmp_path: Path) -> None:
    tools = "tools: {lamp: {description: Light the lamp., returns: {ok: true}}}\n"
    house = playhouse(tmp_path, {})
    scene = (
        PLAYERS + tools + "lines: [{user: {ann: Light the lamp!}}, {ann: , improvise: Answer., tool_choice: lamp}]\n"
    )
    take = await house.perform(scene)
    assert take.ended == "complete"
    assert [call.tool for call in take.lines[0].calls] == ["lamp"]


async def test_a_failed_line_is_retaken_and_taken_over(tmp_path: Path) -> None:
    plan = plan_of(TRIO)
    house = playhouse(tmp_path, {"Two.": None}, times=4)
    first = await house.perform(plan)
    folder = house.folder
    again = await house.perform(plan, former=reused_for_retake(plan, folder, first, "ann-1"))
    assert (again.ended, again.problem) == ("incomplete", first.problem)
    assert (again.lines[1].former, again.lines[1].written) == (True, "Two.")
    assert (await house.perform(plan, former=reused_for_retake(plan, folder, first, "bob-1"))).ended == "incomplete"
    whole = await house.perform(plan, former=reused_for_retake(plan, folder, first, "bob-1"))
    assert (whole.ended, [line.said for line in whole.lines]) == ("complete", ["One.", "Two.", "Three."])
    assert house.file(whole.lines[1]) == tone("sage", "Two.")


async def test_a_take_that_goes_on_keeps_what_failed(tmp_path: Path) -> None:
    house = playhouse(tmp_path, {"One.": ZEROS}, 99, fault.Strike("drop", "in_response", visit=2, times=9))
    stopped = await house.perform(TRIO + "limits: {on_lost_player: stop}\n")
    assert (stopped.ended, [line.problem[:9] for line in stopped.lines]) == ("failed", ["the model"])
    assert "line ann-1, player ann, failed: the model answered with 1 s of digital silence" in plain_text(
        tabulate_take(stopped)
    )
    house.understudy = Understudy(Tones())
    take = await house.perform(TRIO + "limits: {on_lost_player: stop}\n", again=house.folder)
    assert (take.ended, [line.ended for line in take.lines]) == ("incomplete", ["failed", "completed", "completed"])
    assert len([fact for fact in house.facts(record.LineSpoken) if fact.line == "ann-1"]) == 1


async def test_everything_made_of_a_take_says_which_line_failed_and_why(tmp_path: Path) -> None:
    house = playhouse(tmp_path, {"Two.": None})
    take = await house.perform(TRIO)
    why = 'the model answered with text instead of audio: "Two."'
    assert f"incomplete: 1 of 3 lines failed: line bob-1, player bob: {why}" in plain_text(tabulate_take(take))
    html = render_page(take, house.folder)
    assert "This take is not complete: incomplete" in html
    assert html.count("the model answered with text instead of audio") == 3
    assert "No audio was received, only text:" in html
    assert f"BOB: [{why}]" in render_transcript(take)
    assert "failed: the model answered with text instead of audio" in render_sheet(take)


# ---- from the command line


@pytest.fixture
def mute(serve: Serve) -> str:
    """Where one of three lines is answered in writing, twice."""
    Path("trio.yaml").write_text("scene: Trio\n" + TRIO + "limits: {start_rate: 100/s}\n")
    return serve(Understudy(Faint({"Two.": None}, times=2)))


def test_a_run_with_a_failed_line_exits_with_3_and_retake_makes_it_whole(
    mute: str, capsys: pytest.CaptureFixture[str]
) -> None:
    why = 'line bob-1, player bob: the model answered with text instead of audio: "Two."'
    assert run("run", "trio.yaml", "--endpoint", mute, "--quiet", "--stream", "news.jsonl") == 3
    said = capsys.readouterr()
    folder = said.out.strip()
    assert f"trio.yaml: 1 of 3 lines failed: {why}\n" in said.err
    assert f"to perform the failed lines again: tau-stage retake {folder}\n" in said.err
    news = [json.loads(line) for line in Path("news.jsonl").read_text().splitlines()]
    told = next(each for each in news if each["type"] == "line" and each["line"] == "bob-1")
    assert (told["problem"], told["written"]) == ('the model answered with text instead of audio: "Two."', "Two.")
    assert not Path("takes/trio/latest").exists()

    assert run("resume", folder) == 3
    said = capsys.readouterr()
    assert "the take is incomplete\n" in said.out
    assert why in said.out
    assert run("retake", folder, "--endpoint", mute, "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert [line["ended"] for line in whole["take"]["lines"]] == ["completed"] * 3
    assert run("retake", whole["path"]) == 2
    assert "no line in the take has failed" in capsys.readouterr().err

    assert run("compare", folder, whole["path"]) == 0
    assert why in " ".join(capsys.readouterr().out.split())


def test_run_resume_pays_no_incomplete_scene_twice_and_says_how_to_have_what_failed(
    mute: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", "trio.yaml", "--endpoint", mute, "--quiet") == 3
    first = capsys.readouterr().out.strip()
    assert run("run", "trio.yaml", "--endpoint", mute, "--quiet", "--resume") == 3
    told = capsys.readouterr()
    assert told.out.strip() == first
    assert f"to perform the failed lines again: tau-stage retake {first}" in told.err


# ---- commentary


TOOLED = (
    PLAYERS + "tools: {lamp: {description: Light the lamp., returns: {ok: true}}}\n"
    "lines: [{user: {ann: Light the lamp!}}, {ann: , improvise: Answer., tool_choice: lamp, KEEP}]\n"
)


@pytest.mark.parametrize("where", ["line", "player", "scene"])
async def test_commentary_is_told_apart_from_the_line_unless_it_is_kept(where: str, tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    house.understudy = Understudy(Tones(), profile=CURRENT, keeps_visits=True)
    take = await house.perform(TOOLED.replace(", KEEP", ""))
    line = take.lines[0]
    assert line.commentary
    assert line.commentary_s > 0
    assert line.commentary not in line.said
    assert len(house.file(line)) == line.samples
    assert f"    commentary: {line.commentary}" in render_transcript(take)
    assert f"commentary: {line.commentary}" in render_sheet(take)
    assert "Commentary, not part of the line" in render_page(take, house.folder)
    kept = {
        "line": TOOLED.replace("KEEP", "commentary: keep"),
        "player": TOOLED.replace(", KEEP", "").replace("voice: ash", "voice: ash, commentary: keep"),
        "scene": "commentary: keep\n" + TOOLED.replace(", KEEP", ""),
    }
    whole = (await house.perform(kept[where])).lines[0]
    assert (whole.commentary, whole.said) == ("", f"{line.commentary} {line.said}")
    assert whole.samples > line.samples


@pytest.mark.slow
def test_a_scene_that_the_understudy_has_no_voice_for_says_so_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: loads the real voice, for the one line that it can say."""
    scene = tmp_path / "thai.yaml"
    scene.write_text(PLAYERS + "lines: [ann: สวัสดีครับ, bob: Hello., ann: ສະບາຍດີ]\n", encoding="utf-8")
    assert run("run", str(scene), "--quiet") == 3
    told = capsys.readouterr().err
    assert "the understudy has no voice for Thai, Lao: ann-1, ann-2 will fail" in told
    assert "2 of 3 lines failed" in told
    assert "the model refused (unsupported_script): the understudy has no voice for this text: สวัสดีครับ" in told
