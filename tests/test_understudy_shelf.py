"""The shelf: sounds on disk, each once, however many sessions hold them."""

from tau_stage.audio.pcm import Pcm
from tau_stage.understudy.shelf import Shelf
from tests.tones import tone


def test_a_sound_comes_back_whole_and_in_parts() -> None:
    shelf = Shelf()
    one, two = tone("ash", "One two three."), tone("sage", "Four.")
    kept, other = shelf.put(one), shelf.put(two)
    assert (kept.pcm, other.pcm, len(kept), kept.rate) == (one, two, len(one), one.rate)
    assert kept[100:500].pcm == one[100:500]
    assert kept[:200][50:].pcm == one[50:200]
    assert shelf.put(Pcm()).pcm == Pcm()


def test_a_sound_is_kept_once() -> None:
    shelf = Shelf()
    assert shelf.put(tone("ash", "One.")) == shelf.put(tone("ash", "One."))
    assert shelf.put(tone("ash", "Two.")).place == len(tone("ash", "One.").data)
