"""The shelf: sounds on disk, each once, however many sessions hold them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.understudy.sound_store import (
    BLOCK,
    INAUDIBLE,
    LONGEST_S,
    BlobStore,
    KnownSpeech,
    SoundCache,
    load_pcm,
    read_bytes,
)
from tests.support.tone_voice import tone

WORDS = "Is anybody there at this hour of the night?"


def test_a_sound_comes_back_whole_and_in_parts() -> None:
    shelf = BlobStore()
    one, two = tone("ash", "One two three."), tone("sage", "Four.")
    kept, other = shelf.put(one), shelf.put(two)
    assert (kept.pcm, other.pcm, len(kept), kept.rate) == (one, two, len(one), one.rate)
    assert kept[100:500].pcm == one[100:500]
    assert kept[:200][50:].pcm == one[50:200]
    assert shelf.put(Pcm()).pcm == Pcm()


def test_a_sound_is_kept_once() -> None:
    shelf = BlobStore()
    assert shelf.put(tone("ash", "One.")) == shelf.put(tone("ash", "One."))
    assert shelf.put(tone("ash", "Two.")).place == len(tone("ash", "One.").data)


@given(st.lists(st.binary(max_size=20).map(lambda data: Pcm(data + data)), max_size=6))
def test_a_sound_that_comes_in_parts_is_the_same_sound(parts: list[Pcm]) -> None:
    shelf = BlobStore()
    entry = shelf.entry(sum(map(len, parts)))
    for part in parts:
        entry.append(part)
    kept = entry.finish()
    assert kept.pcm == Pcm.join(parts)
    assert shelf.put(Pcm.join(parts)) == kept
    assert kept.digest == shelf.put(kept.pcm).digest


def test_two_sounds_are_written_at_the_same_time() -> None:
    shelf = BlobStore()
    one, two = tone("ash", "One."), tone("sage", "Two.")
    first, second = shelf.entry(len(one)), shelf.entry(len(two))
    for at in range(0, len(one), 100):
        first.append(one[at : at + 100])
        second.append(two[at : at + 100])
    assert (first.finish().pcm, second.finish().pcm) == (one, two)


def test_bytes_are_read_and_found_across_blocks() -> None:
    audio = Pcm(bytes(BLOCK - 4) + b"abcdefgh" + bytes(BLOCK))
    kept = BlobStore().put(audio)
    assert kept.holds(b"abcdefgh")
    assert not kept.holds(b"abcdefghi")
    assert read_bytes(kept, BLOCK - 2, 4) == read_bytes(audio, BLOCK - 2, 4) == b"cdef"
    assert read_bytes(kept, 2 * BLOCK, 100) == read_bytes(audio, 2 * BLOCK, 100) == bytes(4)
    assert load_pcm(kept) == load_pcm(audio) == audio


def test_a_library_knows_lines_that_are_on_a_shelf() -> None:
    library, spoken = KnownSpeech(), tone("ash", WORDS)
    library.add(BlobStore().put(spoken), WORDS)
    assert library.words(spoken) == WORDS
    assert library.words(Pcm.join([Pcm.silence(500), spoken[3000:15_000]])) == WORDS
    assert library.words(tone("sage", "Something else, said by nobody.")) == INAUDIBLE


def loaded(cache: SoundCache, key: bytes) -> Pcm | None:
    found = cache.load(key, BlobStore())
    return found.pcm if found is not None else None


def test_a_cached_sound_outlives_its_process_and_is_of_its_key(tmp_path: Path) -> None:
    folder, sound = tmp_path / "a" / "b", tone("ash", "One two three.")
    SoundCache(folder).save(b"one", BlobStore().put(sound))
    assert loaded(SoundCache(folder), b"one") == sound
    assert loaded(SoundCache(folder), b"two") is None
    assert [folder.stat().st_mode & 0o777, *(file.stat().st_mode & 0o777 for file in folder.iterdir())] == [
        0o700,
        0o600,
    ]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-2], lambda data: data[:20], lambda _: b"", lambda data: data[:-1] + b"?"]
)
def test_a_damaged_file_is_not_taken_and_made_good(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    cache, sound = SoundCache(tmp_path), tone("ash", "One two three.")
    cache.save(b"one", BlobStore().put(sound))
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert loaded(cache, b"one") is None
    cache.save(b"one", BlobStore().put(sound))
    assert loaded(cache, b"one") == sound


def test_what_was_used_last_stays(tmp_path: Path) -> None:
    sounds = {name: BlobStore().put(tone("ash", f"{name} two three.")) for name in ("one", "two", "six")}
    cache = SoundCache(tmp_path, most_bytes=2 * 2 * max(map(len, sounds.values())) + 100)
    for age, name in enumerate(("one", "two")):
        cache.save(name.encode(), sounds[name])
        for file in tmp_path.iterdir():
            os.utime(file, (age, age))
    assert loaded(cache, b"one")
    (tmp_path / "tmp-left-over").write_bytes(b"")
    cache.save(b"six", sounds["six"])
    assert [loaded(cache, name) is not None for name in (b"one", b"two", b"six")] == [True, False, True]


def test_without_a_folder_nothing_is_cached_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = SoundCache(tmp_path / "file" / "speech")
    cache.save(b"one", BlobStore().put(tone("ash", "One.")))
    assert loaded(cache, b"one") is None


def test_what_is_long_is_not_cached(tmp_path: Path) -> None:
    SoundCache(tmp_path).save(b"long", BlobStore().put(Pcm.silence(LONGEST_S * RATE + 1)))
    assert not [*tmp_path.iterdir()]


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert SoundCache.of_user() == SoundCache(tmp_path / "tau-stage" / "speech")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.delenv("HOME")
    assert SoundCache.of_user() is None
