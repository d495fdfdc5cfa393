"""Lines and stems delivered otherwise: names that stay inside, trims that lose no sound, lines end to end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tau_stage.audio.formats import resampled
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.errors import TakeError
from tau_stage.protocol.usage import Usage
from tau_stage.scene.delivery_options import DEFAULT_NAMES, LineFiles
from tau_stage.scene.delivery_options import names as check_names
from tau_stage.scene.names import is_device
from tau_stage.take.exporting import export, exported_files, names, pack, trimmed
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.take_model import Performed, Take
from tests.test_audio_loudness import second_meter, second_peak_db, voice
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
    folders=st.sampled_from(["", "{language}/{player}/", "nul/{scene}/", "{player}/", " a b /{language}_{player}/"]),
    language=st.sampled_from(["", "de", "pt-BR", "../..", "aux"]),
)
@settings(max_examples=80)
def test_no_name_leaves_its_folder_and_no_two_are_the_same(
    lines: list[tuple[str, str]], scene: str, template: str, folders: str, language: str
) -> None:
    one = performed(("a", "clerk"))[0]
    asked = [one.model_copy(update={"id": name, "player": player, "number": 1}) for name, player in lines]
    made = list(names(check_names(folders + template), scene, asked, language))
    assert len({name.lower() for name in made}) == len(lines)
    for name in made:
        assert name.count("/") <= folders.count("/")
        for part in name.split("/"):
            assert re.fullmatch(r"[A-Za-z0-9_-]([A-Za-z0-9._-]*[A-Za-z0-9_-])?", part)
            assert len(part) <= 130
            assert not is_device(part)


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


def test_folders_are_those_of_language_and_player() -> None:
    lines = performed(("door", "clerk"), ("other", "clerk"), ("hat", "tourist"))
    lines[1] = lines[1].model_copy(update={"player": "Clerk", "id": "door"})
    template = "{language}/{player}/{line}"
    assert list(names(template, "u", lines, "de")) == ["de/clerk/door", "de/Clerk/door-2", "de/tourist/hat"]
    assert list(names(template, "u", lines)) == ["clerk/door", "Clerk/door-2", "tourist/hat"]


# ---- files


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_each_line_is_a_file_of_its_own(tmp_path: Path, rate: int) -> None:
    sound = Pcm.join([Pcm.silence(12_000), tone(4800), Pcm.silence(12_000)])
    folder, take = take_of(tmp_path, ("one", "clerk", sound), ("two", "tourist", sound))
    files = [*export(folder, take, LineFiles(), rate).files.values()]
    assert files == ["export/t_clerk_001_one.wav", "export/t_tourist_002_two.wav"]
    made = read_wav(tmp_path / files[0])
    assert made.rate == rate
    assert made.duration_s == pytest.approx(0.24, abs=0.001)
    assert not list(tmp_path.rglob(".*"))


def test_a_line_that_is_not_trimmed_is_the_line(tmp_path: Path) -> None:
    sound = Pcm.join([Pcm.silence(1200), tone(4800)])
    folder, take = take_of(tmp_path, ("one", "clerk", sound))
    (file,) = export(folder, take, LineFiles(trim=False, names="{line}")).files.values()
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
    assert len(export(folder, take, LineFiles()).files) == 1


def test_a_line_that_is_gone_or_cut_short_is_told(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, ("one", "clerk", tone(4800)))
    with WavWriter(tmp_path / "lines" / "001.wav") as short:
        short.append(tone(100))
    with pytest.raises(TakeError, match="is incomplete: it has 100 of the 4800 samples"):
        export(folder, take, LineFiles())
    (tmp_path / "lines" / "001.wav").unlink()
    with pytest.raises(TakeError, match="the audio of line one is missing"):
        pack(folder, take)


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, ("one", "clerk", tone(4800)))
    (tmp_path / "export").write_text("mine")
    with pytest.raises(TakeError, match="exists"):
        export(folder, take, LineFiles())
    assert (tmp_path / "export").read_text() == "mine"


def test_lines_lie_in_folders_and_none_of_these_is_a_link(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path / "take", ("one", "clerk", tone(4800)))
    wanted = LineFiles(names="{language}/{player}/{line}")
    assert [*export(folder, take, wanted).files.values()] == ["export/clerk/one.wav"]
    spoken_in_german = take.model_copy(update={"scene": take.scene.model_copy(update={"language": "de"})})
    assert [*export(folder, spoken_in_german, wanted).files.values()] == ["export/de/clerk/one.wav"]
    assert exported_files(spoken_in_german, wanted) == {"one": "export/de/clerk/one.wav"}
    (tmp_path / "elsewhere").mkdir()
    (folder.path / "export" / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TakeError, match="linked: is a link"):
        export(folder, take, LineFiles(names="linked/{line}"))
    assert not [*(tmp_path / "elsewhere").iterdir()]


WAVS = [("wav", bits, rate) for bits in ("16", "24", "32f") for rate in (24_000, 44_100, 48_000)]


@pytest.mark.parametrize(
    ("kind", "bits", "rate"),
    [*WAVS, ("flac", "16", 44_100), ("flac", "24", 48_000), ("ogg", "", 48_000), ("mp3", "", 44_100)],
)
def test_a_line_is_a_file_of_the_kind_that_is_asked_for(tmp_path: Path, kind: str, bits: str, rate: int) -> None:
    folder, take = take_of(tmp_path, ("one", "clerk", tone(12_000)))
    wanted = LineFiles.model_validate({"format": kind, "bits": bits or None, "rate": rate, "trim": False})
    made = export(folder, take, wanted)
    (file,) = made.files.values()
    info = soundfile.info(tmp_path / file)
    subtype = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}.get(bits, info.subtype)
    assert (info.format, info.subtype, info.samplerate, info.channels) == (kind.upper(), subtype, rate, 1)
    assert info.duration == pytest.approx(0.5, abs=0.001)
    assert str(made) == f"export/ 1 line, {kind} {rate / 1000:g} kHz"
    sound, _ = soundfile.read(tmp_path / file)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.02)
    if kind == "wav":
        before = (tmp_path / file).read_bytes()
        os.utime(tmp_path / file, (0, 0))
        export(folder, take, wanted)
        assert (tmp_path / file).read_bytes() == before


@pytest.mark.parametrize(("kind", "peak"), [("wav", -1.0), ("flac", -6.0), ("ogg", -3.0), ("mp3", -1.0)])
def test_lines_are_as_loud_as_asked_and_below_their_ceiling_for_a_second_meter(
    tmp_path: Path, kind: str, peak: float
) -> None:
    lines = [(f"l{n}", "clerk", Pcm.from_array(gain * voice(0.8, n))) for n, gain in enumerate((0.01, 2.0))]
    folder, take = take_of(tmp_path, *lines)
    wanted = LineFiles.model_validate({"format": kind, "rate": 48_000, "loudness": -20, "peak": peak, "tolerance": 1})
    made = export(folder, take, wanted)
    for line, file in made.files.items():
        sound, rate = soundfile.read(tmp_path / file)
        assert second_meter(sound, rate) == pytest.approx(-20, abs=0.6)
        assert second_peak_db(sound) <= peak + 0.1
        assert made.measured[line].found.lufs == pytest.approx(second_meter(sound, rate), abs=0.2)
    assert made.missed == ()
    assert re.fullmatch(rf"export/ 2 lines, {kind} 48 kHz, -[\d.]+ to -[\d.]+ LUFS, at most -[\d.]+ dBTP", str(made))


def test_a_line_may_have_a_root_mean_square_and_silence_at_its_ends(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, ("one", "clerk", tone(12_000)))
    made = export(folder, take, LineFiles(rms=-20, head=0.25, tail=0.5, trim=False))
    sound, _ = soundfile.read(tmp_path / made.files["one"])
    assert 10 * np.log10(np.mean(sound**2)) == pytest.approx(-20, abs=0.1)
    assert len(sound) == 30_000
    assert not sound[:6000].any()
    assert not sound[18_000:].any()
    assert "-20.0 dB RMS" in str(made)


def test_a_line_too_short_to_be_gated_is_measured_with_silence_after_it(tmp_path: Path) -> None:
    folder, take = take_of(tmp_path, ("one", "clerk", Pcm.from_array(voice(0.2))), ("two", "clerk", Pcm.silence(4800)))
    made = export(folder, take, LineFiles(loudness=-23, tolerance=1.0, trim=False))
    sound, _ = soundfile.read(tmp_path / made.files["one"])
    padded = np.concatenate([sound, np.zeros(4800)])
    assert second_meter(padded) == pytest.approx(-23, abs=0.2)
    silence, _ = soundfile.read(tmp_path / made.files["two"])
    assert not silence.any()
    assert made.missed == ("export/t_clerk_002_two.wav is too quiet to measure, expected -23 LUFS within 1 dB",)


def test_a_peak_alone_leaves_a_line_as_loud_as_it_is(tmp_path: Path) -> None:
    loud, soft = tone(4800, 0.9), tone(4800, 0.1)
    folder, take = take_of(tmp_path, ("loud", "clerk", loud), ("soft", "clerk", soft))
    files = export(folder, take, LineFiles(peak=-6, trim=False, names="{line}")).files
    assert read_wav(tmp_path / files["soft"]) == soft
    limited, _ = soundfile.read(tmp_path / files["loud"])
    assert -7 <= second_peak_db(limited) <= -6
