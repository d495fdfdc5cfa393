"""The shelf: sounds on disk, each once, however many sessions hold them."""

from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.pcm import Pcm
from tau_stage.understudy.sound_store import BLOCK, INAUDIBLE, BlobStore, KnownSpeech, load_pcm, read_bytes
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
