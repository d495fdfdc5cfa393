"""Lines and stems delivered otherwise: names that stay inside, trims that lose no sound, lines end to end."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.audio.formats import resampled
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.errors import TakeError
from tau_stage.protocol.usage import Usage
from tau_stage.scene.delivery_options import DEFAULT_NAMES, LineFiles
from tau_stage.take.exporting import export, names, pack, trimmed
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.take_model import Performed, Take
from tests.test_take import journal_of, spoken

HEAD_S = 0.02


def tone(samples: int, level: float = 0.3) -> Pcm:
    return Pcm.from_array(level * np.sin(np.arange(samples) / 7 + 1))


def quiet(samples: int) -> Pcm:
    """Noise below -60 dBFS."""
    return Pcm.from_array(np.random.default_rng(samples).integers(-30, 31, samples).astype(np.int16))


def take_of(path: Path, *lines: tuple[str, str, Pcm]) -> tuple[TakeFolder, Take]:
    (path / "lines").mkdir(parents=True, exist_ok=True)
    facts, at = [], 0
    for number, (name, player, audio) in enumerate(lines, 1):
        file = f"lines/{number:03}.wav"
        with WavWriter(path / file) as written:
            written.append(audio)
        facts.append(
            spoken(
                name,
                player,
                len(audio),
                Usage(),
                number=number,
                file=file,
                offset_samples=at,
                said="words",
                sha256=audio.sha256,
            )
        )
        at += len(audio) + 2400
    return TakeFolder(path), fold(journal_of(*facts))


def performed(*lines: tuple[str, str]) -> list[Performed]:
    facts = (spoken(name, player, 10, Usage(), number=number) for number, (name, player) in enumerate(lines, 1))
    return list(fold(journal_of(*facts)).lines)


# ---- trimming


@given(head=st.integers(0, 3000), tail=st.integers(0, 3000), samples=st.integers(1, 3000), rate=st.sampled_from([RATE]))
@settings(max_examples=60)
def test_a_trim_loses_no_sound(head: int, tail: int, samples: int, rate: int) -> None:
    sound = Pcm.from_array(np.full(samples, 2000, np.int16))
    whole = Pcm.join([quiet(head), sound, quiet(tail)])
    cut = trimmed(whole).array.astype(int)
    kept = round(HEAD_S * rate)
    first, after = min(head, kept), min(tail, kept)
    assert len(cut) == first + samples + after
    assert np.array_equal(cut[first : first + samples], sound.array)
    inside = whole.array[head - first : head + samples + after].astype(int)
    assert np.all(np.abs(cut) <= np.abs(inside))
    fade = round(0.005 * rate)
    assert np.array_equal(cut[fade : len(cut) - fade], inside[fade : len(cut) - fade])


def test_the_ends_are_faded_from_and_to_nothing() -> None:
    bed = Pcm.from_array(np.full(2400, 30, np.int16))
    cut = trimmed(Pcm.join([bed, tone(2400), bed])).array
    assert cut[0] == 0
    assert cut[60] == 15
    assert abs(int(cut[-1])) <= 1


@pytest.mark.parametrize("audio", [Pcm(), Pcm.silence(100), quiet(5000)])
def test_what_is_silent_throughout_stays_as_it_is(audio: Pcm) -> None:
    assert trimmed(audio) == audio


# ---- names


@given(
    lines=st.lists(st.tuples(st.text(max_size=90), st.text(max_size=20)), max_size=12),
    scene=st.text(max_size=20),
    template=st.sampled_from([DEFAULT_NAMES, "{line}", "{player}-{line}", " {number} ", "..{line}..", "CON.{line}"]),
)
@settings(max_examples=80)
def test_no_name_leaves_its_folder_and_no_two_are_the_same(
    lines: list[tuple[str, str]], scene: str, template: str
) -> None:
    one = performed(("a", "clerk"))[0]
    asked = [one.model_copy(update={"id": name, "player": player, "number": 1}) for name, player in lines]
    made = list(names(template, scene, asked))
    assert len({name.lower() for name in made}) == len(lines)
    for name in made:
        assert re.fullmatch(r"[A-Za-z0-9_-]([A-Za-z0-9._-]*[A-Za-z0-9_-])?", name)
        assert len(name) <= 130
        assert not re.fullmatch(r"(?i)(con|nul|aux|prn)(\..*)?", name)


def test_names_say_what_the_template_says() -> None:
    lines = performed(("door", "clerk"), ("tourist-1", "tourist"))
    assert list(names(DEFAULT_NAMES, "umbrella", lines)) == [
        "umbrella_clerk_001_door",
        "umbrella_tourist_002_tourist-1",
    ]
    assert list(names("{number}{line}", "u", lines)) == ["1door", "2tourist-1"]


def test_names_that_would_be_one_are_told_apart() -> None:
    lines = performed(("a", "clerk"), ("A", "clerk"), ("A-2", "clerk"), ("a", "clerk"))
    assert list(names("{line}", "u", lines)) == ["a", "A-2", "A-2-2", "a-3"]


# ---- files


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_each_line_is_a_file_of_its_own(tmp_path: Path, rate: int) -> None:
    sound = Pcm.join([Pcm.silence(12_000), tone(4800), Pcm.silence(12_000)])
    folder, take = take_of(tmp_path, ("one", "clerk", sound), ("two", "tourist", sound))
    files = export(folder, take, LineFiles(), rate)
    assert files == ("export/t_clerk_001_one.wav", "export/t_tourist_002_two.wav")
    made = read_wav(tmp_path / files[0])
    assert made.rate == rate
    assert made.duration_s == pytest.approx(0.24, abs=0.001)
    assert not list(tmp_path.rglob(".*"))


def test_a_line_that_is_not_trimmed_is_the_line(tmp_path: Path) -> None:
    sound = Pcm.join([Pcm.silence(1200), tone(4800)])
    folder, take = take_of(tmp_path, ("one", "clerk", sound))
    (file,) = export(folder, take, LineFiles(trim=False, names="{line}"))
    assert read_wav(tmp_path / file) == sound
    export(folder, take, LineFiles(trim=False, names="{line}"))
    assert read_wav(tmp_path / file) == sound


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_packed_stems_hold_each_players_lines_end_to_end(tmp_path: Path, rate: int) -> None:
    one, two, three = tone(4800), tone(3000, 0.1), tone(2400, 0.2)
    folder, take = take_of(tmp_path, ("one", "clerk", one), ("two", "tourist", two), ("three", "clerk", three))
    assert pack(folder, take, rate) == ("stems-packed/clerk.wav", "stems-packed/tourist.wav")
    clerk = Pcm.join([resampled(one, rate), resampled(three, rate)], rate)
    assert read_wav(tmp_path / "stems-packed" / "clerk.wav") == clerk
    assert read_wav(tmp_path / "stems-packed" / "tourist.wav") == resampled(two, rate)


def test_who_said_nothing_has_no_packed_stem_and_words_in_writing_are_no_line(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, ("one", "clerk", tone(100)))
    written = take.lines[0].model_copy(update={"id": "two", "file": None, "samples": 0})
    take = take.model_copy(update={"lines": (*take.lines, written)})
    assert pack(folder, take) == ("stems-packed/clerk.wav",)
    assert len(export(folder, take, LineFiles())) == 1


def test_a_line_that_is_gone_or_cut_short_is_told(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, ("one", "clerk", tone(4800)))
    with WavWriter(tmp_path / "lines" / "001.wav") as short:
        short.append(tone(100))
    with pytest.raises(TakeError, match="is cut short: 100 of the 4800 samples"):
        export(folder, take, LineFiles())
    (tmp_path / "lines" / "001.wav").unlink()
    with pytest.raises(TakeError, match="the sound of line one is missing"):
        pack(folder, take)


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, ("one", "clerk", tone(4800)))
    (tmp_path / "export").write_text("mine")
    with pytest.raises(TakeError, match="exists"):
        export(folder, take, LineFiles())
    assert (tmp_path / "export").read_text() == "mine"
