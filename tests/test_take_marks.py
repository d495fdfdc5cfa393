"""Marks in the files of a take: where its lines are, who speaks, and what is synthetic."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import soundfile

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.riff import ADTL, BEXT, CUE, IXML, read_chunks
from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.errors import TakeError
from tau_stage.stage.people import people_of
from tau_stage.take.folder import TakeFolder, make_latest
from tau_stage.take.marks import marks_of, write_marks
from tau_stage.take.take_model import Take
from tests.support.in_memory_stage import Playhouse, plan_of

SCENE = """
scene: The “last” umbrella
players: {Zoë: {voice: marin}, guest: {human: sounds/guest.wav}}
lines:
  - Zoë: Who is there, & <why>?
  - sfx: sounds/mug.wav
  - guest: Good evening.
  - Zoë: (softly) Come in.
"""


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


async def performed(house: Playhouse) -> Take:
    plan = plan_of(SCENE)
    return await house.perform(plan, people=people_of(plan))


def mix(folder: TakeFolder, samples: int) -> None:
    with WavWriter(folder.path / "mix.wav") as writer:
        writer.append(Pcm.silence(samples))


def sounds(folder: TakeFolder) -> dict[Path, str]:
    return {path: read_wav(path).sha256 for path in sorted(folder.path.rglob("*.wav"))}


def slate(path: Path) -> ET.Element:
    return ET.fromstring(read_chunks(path)[IXML])  # noqa: S314 - our own


async def test_every_file_is_marked_and_sounds_as_before(house: Playhouse) -> None:
    take = await performed(house)
    mix(house.folder, take.samples)
    before = sounds(house.folder)
    assert len(before) == 7
    assert write_marks(house.folder, take) == []
    assert sounds(house.folder) == before
    for line in take.lines:
        assert house.file(line).sha256 == line.sha256
    for path in before:
        told = read_chunks(path)
        assert {BEXT, IXML} <= set(told)
        assert ({CUE, ADTL} <= set(told)) == (path.parent.name != "lines")
        assert soundfile.info(path).frames == len(read_wav(path))


async def test_marking_again_changes_nothing(house: Playhouse) -> None:
    take = await performed(house)
    write_marks(house.folder, take)
    once = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sounds(house.folder)}
    assert write_marks(house.folder, take) == []
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in once} == once


async def test_another_reader_finds_the_lines(house: Playhouse) -> None:
    wavinfo: Any = pytest.importorskip("wavinfo", reason="wavinfo is not installed")
    take = await performed(house)
    mix(house.folder, take.samples)
    write_marks(house.folder, take)

    def read(name: str) -> Any:
        return wavinfo.WavInfoReader(house.folder.path / name)

    def marks(*players: str) -> list[dict[str, object]]:
        own = [line for line in take.lines if line.player in players]
        return [{"frame": line.offset_samples, "label": line.id, "length": line.samples} for line in own]

    assert list(read("mix.wav").cues.to_dict().values()) == marks("Zoë", "guest")
    assert list(read("stems/zoe.wav").cues.to_dict().values()) == marks("Zoë")
    assert list(read("stems/guest.wav").cues.to_dict().values()) == marks("guest")
    assert read("stems/zoe.wav").bext.time_reference == 0
    first, _, last = take.lines
    told = read(str(last.file))
    assert told.bext.time_reference == last.offset_samples > 0
    assert (told.bext.originator, told.bext.originator_date) == ("tau-stage", take.started[:10])
    assert told.bext.description == f"{last.number:03d} zoe-2 (Zoe): {last.said}"
    model = take.players[0].model
    assert f"T=synthetic speech: Zoe ({model} at understudy; voice marin)" in told.bext.coding_history
    assert (told.ixml.project, told.ixml.scene) == (take.scene.title, take.scene.slug)
    assert (told.ixml.take, told.ixml.tape) == (house.folder.path.name, take.started[:10].replace("-", ""))
    assert [track.name for track in told.ixml.track_list] == ["Zoë"]
    assert told.ixml.raw_xml.findtext("TAU_STAGE/LINE") == "zoe-2"
    assert told.ixml.raw_xml.findtext("TAU_STAGE/DIRECTION") == "softly"
    assert read(str(first.file)).bext.originator_ref != told.bext.originator_ref


async def test_people_and_sounds_are_not_called_synthetic(house: Playhouse) -> None:
    take = await performed(house)
    mix(house.folder, take.samples)
    write_marks(house.folder, take)
    path = house.folder.path
    files = {
        str(take.lines[0].file): "yes",
        "stems/zoe.wav": "yes",
        "mix.wav": "yes",
        str(take.lines[1].file): "no",
        "stems/guest.wav": "no",
        "stems/sfx-mug.wav": "no",
    }
    for file, synthetic in files.items():
        told = slate(path / file)
        assert told.findtext("TAU_STAGE/SYNTHETIC") == synthetic
        assert (b"synthetic" in read_chunks(path / file)[BEXT]) == (synthetic == "yes")
        assert ("synthetic" in str(told.findtext("NOTE"))) == (synthetic == "yes")
    assert str(slate(path / "mix.wav").findtext("NOTE")).endswith("; people: guest")
    assert slate(path / "stems/sfx-mug.wav").findtext("NOTE") == "sounds from sounds/mug.wav"


async def test_what_is_missing_or_broken_is_told_and_the_rest_is_marked(house: Playhouse, tmp_path: Path) -> None:
    take = await performed(house)
    gone, broken, rest = (str(line.file) for line in take.lines)
    (house.folder.path / gone).unlink()
    (house.folder.path / broken).write_text("no sound")
    outside = tmp_path / "outside.wav"
    mix(TakeFolder(tmp_path), 10)
    (tmp_path / "mix.wav").rename(outside)
    player = take.players[0].model_copy(update={"stem": "../../outside.wav"})
    before = outside.read_bytes()
    assert write_marks(house.folder, take.model_copy(update={"players": (player, *take.players[1:])})) == [
        f"{gone}: file not found, so it was not marked",
        f"{broken}: could not be marked: not a WAV file",
        "../../outside.wav: is outside the take's folder, so it was not marked",
    ]
    assert outside.read_bytes() == before
    assert BEXT in read_chunks(house.folder.path / rest)


async def test_what_cannot_be_written_is_a_take_error_with_a_hint(house: Playhouse) -> None:
    take = await performed(house)
    with pytest.raises(TakeError, match=r"take.json: invalid start time of the take: 'now'\n  hint: write 'started'"):
        write_marks(house.folder, take.model_copy(update={"started": "now"}))


async def test_a_full_disk_is_told_and_leaves_the_sound(house: Playhouse) -> None:
    """The system lets no file grow beyond the longest there is."""
    take = await performed(house)
    before = sounds(house.folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(path.stat().st_size for path in before), limits[1]))
        with pytest.raises(TakeError, match="file too large\n  hint: free some disk space"):
            write_marks(house.folder, take)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sounds(house.folder) == before
    assert write_marks(house.folder, take) == []


async def test_a_take_known_by_its_link_gets_the_same_marks(house: Playhouse) -> None:
    take = await performed(house)
    write_marks(house.folder, take)
    once = {path: path.read_bytes() for path in sounds(house.folder)}
    make_latest(house.folder)
    assert write_marks(TakeFolder(house.folder.path.parent / "latest"), take) == []
    assert {path: path.read_bytes() for path in once} == once
    assert dict(marks_of(take, house.folder.path.name, Path("mix.wav"))).keys() >= {"mix.wav", "stems/zoe.wav"}


@pytest.mark.skipif(not shutil.which("sox"), reason="sox is not installed")
async def test_sox_mixes_marked_stems(house: Playhouse) -> None:
    take = await performed(house)
    write_marks(house.folder, take)
    stems = [str(house.folder.stems / f"{name}.wav") for name in ("zoe", "guest")]
    command = ["sox", "-D", "-m", "-v", "1", stems[0], "-v", "1", stems[1], "-t", "raw", "-"]
    done = subprocess.run(command, check=True, capture_output=True)  # noqa: ASYNC221 - nobody else waits
    both = house.stem("zoe").array.astype(int) + house.stem("guest").array
    assert done.stdout == both.astype("<i2").tobytes()
