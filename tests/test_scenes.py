"""Every scene of the repository, performed on an understudy: what is said, heard, called and written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tau_stage.audio.pcm import RATE
from tau_stage.audio.wav import read_wav
from tau_stage.scene.load import load_scene
from tau_stage.scene.plan import Plan, lines_of
from tau_stage.scene.planner import make_plan
from tau_stage.stage.people import Typist, people_of
from tau_stage.take import records as record
from tau_stage.take.take_model import Take
from tests.support.forked import python
from tests.support.in_memory_stage import SCENES, Playhouse
from tests.test_cli_validate import run

PROGRAMS = {
    1: "harbour",
    2: "translator",
    3: "monologue",
    4: "tutor",
    5: "household",
    6: "umbrella",
    7: "chat",
    8: "assistant",
    9: "service",
    10: "live-translation",
}
"""The programs of this field, and the scene that is each."""


def plan_of(name: str, **given: str) -> Plan:
    return make_plan(load_scene(SCENES / f"{name}.yaml", given))


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


async def perform(house: Playhouse, name: str, **given: str) -> Take:
    plan = plan_of(name, **given)
    take = await house.perform(plan, people=people_of(plan, stand_in=True))
    assert (take.ended, take.problem, take.warnings) == ("complete", "", ())
    return take


def said(take: Take) -> list[tuple[str, str]]:
    return [(line.player, line.said) for line in take.lines]


def test_every_program_is_a_scene_and_every_scene_is_tested() -> None:
    assert {*PROGRAMS.values(), "tavern", "hello"} == {path.stem for path in SCENES.glob("*.yaml")}


@pytest.mark.parametrize("name", sorted(path.stem for path in SCENES.glob("*.yaml")))
def test_a_scene_with_its_ids_written_down_is_the_same_scene(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sounds").symlink_to(SCENES / "sounds")
    copy = shutil.copy(SCENES / f"{name}.yaml", tmp_path)
    assert run("tag", str(copy)) == 0
    assert run("validate", str(copy)) == 0, capsys.readouterr().err
    before, after = (make_plan(load_scene(path)) for path in (SCENES / f"{name}.yaml", copy))
    assert [[line.id for line in lines_of(steps)] for steps in after.step_lists] == [
        [line.id for line in lines_of(steps)] for steps in before.step_lists
    ]


async def test_a_simple_talk(house: Playhouse) -> None:
    take = await perform(house, "harbour")
    assert said(take)[:3] == [
        ("apprentice", "How does one win against a stronger ship?"),
        ("master", "One lets it pass."),
        ("apprentice", "And if it will not pass?"),
    ]
    *_, breakfast = take.lines
    assert (breakfast.id, breakfast.hearers) == ("breakfast", ())
    assert "breakfast" in breakfast.said.lower()
    asked = house.sent("master", "response.create")[-1]["response"]
    assert asked["conversation"] == "none"
    assert house.items("master")[:3] == [
        "system: You have seen three wars and one peace, and you prefer the peace.",
        "user: Master, may I ask you something?",
        "assistant: Ask. The tide waits for nobody, but I do.",
    ]
    voices = {name: house.sent(name, "session.update")[0]["session"]["audio"]["output"] for name in house.sockets}
    assert [(voice["voice"], voice["speed"]) for voice in voices.values()] == [("verse", 1.1), ("cedar", 0.9)]


async def test_a_translator_between_a_recording_and_a_player(house: Playhouse) -> None:
    take = await perform(house, "translator")
    assert said(take) == [
        ("guest", "Good evening, where is the station?"),
        ("interpreter", "Good evening, where is the station?"),
        ("clerk", "Behind you. It is the large house with the clock."),
        ("guest", "Thank you, is it far from here?"),
        ("interpreter", "Thank you, is it far from here?"),
        ("interpreter", "The last train leaves at nine."),
    ]  # the understudy knows no languages: it says again what it hears
    assert house.heard("interpreter") == ["guest-1", "clerk-1", "guest-2"]
    assert house.heard("clerk") == ["interpreter-1", "interpreter-2", "interpreter-3"]
    told = house.sent("interpreter", "session.update")[0]["session"]["instructions"]
    assert "Translate what you hear into French" in told
    assert plan_of("translator", language="Welsh").player("interpreter").instructions.count("Welsh") == 1


async def test_a_monologue(house: Playhouse) -> None:
    take = await perform(house, "monologue")
    assert {line.player for line in take.lines} == {"keeper"}
    assert len(take.lines) == 5
    assert len(house.facts(record.ItemGiven)) == 2
    assert len(list((house.folder.path / "lines").iterdir())) == 5


async def test_a_language_tutor_listens_until_goodbye(house: Playhouse) -> None:
    take = await perform(house, "tutor")
    assert [(line.player, line.human) for line in take.lines] == [
        ("tutor", False), ("student", True), ("tutor", False), ("student", True), ("tutor", False),
        ("student", True), ("tutor", False), ("tutor", False),
    ]  # fmt: skip
    assert [line.said for line in take.lines if line.human] == [
        "Good morning.", "I would like a coffee, please.", "Goodbye, and thank you.",
    ]  # fmt: skip
    assert 'Today the student learns to say "I would like a coffee, please."' in house.items("tutor")[0]
    detections = [
        event["session"]["audio"]["input"]["turn_detection"] for event in house.sent("tutor", "session.update")[1:2]
    ]
    assert detections == [{"type": "server_vad", "silence_duration_ms": 800}]


async def test_a_household_assistant_whose_call_makes_a_second_voice_speak(house: Playhouse) -> None:
    take = await perform(house, "household")
    calls = [(line.player, call.tool) for line in take.lines for call in line.calls]
    assert calls == [("steward", "lights_on"), ("steward", "you_are_welcome")]
    voice = next(line for line in take.lines if line.player == "voice")
    assert voice.said == "Any time, my dear. The pleasure is mine."
    assert voice.file
    assert house.items("voice")[0] == "system: You were thanked just now."
    assert house.heard("voice") == []
    assert all(line.file is None for line in take.lines if line.player == "steward")
    facts = house.journal
    called = next(f for f in facts if isinstance(f, record.ToolCalled) and f.tool == "you_are_welcome")
    began = next(f for f in facts if isinstance(f, record.LineBegan) and f.player == "voice")
    assert began.at_s - called.at_s < 0.9


async def test_a_conversation_in_writing(house: Playhouse) -> None:
    plan = plan_of("chat")
    read, write = os.pipe()
    os.write(write, b"Hello there\nHow are the umbrellas?\ngoodbye then\nnever read\n")
    os.close(write)
    take = await house.perform(plan, people={"you": Typist(plan.player("you"), fd=read)})
    os.close(read)
    assert [player for player, _ in said(take)] == ["you", "friend"] * 3
    assert "umbrellas" in take.lines[3].said
    assert all(line.file is None and line.samples == 0 for line in take.lines)
    assert all(line.first_words_s is not None for line in take.lines if line.player == "friend")
    assert take.usage.audio_out == 0


async def test_a_voice_assistant_whose_recordings_stand_in(house: Playhouse) -> None:
    take = await perform(house, "assistant")
    assert [line.player for line in take.lines] == ["visitor", "helper", "visitor", "helper"]
    assert [call.output for call in take.lines[1].calls] == ['{"weather":"rain","degrees":12}']
    assert "rain" in take.lines[1].said


async def test_customer_service_says_what_its_tool_found(house: Playhouse) -> None:
    take = await perform(house, "service")
    (call,) = take.lines[2].calls
    assert (call.tool, json.loads(call.arguments)) == ("get_order_status", {"order_number": "4711"})
    assert json.loads(call.output) == {"status": "on its way", "arrives": "Tuesday"}
    assert "Tuesday" in take.lines[2].said
    assert len(house.sent("agent", "response.create")) == 4  # three lines, and one answer to the tool


async def test_captions_are_written_as_they_come(house: Playhouse) -> None:
    take = await perform(house, "live-translation")
    assert said(take) == [
        ("speaker", "Ladies and gentlemen, welcome to the harbour."),
        ("captions", "Ladies and gentlemen, welcome to the harbour."),
        ("speaker", "The last boat leaves at nine."),
        ("captions", "The last boat leaves at nine."),
    ]
    assert "into German" in house.sent("captions", "session.update")[0]["session"]["instructions"]


# ---- the tavern


async def test_the_tavern_is_heard_exactly(house: Playhouse) -> None:
    take = await perform(house, "tavern")
    by_id = {line.id: line for line in take.lines}
    order = [line.id for line in take.lines]
    free = [name for name in order if name.startswith("improvise-")]
    assert len(free) == 5
    tail = ["fiddler-2", *(["cue-1-maid-1"] if "cue-1-maid-1" in order else []), "keeper-3"]
    group = {"keeper-2", "fiddler-1"}
    assert order[:4] == ["traveller-1", "keeper-1", "maid-1", "aside"]
    assert set(order[4:6]) == group
    assert order[6] == "traveller-2"
    assert [name for name in order[7:] if name not in free] == tail
    for player in ("keeper", "maid"):
        expected = [name for name in order if by_id[name].player != player and (name != "aside" or player == "keeper")]
        heard = house.heard(player)
        assert [name for name in heard if name not in group] == [name for name in expected if name not in group]
        assert set(heard) == set(expected)
        labels = [item for item in house.items(player) if item.endswith(" says:")]
        assert labels == [f"user: {by_id[name].player} says:" for name in heard]
    read = [item for item in house.items("fiddler") if item.startswith("user: ") and ": " in item[6:]]
    others = [
        f"user: {line.player}: {line.said}" for line in take.lines if line.player != "fiddler" and line.id != "aside"
    ]
    assert sorted(item for item in read if not item.startswith("user: Perform")) == sorted(others)
    assert house.heard("fiddler") == []
    for line in take.lines:
        assert {hearing.player for hearing in line.hearers if hearing.heard_at_s is None} == set()


async def test_the_tavern_is_interrupted_to_the_sample(house: Playhouse) -> None:
    take = await perform(house, "tavern")
    cut, maid = take.lines[1:3]
    assert (cut.id, cut.reason, cut.samples) == ("keeper-1", "cut_in", round(1.65 * RATE))
    assert house.sent("keeper", "conversation.item.truncate")[0]["audio_end_ms"] == 1650
    assert maid.offset_samples == cut.offset_samples + round(1.45 * RATE)
    assert len(house.received("keeper", "conversation.item.truncated")) == 1


async def test_the_tavern_has_a_stem_for_everything(house: Playhouse) -> None:
    take = await perform(house, "tavern")
    stems = {path.stem for path in (house.folder.path / "stems").iterdir()}
    assert stems == {"keeper", "maid", "fiddler", "traveller", "bed-rain", "sfx-door", "sfx-mug"}
    assert {len(read_wav(path)) for path in house.folder.stems.iterdir()} == {take.samples}
    keeper, fiddler = (line for line in take.lines if line.id in ("keeper-2", "fiddler-1"))
    mug = next(sound for sound in take.sounds if sound.stem == "stems/sfx-mug.wav")
    assert keeper.offset_samples == fiddler.offset_samples == mug.offset_samples
    assert house.stem("bed-rain").array[: RATE * 20].any()
    traveller = next(player for player in take.players if player.name == "traveller")
    assert (traveller.human, traveller.lines) == ("mic", 2)
    assert not traveller.cost.total


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_tavern_is_performed_with_real_voices_and_twice_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: performs a scene with neural voices here, and in a process that knows nothing of it."""
    monkeypatch.chdir(SCENES.parent)
    words = ["run", "scenes/tavern.yaml", "--stand-in", "--json", "--out"]
    assert run(*words, str(tmp_path / "a")) == 0
    knowing_nothing = os.environ | {"XDG_CACHE_HOME": os.devnull}
    done = python("-m", "tau_stage", *words, str(tmp_path / "b"), env=knowing_nothing)
    takes = [json.loads(told) for told in (capsys.readouterr().out, done.stdout)]
    first, second = (take["take"] for take in takes)
    assert [line["said"] for line in first["lines"]] == [line["said"] for line in second["lines"]]
    assert [line["sha256"] for line in first["lines"]] == [line["sha256"] for line in second["lines"]]
    for stem in (Path(takes[0]["path"]) / "stems").iterdir():
        assert read_wav(stem) == read_wav(Path(takes[1]["path"]) / "stems" / stem.name), stem.name


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_captions_stream_as_json_lines(tmp_path: Path) -> None:
    """Slow: a whole process."""
    command = ["run", "scenes/live-translation.yaml", "--stream", "-", "--out", str(tmp_path)]
    done = python("-m", "tau_stage", *command, cwd=SCENES.parent)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    words = "".join(event["words"] for event in told if event["type"] == "words" and event["player"] == "captions")
    assert words == "Ladies and gentlemen, welcome to the harbour.The last boat leaves at nine."
    assert [event["state"] for event in told if event["type"] == "state"][:3] == ["listening", "thinking", "idle"]
    assert "Captions" in done.stderr
