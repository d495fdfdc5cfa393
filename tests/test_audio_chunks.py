"""What stands behind the sound of a WAV file, as others read it; and that the sound stays what it was."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import wave
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.riff import (
    ADTL,
    BEXT,
    CUE,
    IXML,
    Mark,
    Origin,
    Slate,
    append_chunks,
    bext_chunk,
    chunk,
    coding_history,
    cue_chunks,
    ixml_chunk,
    plain,
    read_chunks,
    tells_its_size,
)
from tau_stage.audio.wav import HEADER_BYTES, WavWriter, header, read_wav

SOUND = Pcm(bytes(range(200)) * 10)
MARKS = (Mark(500, 70_000, "stranger-1"), Mark(0, 500, "clerk-1"))
AT = datetime(2026, 11, 21, 9, 5, 7, tzinfo=UTC)
ORIGIN = Origin("The “last” umbrella", "0123abcd", AT, 5_000_000_000, coding_history(24_000, "synthetic speech, ash"))
SLATE = Slate("The last umbrella", "umbrella", "t-1", "20261121", "synthetic <&>", 24_000, ("Zoë",), {"LINE": "a"})
ALL = {**cue_chunks(MARKS), BEXT: bext_chunk(ORIGIN), IXML: ixml_chunk(SLATE, ORIGIN)}

some = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
texts = st.text(st.characters(codec=None), max_size=300)
named = st.dictionaries(
    st.sampled_from([CUE, ADTL, BEXT, IXML, b"LISTINFO", b"junk"]), st.binary(max_size=40), max_size=4
)


def wav(path: Path, sound: Pcm = SOUND) -> Path:
    with WavWriter(path) as writer:
        writer.append(sound)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return wav(tmp_path / "a.wav")


@pytest.fixture
def marked(path: Path) -> Path:
    append_chunks(path, ALL)
    return path


def info(path: Path) -> Any:
    reader = pytest.importorskip("wavinfo", reason="wavinfo is not installed")
    return reader.WavInfoReader(path, info_encoding="utf-8")


def run(*command: str) -> bytes:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, check=True, capture_output=True)
    assert not done.stderr
    return done.stdout


def libsndfile(path: Path, command: int, size: int) -> bytes:
    """What libsndfile answers to a command that soundfile has no method for."""
    with soundfile.SoundFile(path) as file:
        room = soundfile._ffi.new("char[]", size)
        assert soundfile._snd.sf_command(file._file, command, room, size)
        return bytes(soundfile._ffi.buffer(room, size))


# ---- the files


@given(first=named, second=named, samples=st.integers(0, 50))
@some
def test_chunks_are_added_replaced_and_read_back_and_the_sound_stays(
    tmp_path: Path, first: dict[bytes, bytes], second: dict[bytes, bytes], samples: int
) -> None:
    path = wav(tmp_path / "a.wav", SOUND[:samples])
    sound = path.read_bytes()
    append_chunks(path, first)
    append_chunks(path, second)
    whole = path.read_bytes()
    told = read_chunks(path)
    assert told.pop(b"fmt ") == sound[20:36]
    assert told == first | second
    assert whole[8 : len(sound)] == sound[8:]
    assert struct.unpack("<I", whole[4:8]) == (len(whole) - 8,)
    assert len(whole) % 2 == 0
    assert read_wav(path) == SOUND[:samples]
    assert soundfile.info(path).frames == samples


def test_doing_it_twice_leaves_the_same_bytes_and_writes_nothing(marked: Path) -> None:
    once = marked.read_bytes()
    os.utime(marked, (1, 1))
    append_chunks(marked, ALL)
    assert marked.read_bytes() == once
    assert marked.stat().st_mtime == 1


def cut_short(path: Path, written: int) -> bytes:
    """Leave a file as a process killed while it marks does: some of the new bytes lie outside of it, as junk."""
    sound = path.read_bytes()
    append_chunks(path, ALL)
    whole = path.read_bytes()
    tail = b"JUNK" + struct.pack("<I", len(whole) - len(sound) - 8) + whole[len(sound) + 8 :]
    path.write_bytes(sound + (tail[:written] if written < len(tail) else whole[len(sound) :]))
    return whole


@given(written=st.integers(0, 2500))
@some
def test_a_write_cut_short_leaves_a_whole_file_that_can_be_marked_again(tmp_path: Path, written: int) -> None:
    path = wav(tmp_path / "a.wav")
    whole = cut_short(path, written)
    assert read_wav(path) == SOUND
    assert soundfile.read(path, dtype="int16")[0].tobytes() == SOUND.data
    append_chunks(path, ALL)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("written", [3, 200, 300])
def test_ffmpeg_and_sox_read_what_a_write_cut_short_left(path: Path, written: int) -> None:
    cut_short(path, written)
    assert run("ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-") == SOUND.data
    assert run("sox", str(path), "-t", "raw", "-") == SOUND.data


def test_other_files_are_refused_and_stay_as_they_are(tmp_path: Path, path: Path) -> None:
    whole = path.read_bytes()
    wrong = {
        "not a WAV file": b"ID3 something else",
        "truncated; its header specifies 2044 bytes": whole[:-2],
        "a WAV file without audio data": b"RIFF\x04\0\0\0WAVE",
        "'data' is longer than the file": whole[:4] + b"\x30\0\0\0" + whole[8:],
    }
    for problem, held in wrong.items():
        other = tmp_path / "other.wav"
        other.write_bytes(held)
        with pytest.raises(ValueError, match=problem):
            append_chunks(other, ALL)
        assert other.read_bytes() == held
    with pytest.raises(ValueError, match="fmt  comes before the audio data"):
        append_chunks(path, {b"fmt ": b"x"})
    with pytest.raises(ValueError, match="b'abc' is not a valid chunk name"):
        append_chunks(path, {b"abc": b""})
    assert path.read_bytes() == whole


def test_more_than_4_gib_is_refused(tmp_path: Path) -> None:
    path, samples = tmp_path / "long.wav", 0x7FFFFFE0
    path.write_bytes(header(samples, 24_000))
    os.truncate(path, HEADER_BYTES + 2 * samples)  # a hole: it takes no room
    with pytest.raises(ValueError, match="exceed 4 GiB, the limit of a WAV file"):
        append_chunks(path, ALL)
    assert path.stat().st_size == HEADER_BYTES + 2 * samples
    with pytest.raises(ValueError, match="does not fit into a WAV file"):
        Mark(1 << 32, 0, "late")
    with pytest.raises(ValueError, match="does not fit into 64 bits"):
        bext_chunk(Origin("", "", AT, -1))


# ---- the bytes


def test_no_marks_are_no_chunks() -> None:
    assert cue_chunks(()) == {}
    assert chunk(b"LISTadtl", b"abc") == b"LIST\x07\0\0\0adtlabc\0"


@given(texts)
def test_any_text_becomes_one_line_of_ascii(text: str) -> None:
    told = plain(text)
    assert told.isascii()
    assert all(" " <= letter <= "~" for letter in told)
    assert plain(told) == told


@given(text=texts, sample=st.integers(0, 2**64 - 1))
def test_any_text_and_place_become_valid_xml_and_a_whole_bext(text: str, sample: int) -> None:
    origin = Origin(text, text, AT, sample, coding_history(24_000, text))
    fixed = bext_chunk(origin)
    assert struct.unpack("<Q", fixed[338:346]) == (sample,)
    assert fixed[602:].count(b",") == 4
    slate = Slate(text, text, text, text, text, 24_000, (text,), {"LINE": text})
    root = ET.fromstring(ixml_chunk(slate, origin))  # noqa: S314 - our own
    legal = all(letter in "\t\n" or " " <= letter < "\ud800" or "\ue000" <= letter < "\ufffe" for letter in text)
    assert (root.findtext("NOTE") == text) or not legal
    low, high = (int(root.findtext(f"BEXT/BWF_TIME_REFERENCE_{half}") or "") for half in ("LOW", "HIGH"))
    assert (high << 32) + low == sample


# ---- other readers


def test_wavinfo_reads_marks_origin_and_slate(marked: Path) -> None:
    read = info(marked)
    assert (read.data.frame_count, read.fmt.sample_rate) == (len(SOUND), 24_000)
    assert read.cues.to_dict() == {
        1: {"frame": 0, "label": "clerk-1", "length": 500},
        2: {"frame": 500, "label": "stranger-1", "length": 70_000},
    }
    assert (read.bext.description, read.bext.originator) == ('The "last" umbrella', "tau-stage")
    assert (read.bext.originator_ref, read.bext.version) == ("0123abcd", 1)
    assert (read.bext.originator_date, read.bext.originator_time) == ("2026-11-21", "09:05:07")
    assert (read.bext.time_reference, read.bext.coding_history) == (5_000_000_000, ORIGIN.history)
    assert (read.ixml.project, read.ixml.scene, read.ixml.take) == ("The last umbrella", "umbrella", "t-1")
    assert (read.ixml.tape, [track.name for track in read.ixml.track_list]) == ("20261121", ["Zoë"])
    told = {tag: read.ixml.raw_xml.findtext(tag) for tag in ("NOTE", "SPEED/FILE_SAMPLE_RATE", "TAU_STAGE/LINE")}
    assert list(told.values()) == ["synthetic <&>", "24000", "a"]


def test_libsndfile_reads_marks_and_origin(marked: Path) -> None:
    count, *_ = struct.unpack_from("<I", libsndfile(marked, 0x10CD, 4))  # SFC_GET_CUE_COUNT
    cues = libsndfile(marked, 0x10CE, 4 + 280 * 100)  # SFC_GET_CUE
    points = [struct.unpack_from("<iI4siiI256s", cues, 4 + 280 * number) for number in range(count)]
    assert [(point[1], point[5], point[6].split(b"\0")[0]) for point in points] == [
        (0, 0, b"clerk-1"),
        (500, 500, b"stranger-1"),
    ]
    bext = libsndfile(marked, 0x10F0, 864)  # SFC_GET_BROADCAST_INFO
    assert bext[:19] == b'The "last" umbrella'
    assert struct.unpack_from("<II", bext, 340) == (5_000_000_000 & 0xFFFFFFFF, 1)
    assert b"T=synthetic speech; ash" in bext


def test_sox_hears_the_same_frames(marked: Path) -> None:
    assert run("sox", str(marked), "-t", "raw", "-") == SOUND.data


def test_ffmpeg_hears_the_same_frames_and_reads_the_origin(marked: Path) -> None:
    asked = ("-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_chapters", str(marked))
    told = json.loads(run("ffprobe", *asked))
    assert told["streams"][0]["duration_ts"] == len(SOUND)
    tags = told["format"]["tags"]
    assert (tags["comment"], tags["encoded_by"]) == ('The "last" umbrella', "tau-stage")
    assert (tags["date"], tags["creation_time"], tags["time_reference"]) == ("2026-11-21", "09:05:07", "5000000000")
    assert [chapter["tags"]["title"] for chapter in told["chapters"]] == ["clerk-1", "stranger-1"]
    assert tags["coding_history"].strip() == ORIGIN.history.strip()


def test_the_standard_library_and_soundfile_read_the_same_frames(marked: Path) -> None:
    with wave.open(str(marked)) as file:
        assert file.readframes(file.getnframes()) == SOUND.data
    assert soundfile.read(marked, dtype="int16")[0].tobytes() == SOUND.data


@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (24_000, 2), (48_000, 1), (48_000, 2)])
def test_an_mp3_that_was_not_written_to_the_end_is_known(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "a.mp3"
    sound = [[0.1 * (number % 7)] * channels for number in range(rate)]
    soundfile.write(path, sound, rate, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5)
    whole = path.read_bytes()
    assert tells_its_size(path)
    path.write_bytes(whole[:-100])
    assert not tells_its_size(path)
    path.write_bytes(whole[:8] + bytes(200) + whole[208:])
    assert not tells_its_size(path)
    path.write_bytes(whole[:20])
    assert not tells_its_size(path)


def test_a_header_that_was_not_written_to_the_end_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", 24_000, 1, subtype="PCM_24", format="WAV") as file:
        begun = path.read_bytes()
        file.write([0.0] * 1001)
    assert tells_its_size(path)
    path.write_bytes(begun + path.read_bytes()[len(begun) :])
    assert not tells_its_size(path)
    path.write_bytes(b"RIFF")
    assert not tells_its_size(path)
