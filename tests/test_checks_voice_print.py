"""How far the understudy's voices are from each other, and from themselves; and what a recogniser hears of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.checks.recognition import FURTHEST, Recogniser, recognise_lines
from tau_stage.checks.voice_print import VoicePrint, average_print, voice_distance, voice_print
from tau_stage.text import letters_apart
from tau_stage.understudy.actor import SpeechRequest
from tau_stage.understudy.delivery import plan_speech
from tau_stage.understudy.voices import TIMBRES, Voices
from tests.support.rehearsed_scene import rehearse

LINES = (
    "I'm afraid we're down to the last umbrella.",
    "The last one?!",
    "There may be another by spring, if the boats come in.",
    "Can I have it?",
    "And it isn't even raining today!",
    "Well, not in here. Give it a minute.",
)
FAR = [("ash", "coral"), ("cedar", "sage"), ("echo", "marin"), ("ballad", "shimmer"), ("verse", "shimmer")]
"""Recasts by seven semitones or more."""


@pytest.fixture(scope="module")
def spoken() -> dict[str, list[Pcm]]:
    voices = Voices()
    cues = {line: SpeechRequest("", (), f'Perform this line: "{line}"', (), "ash") for line in LINES}
    return {voice: [voices.speak(plan_speech(cues[line]), voice) for line in LINES] for voice in TIMBRES}


@pytest.fixture(scope="module")
def prints(spoken: dict[str, list[Pcm]]) -> dict[str, list[VoicePrint]]:
    return {voice: [found for sound in sounds if (found := voice_print(sound))] for voice, sounds in spoken.items()}


def own(prints: list[VoicePrint], without: int = -1) -> VoicePrint:
    found = average_print([each for number, each in enumerate(prints) if number != without])
    assert found
    return found


@pytest.mark.slow
def test_a_voice_that_says_other_words_is_the_same_voice(prints: dict[str, list[VoicePrint]]) -> None:
    """Slow: the neural voice says sixty lines."""
    for mine in prints.values():
        assert len(mine) == len(LINES)
        assert max(voice_distance(each, own(mine, number)) for number, each in enumerate(mine)) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), FAR)
def test_a_recast_voice_is_found_whatever_it_says(old: str, new: str, prints: dict[str, list[VoicePrint]]) -> None:
    """Slow: shares the neural voice's sixty lines."""
    assert min(voice_distance(each, own(prints[old])) for each in prints[new]) > 1.0


@pytest.mark.slow
def test_a_recast_voice_is_found_by_the_same_words_where_it_is_not_its_neighbour(
    prints: dict[str, list[VoicePrint]],
) -> None:
    """Slow: shares the neural voice's sixty lines."""
    pairs = [(a, b) for a in prints for b in prints if a != b]
    found = [all(voice_distance(*both) > 0.25 for both in zip(prints[a], prints[b], strict=True)) for a, b in pairs]
    assert sum(found) >= 0.9 * len(pairs)


@pytest.mark.slow
def test_loudness_and_silence_make_no_difference(spoken: dict[str, list[Pcm]]) -> None:
    """Slow: shares the neural voice's sixty lines."""
    sound = spoken["ash"][0]
    quiet = Pcm.join([Pcm.silence(24_000), Pcm.from_array(sound.array / 32767 * 0.25), Pcm.silence(24_000)])
    one, other = voice_print(sound), voice_print(quiet)
    assert one
    assert other
    assert voice_distance(one, other) < 0.1


@pytest.mark.slow
def test_a_recogniser_hears_each_line_as_itself(spoken: dict[str, list[Pcm]]) -> None:
    """Slow: the recogniser works at four times the speed of speech."""
    recogniser = Recogniser()
    for number, voice in enumerate(("ash", "sage", "ash", "sage")):
        words = recogniser.words(spoken[voice][number])
        assert min(LINES, key=lambda other: letters_apart(other, words)) == LINES[number]
        assert letters_apart(LINES[number], words) < FURTHEST


def test_too_little_sound_has_no_print() -> None:
    assert voice_print(Pcm()) is None
    assert voice_print(Pcm.silence(48_000)) is None
    assert average_print([]) is None


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_recogniser_listens_to_written_lines_only(tmp_path: Path) -> None:
    """Slow: loads the recogniser's model; a tone is no word of any line."""
    text = "players: {ann: , bob: }\nlines:\n- ann: Hello there.\n- bob: {}\n".replace("{}", "\n  improvise: Answer.")
    performed = await rehearse(text, tmp_path)
    heard = recognise_lines(performed.take, lambda line: performed.sounds[line.id])
    assert list(heard) == ["ann-1"]
