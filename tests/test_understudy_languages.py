"""Lines in other languages: who speaks them, how they sound, and what is said where nobody can."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from tau_stage.audio import Pcm, rms_dbfs
from tau_stage.cost.durations import speech_duration_s
from tau_stage.scene import speak_language
from tau_stage.take import read_take
from tau_stage.understudy import Ensemble, Understudy, open_understudy
from tau_stage.understudy.actor import SpeechRequest, UnsupportedScript
from tau_stage.understudy.delivery import plan_speech
from tau_stage.understudy.formants import LONGEST, FormantSpeaker, SpeechFailed, split_text
from tau_stage.understudy.line_voices import WORDS, formant_voice, speech_of
from tau_stage.understudy.voices import LEVEL_DBFS, Voices
from tests.support.forked import python
from tests.test_cli_extras import MAIN, WITHOUT

LINES: dict[str, list[str]] = yaml.safe_load(Path("tests/support/dialogue.yaml").read_text("utf-8"))
GERMAN, RUSSIAN = LINES["de"][8], LINES["ru"][8]
TOLERANCE = 0.1  # of a forecast, over all lines of a language

pytestmark = pytest.mark.slow  # espeak-ng is started, in a process of its own


@pytest.fixture(scope="module")
def voices() -> Iterator[Voices]:
    speaking = Voices()
    yield speaking
    speaking.close()


@pytest.fixture
def speaker() -> Iterator[FormantSpeaker]:
    speaking = FormantSpeaker()
    yield speaking
    speaking.close()


def say(voices: Voices, words: str, language: str = "", voice: str = "ash", how: str = "") -> Pcm:
    told = speak_language(language) if language else ""
    line = f'Perform this line{how and f", {how}"}: "{words}"'
    request = SpeechRequest(instructions=told, system=(), user=line, heard=(), voice=voice)
    return voices.speak(plan_speech(request), voice)


@pytest.mark.parametrize("language", LINES)
def test_a_line_lasts_about_as_long_as_is_foreseen(voices: Voices, language: str) -> None:
    """Slow: espeak-ng speaks."""
    made = sum(say(voices, words, language).duration_s for words in LINES[language])
    foreseen = sum(speech_duration_s(words, language=language) for words in LINES[language])
    assert abs(foreseen / made - 1) < TOLERANCE


def test_voices_differ_and_are_as_loud_as_others_and_the_same_every_time(voices: Voices) -> None:
    """Slow: espeak-ng speaks."""
    sounds = [say(voices, GERMAN, "de", voice) for voice in ("ash", "coral", "shimmer", "nobody")]
    assert len({sound.sha256 for sound in sounds}) == 4
    assert all(abs(rms_dbfs(sound) - LEVEL_DBFS) < 0.5 for sound in sounds)
    other = Voices()
    assert say(other, GERMAN, "de") == sounds[0] == say(voices, GERMAN, "de")
    other.close()
    whispered = say(voices, GERMAN, "de", how="whispering")
    assert whispered.sha256 not in {sound.sha256 for sound in sounds}
    slow, quick = (say(voices, GERMAN, "de", how=how) for how in ("slowly", "quickly"))
    assert slow.duration_s > sounds[0].duration_s > quick.duration_s


def test_scripts_need_no_hint_and_latin_letters_do(voices: Voices) -> None:
    """Slow: both voices speak."""
    assert say(voices, RUSSIAN) == say(voices, RUSSIAN, "ru")
    assert say(voices, "Good evening.", "en") == say(voices, "Good evening.")
    assert say(voices, "Guten Abend.", "de") != say(voices, "Guten Abend.")
    assert say(voices, "Guten [sighs] *Abend*.", "de").duration_s > say(voices, "Guten Abend.", "de").duration_s


def test_what_nobody_knows_fails_with_its_language(voices: Voices) -> None:
    """Slow: loads the real voice."""
    with pytest.raises(UnsupportedScript, match="Thai"):
        say(voices, "สวัสดีครับ")


def test_words_are_timed_by_the_engine(speaker: FormantSpeaker) -> None:
    """Slow: espeak-ng speaks."""
    spoken = speaker.speak("Guten Abend, mein Herr.", "de+m3")
    assert [place for place, _, _ in spoken.words] == [0, 6, 13, 18]
    assert all(one[2] < other[2] for one, other in pairwise(spoken.words))
    assert spoken.words[-1][2] < len(spoken.sound)


@pytest.mark.parametrize("code", ["de", "cmn", "zh", "pt-br", "fr-ch", "no"])
def test_every_kind_of_name_has_a_voice(speaker: FormantSpeaker, code: str) -> None:
    """Slow: espeak-ng speaks."""
    name = formant_voice(code, "ash") or f"{code}+m3"
    assert len(speaker.speak("a", name).sound)


def test_all_languages_that_are_said_to_be_known_are(speaker: FormantSpeaker) -> None:
    """Slow: espeak-ng speaks."""
    for code in WORDS["known"]["codes"].split():
        assert len(speaker.speak("a", str(formant_voice(code, "coral"))).sound), code


def test_one_process_speaks_all_lines_and_another_follows_one_that_was_killed(speaker: FormantSpeaker) -> None:
    """Slow: espeak-ng is started twice."""
    first = speaker.speak("Ja.", "de")
    process = speaker._process
    assert process is not None
    with pytest.raises(SpeechFailed, match="voice nowhere not found"):
        speaker.speak("Ja.", "nowhere")
    assert np.array_equal(speaker.speak("Ja.", "de").sound, first.sound)
    assert speaker._process is process
    process.kill()
    process.wait()
    assert np.array_equal(speaker.speak("Ja.", "de").sound, first.sound)
    again = speaker._process
    assert again is not None
    assert again.pid != process.pid
    speaker.close()
    assert again.poll() == 0


def test_a_process_that_is_forked_starts_its_own(speaker: FormantSpeaker) -> None:
    """Slow: espeak-ng is started twice."""
    sound = speaker.speak("Ja.", "de").sound
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, str(np.array_equal(speaker.speak("Ja.", "de").sound, sound)).encode())
        speaker.close()
        os._exit(0)
    assert os.read(reading, 9) == b"True"
    os.wait()
    os.close(reading)
    os.close(writing)
    assert np.array_equal(speaker.speak("Ja.", "de").sound, sound)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_process_ends_with_the_server() -> None:
    """Slow: loads the real voice."""
    voices = Voices()
    async with open_understudy(Understudy(Ensemble(voices))):
        say(voices, "Ja.", "de")
        process = voices._formants._process
        assert process is not None
        assert process.poll() is None
    assert process.poll() == 0


def test_long_texts_are_spoken_in_pieces_that_lose_nothing() -> None:
    text = "Wer, " * 300 + "x" * 1000 + ". Ja! 好。好。"
    pieces = [*split_text(text)]
    assert max(map(len, pieces)) <= LONGEST
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_it_is_told_who_speaks_a_line() -> None:
    assert speech_of("Guten Abend.", "Speak German.").engine == "espeak-ng, a formant voice"
    assert speech_of("Good evening.", "Speak English.").engine == ""
    assert speech_of("Magandang gabi.", "Speak Tagalog.").problem == "misread"
    assert (speech_of("สวัสดี", "").problem, speech_of("สวัสดี", "").has_remedy) == ("fails", False)


SCENE = """
players: {ann: {voice: ash, language: de}, bob: {voice: coral}}
lines: [ann: Guten Abend., bob: Hello., bob: こんにちは。, bob: Добрый вечер.]
"""


def test_a_scene_in_several_languages_is_heard_and_says_by_whom(tmp_path: Path) -> None:
    """Slow: a process of its own, and both voices."""
    (tmp_path / "mixed.yaml").write_text(SCENE, encoding="utf-8")
    done = python("-c", MAIN.replace("main()", "sys.exit(main())").replace("import main;", "import main; import sys;"),
                  "run", "mixed.yaml", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = "For German, Japanese, Russian, the understudy uses espeak-ng, a formant voice."
    assert told in done.stdout + done.stderr
    folder, take = read_take(tmp_path / "takes" / "mixed" / "latest")
    assert [line.samples > 5000 for line in take.lines] == [True] * 4
    assert soundfile.info(folder.sound(take.lines[0])).samplerate == 24_000


def test_without_the_extra_it_is_said_what_fails_and_what_is_read_as_english(tmp_path: Path) -> None:
    """Slow: a process of its own whose path holds no espeak-ng, and the real voice."""
    (tmp_path / "mixed.yaml").write_text(SCENE, encoding="utf-8")
    hidden = WITHOUT.replace('"hibari", ', "")
    done = python("-c", hidden + MAIN, "run", "mixed.yaml", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    told = done.stdout + done.stderr
    hint = "; to add more languages: pip install 'tau-stage[languages]'"
    assert f"no voice for Japanese: bob-2 will fail; to have them spoken, use a provider{hint}" in told
    assert f"the understudy reads German, Russian as if it were English: ann-1, bob-3{hint}" in told
    assert "unsupported_script" in told
