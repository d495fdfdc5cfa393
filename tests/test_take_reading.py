"""A take is read back as it was left: whole, or as far as its journal goes; what is wrong is told in one message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.errors import TakeError
from tau_stage.take.reading import audio_of, read_take
from tau_stage.take.take_model import Take
from tests.support.in_memory_stage import Playhouse

DUET = """
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: One.
  - bob: Two.
"""


@pytest.fixture
async def house(tmp_path: Path) -> Playhouse:
    house = Playhouse(tmp_path)
    await house.perform(DUET)
    return house


def written(house: Playhouse) -> Take:
    return Take.model_validate_json((house.folder.path / "take.json").read_text())


def rewrite(house: Playhouse, **changes: object) -> None:
    path = house.folder.path / "take.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(path: Path) -> str:
    with pytest.raises(TakeError) as refused:
        read_take(path)
    assert refused.value.hint
    return str(refused.value)


@pytest.mark.parametrize("name", ["", "../latest", "take.json", "journal.jsonl", "../latest/take.json"])
async def test_a_take_is_read_however_it_is_named(house: Playhouse, name: str) -> None:
    folder, take = read_take(house.folder.path / name)
    assert take == written(house)
    assert [audio_of(folder, line) for line in take.lines] == [house.file(line) for line in take.lines]


async def test_a_stopped_run_is_read_from_its_journal(house: Playhouse) -> None:
    whole = written(house)
    (house.folder.path / "take.json").unlink()
    assert read_take(house.folder.path)[1] == whole
    kept = house.folder.journal.read_bytes()
    house.folder.journal.write_bytes(kept[: kept.index(b'"line_spoken"', kept.index(b'"line_spoken"') + 1) + 40])
    _, take = read_take(house.folder.path)
    assert take.ended == "interrupted"
    assert [line.id for line in take.lines] == ["ann-1"]


async def test_a_journal_that_is_torn_in_the_middle_is_refused(house: Playhouse) -> None:
    (house.folder.path / "take.json").unlink()
    lines = house.folder.journal.read_bytes().splitlines(keepends=True)
    house.folder.journal.write_bytes(b"".join([*lines[:3], lines[3][:9] + b"\n", *lines[4:]]))
    told = refusal(house.folder.path)
    assert told.startswith(f"{house.folder.journal}: line 4: invalid record: ")


async def test_a_journal_without_a_beginning_or_of_a_stranger_is_refused(house: Playhouse) -> None:
    (house.folder.path / "take.json").unlink()
    kept = house.folder.journal.read_bytes()
    house.folder.journal.write_bytes(b"")
    assert "the journal is missing its first record" in refusal(house.folder.path)
    house.folder.journal.write_bytes(kept.replace(b'"name":"bob"', b'"name":"eve"'))
    assert "refers to an unknown player 'bob'" in refusal(house.folder.path)


def test_where_there_is_no_take_the_message_says_where_to_look(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone").startswith(f"{tmp_path / 'gone'}: no such folder\n  hint: ")
    (tmp_path / "file").touch()
    assert "not a directory" in refusal(tmp_path / "file")
    (tmp_path / "my scene.yaml").touch()
    assert refusal(tmp_path / "my scene.yaml").endswith(f"tau-stage run --resume '{tmp_path / 'my scene.yaml'}'")
    assert "neither take.json nor journal.jsonl" in refusal(tmp_path)


@pytest.mark.usefixtures("house")
async def test_a_folder_of_takes_is_answered_with_one_of_them(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith(f"such as {tmp_path / 'scene' / 'latest'}")
    assert refusal(tmp_path / "scene").endswith(f"such as {tmp_path / 'scene' / 'latest'}")


async def test_a_take_of_a_newer_version_is_named_with_both_versions(house: Playhouse) -> None:
    rewrite(house, version=7, curtains="red")
    told = refusal(house.folder.path)
    assert "has version 7, but this tau-stage supports version 1" in told
    assert "install a newer tau-stage" in told
    (house.folder.path / "take.json").unlink()
    house.folder.journal.write_bytes(house.folder.journal.read_bytes().replace(b'"version":1', b'"version":2', 1))
    assert "has version 2" in refusal(house.folder.path)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "[" * 100_000, "\xff", '{"version": 1}', '{"version": "x"}'])
async def test_a_broken_take_json_is_refused_and_the_journal_offered(house: Playhouse, text: str) -> None:
    (house.folder.path / "take.json").write_bytes(text.encode("latin-1"))
    told = refusal(house.folder.path)
    assert told.startswith(f"{house.folder.path / 'take.json'}: is ")
    assert told.endswith("delete it to read the take from journal.jsonl")
    house.folder.journal.unlink()
    assert "run the scene again" in refusal(house.folder.path)


async def test_a_sound_that_is_missing_short_broken_or_another_is_told(house: Playhouse) -> None:
    folder, take = read_take(house.folder.path)
    line = take.lines[0]
    path = folder.path / str(line.file)
    whole = path.read_bytes()

    def refused() -> str:
        with pytest.raises(TakeError) as told:
            audio_of(folder, line)
        return str(told.value)

    path.write_bytes(whole[:-101])
    assert f"is incomplete: it has {line.samples - 51} of the {line.samples} samples" in refused()
    path.write_bytes(b"RIFX" + whole[4:])
    assert "cannot read the audio of line ann-1: not a WAV file" in refused()
    path.unlink()
    assert "the audio of line ann-1 is missing" in refused()
    with WavWriter(path) as file:
        file.append(Pcm.silence(line.samples))
    assert "is not the audio of line ann-1" in refused()


async def test_a_line_without_sound_and_a_file_outside_are_refused(house: Playhouse) -> None:
    folder, take = read_take(house.folder.path)
    for name, problem in ((None, "line ann-1 has no audio"), ("../../secret.wav", "refers to a file outside the take")):
        with pytest.raises(TakeError, match=problem):
            audio_of(folder, take.lines[0].model_copy(update={"file": name}))
