"""Nobody waits for the disk while a scene is performed, and its order is kept: a line's sound, then its record."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import anyio
import pytest

from tau_stage.errors import TakeError
from tau_stage.stage.events import MOST_WAITING, DiskThread, Event
from tau_stage.take import records as record
from tau_stage.take.folding import fold
from tau_stage.take.journal import Journal
from tests.support.in_memory_stage import Playhouse
from tests.support.watched_disk import Access, watched_disk

SCENE = """
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: Good evening.
  - bob: Is it?
    takes: 2
  - ann: It was.
"""
PATIENCE_S = 20.0
"""Seconds after which a test fails that would wait for ever."""


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


def is_line(access: Access) -> bool:
    return access.name == "fsync" and access.path.parent.name == "lines"


async def test_only_before_the_first_line_and_after_the_last_does_the_loop_wait_for_the_disk(house: Playhouse) -> None:
    with watched_disk() as accesses:
        take = await house.perform(SCENE)
    assert take.ended == "complete"
    waits = [access for access in accesses if access.name == "fsync"]
    lines = [number for number, access in enumerate(waits) if is_line(access)]
    assert [access.is_on_loop for access in waits[lines[0] : lines[-1] + 2]] == [False] * (lines[-1] + 2 - lines[0])
    assert sum(not access.is_on_loop for access in waits) <= 3 * 5 + 2  # three for each file, one for each end


async def test_the_journal_is_brought_to_the_disk_when_the_sound_of_its_lines_is_there(house: Playhouse) -> None:
    """Only what was waited for outlives the power: at any moment, the records that do have their sound."""
    with watched_disk() as accesses:
        take = await house.perform(SCENE)
    files = {line.id: Path(str(line.file)).name for line in take.lines}
    written, sounds, folders = set[str](), set[str](), 0
    for access in accesses:
        if access.path == house.folder.journal:
            named = [line for line in files if f'"line":"{line}"'.encode() in access.data]
            written |= set(named) if b'"line_spoken"' in access.data else set()
            if access.name == "fsync":
                assert {files[line] for line in written} <= sounds
                assert folders >= len(written)
        elif access.name == "fsync" and access.path.parent.name == "lines":
            sounds |= {name for name in files.values() if access.path.stem.startswith(Path(name).stem)}
        elif access.name == "fsync" and access.path.name == "lines":
            folders += 1
    assert written == set(files)


async def test_hearing_and_the_next_line_do_not_wait_for_a_slow_disk(house: Playhouse) -> None:
    heard = threading.Event()
    send, receive = anyio.create_memory_object_stream[Event](1000)

    def be_slow(access: Access) -> None:
        if is_line(access) and access.path.name.startswith("001"):
            assert heard.wait(PATIENCE_S)

    async def watch() -> None:
        known = set()
        async for event in receive:
            if isinstance(event, record.LineHeard):
                known.add(event.line)
            if isinstance(event, record.LineBegan) and event.line == "ann-2" and "ann-1" in known:
                heard.set()

    with watched_disk(be_slow):
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            take = await house.perform(SCENE, watch=send)
            group.cancel_scope.cancel()
    receive.close()
    send.close()
    assert take.ended == "complete"
    assert [fact.line for fact in house.facts(record.LineSpoken)] == ["ann-1", "bob-1", "ann-2"]


async def test_sound_that_does_not_get_to_the_disk_ends_the_take_and_what_is_lost_of_it_is_performed_again(
    house: Playhouse,
) -> None:
    whole = await house.perform(SCENE)

    def be_broken(access: Access) -> None:
        if is_line(access) and access.path.name.startswith("002"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with watched_disk(be_broken), pytest.raises(TakeError, match="input/output error"):
        await house.perform(SCENE)
    assert fold(house.journal).ended == "failed"
    house.folder.inside(str(whole.lines[1].file)).write_bytes(b"")
    take = await house.perform(SCENE, again=house.folder)
    assert [(line.id, line.samples) for line in take.lines] == [(line.id, line.samples) for line in whole.lines]


class Chain(Journal):
    """A journal that tells when it is brought to the disk."""

    def __init__(self, path: Path, told: list[str]) -> None:
        super().__init__(path)
        self.told = told

    def sync(self) -> None:
        super().sync()
        self.told.append("journal")


def test_sounds_are_on_the_disk_before_the_journal_and_nothing_is_after_what_has_failed(tmp_path: Path) -> None:
    told: list[str] = []
    gate = threading.Event()

    def slow() -> None:
        told.append(str(gate.wait(PATIENCE_S)))

    def fail() -> None:
        raise TakeError("a.wav", "the disk is full")

    disk = DiskThread(Chain(tmp_path / "journal.jsonl", told))
    disk.add(slow)
    disk.start()
    disk.add(lambda: told.append("second"))
    disk.check()
    disk.start()
    gate.set()
    disk.wait()
    assert told.index("second") < len(told) - 1
    assert (told[0], told[-1]) == ("True", "journal")
    disk.add(fail)
    disk.start()
    for _ in range(2):
        with pytest.raises(TakeError, match="full"):
            disk.wait()
        with pytest.raises(TakeError, match="full"):
            disk.start()
    disk.forget()
    disk.add(lambda: told.append("again"))
    disk.start()
    disk.wait()
    assert told[-2:] == ["again", "journal"]
    disk.close()


def test_a_performance_waits_for_a_disk_that_falls_far_behind(tmp_path: Path) -> None:
    told: list[str] = []
    gate = threading.Event()
    disk = DiskThread(Chain(tmp_path / "journal.jsonl", told))
    disk.add(lambda: told.append(str(gate.wait(PATIENCE_S))))
    disk.start()
    for number in range(2 * MOST_WAITING):
        disk.add(lambda: told.append("file"))
        if number == MOST_WAITING:
            gate.set()
        disk.start()
        if number > MOST_WAITING:
            assert "journal" in told
    disk.close()
    assert told.count("file") == 2 * MOST_WAITING
