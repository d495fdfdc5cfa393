"""What a piece of sound costs on its way from the socket to the disk, in calls and system calls: they do not flake."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.protocol.decoding import Repeats
from tests.support.counted_calls import counted_calls
from tests.support.in_memory_stage import Playhouse

SCENE = "players: {ann: {voice: ash}}\nlines:\n  - ann: "


async def test_a_piece_of_sound_that_nobody_watches_costs_few_calls(tmp_path: Path) -> None:
    """Two lines that differ in length alone: what a piece costs is what the longer one has more."""

    async def calls_for(words: int) -> Counter[str]:
        house = Playhouse(tmp_path / str(words), judges=False, keeps=False)
        with counted_calls("Python") as calls:
            await house.perform(SCENE + "word " * words)
        return calls

    await calls_for(2)  # whatever is made once is made
    short, long = await calls_for(20), await calls_for(60)
    more = {name: long[name] - count for name, count in (long | short).items()}
    pieces = long["_add_sound"] - short["_add_sound"]
    assert pieces >= 15
    for name in ("rms_dbfs", "slug", "line", "guarded", "split"):
        assert more.get(name, 0) == 0, name
    assert more["_tell_size"] <= pieces / 4
    assert more["decode"] <= 2 * pieces  # its words come beside it
    assert more.get("<genexpr>", 0) <= pieces / 4
    for name in ("_read_frame", "take_in", "apply", "knows"):
        assert more[name] <= more["decode"] * (2 if name == "apply" else 1), name


def test_the_header_of_a_line_under_way_is_written_now_and_then_and_a_reader_finds_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, pwrite = [], os.pwrite

    def count(file: int, data: bytes, at: int) -> int:
        headers.append(at)
        return pwrite(file, data, at)

    monkeypatch.setattr(os, "pwrite", count)
    with WavWriter(tmp_path / "a.wav", header_lag=1000) as writer:
        for appended in range(1, 51):
            writer.append(Pcm(b"\x10\x20" * 100))
            found = read_wav(tmp_path / "a.wav")
            assert 100 * appended - 1000 <= len(found) <= 100 * appended
            assert found == Pcm(b"\x10\x20" * len(found))
        assert headers == [0] * (1 + 50 // 11)
    assert read_wav(tmp_path / "a.wav") == Pcm(b"\x10\x20" * 5000)


def test_a_piece_of_sound_that_differs_anywhere_is_another_event() -> None:
    """A server may give all its events one id; then nothing is left out."""
    sound = bytearray(b'{"delta":"' + b"A" * 6400 + b'"}')
    for at in range(10, 6000, 407):
        other, repeats = sound.copy(), Repeats()
        other[at : at + 16] = b"BCDEFGHIJKLMNOPQ"
        for event_id in ("a", "b", "c"):
            assert not repeats.knows(bytes(sound), event_id)
        assert repeats.knows(bytes(sound), "c")
        assert not repeats.knows(bytes(other), "c")
