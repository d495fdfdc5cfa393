"""What is made of a take, in one place: after a performance, and again from the journal alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tau_stage.audio.formats import resampled
from tau_stage.audio.wav import read_wav
from tau_stage.cli.performing import deliver_performed, print_take
from tau_stage.errors import TakeError
from tau_stage.report.delivering import deliver
from tau_stage.runs.run_scenes import PerformedTake
from tau_stage.scene.delivery_options import Deliver
from tau_stage.take import records as record
from tau_stage.take.folding import fold
from tau_stage.take.journal import read_beginning, read_journal
from tests.support.in_memory_stage import Playhouse, plan_of

SCENE = """
players: {ann: {voice: ash}, bob: {voice: coral}}
lines:
  - ann: Good evening.
  - sfx: sounds/door.wav
  - bob: Is it?
  - ann: It was.
deliver: {mix: {loudness: -20 LUFS}, stems: packed, lines: {names: "{line}"}}
"""
EVERYTHING = ["stems-packed/ 2 players", "export/ 3 lines, wav 24 kHz"]


async def test_everything_a_scene_asks_for_is_made(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    told = deliver(house.folder, take, plan_of(SCENE).deliver).told
    assert told[0].startswith("mix.wav -20.")
    assert told[1:] == EVERYTHING
    assert sorted(path.name for path in (house.folder.path / "export").iterdir()) == [
        "ann-1.wav",
        "ann-2.wav",
        "bob-1.wav",
    ]
    packed = read_wav(house.folder.path / "stems-packed" / "ann.wav")
    assert len(packed) == sum(line.samples for line in take.lines if line.player == "ann")


async def test_the_journal_alone_makes_it_again(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    await house.perform(SCENE)
    journal = read_journal(house.folder.journal)
    began = next(fact for fact in journal if isinstance(fact, record.TakeBegan))
    assert began.deliver == plan_of(SCENE).deliver
    told = deliver(house.folder, fold(journal), began.deliver)
    first = (house.folder.path / "mix.wav").read_bytes()
    assert deliver(house.folder, fold(journal), began.deliver) == told
    assert (house.folder.path / "mix.wav").read_bytes() == first


async def test_nothing_is_made_where_nothing_is_wanted_or_nobody_spoke(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    assert deliver(house.folder, take, Deliver(mix=None)).told == []
    mute = take.model_copy(update={"lines": ()})
    assert deliver(house.folder, mute, plan_of(SCENE).deliver).told == []
    assert not (house.folder.path / "mix.wav").exists()


async def test_a_scene_in_writing_has_no_mix(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform("players: {ann: {output: text}}\nlines: [ann: Good evening.]")
    assert deliver(house.folder, take, Deliver()).told == []


async def test_silence_is_told_and_what_is_broken_is_an_error(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    players = tuple(player.model_copy(update={"stem": None}) for player in take.players)
    bare = take.model_copy(update={"players": players, "sounds": ()})
    assert deliver(house.folder, bare, Deliver()).told == ["no mix: the take has no stems"]
    (house.folder.stems / "ann.wav").unlink()
    with pytest.raises(TakeError, match="file not found"):
        deliver(house.folder, take, Deliver())


async def test_a_run_tells_what_cannot_be_made_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    (house.folder.stems / "ann.wav").unlink()
    delivered = deliver_performed(PerformedTake(plan_of(SCENE), house.folder, take))
    assert (delivered.made, delivered.exit_code) == ((), 2)
    print_take(delivered, quiet=True, as_json=False)
    assert "ann.wav: file not found\n  hint:" in capsys.readouterr().err


async def test_a_file_that_does_not_meet_its_preset_fails_the_delivery_and_not_the_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SCENE.replace("mix: {loudness: -20 LUFS}", "mix: {noise_floor: -60 dB, rms: -20 dB}").replace(
        "  - sfx: sounds/door.wav\n", ""
    )
    house = Playhouse(tmp_path)
    take = await house.perform(
        text.replace("bob: Is it?", "{bob: Is it?, pause: 0s}").replace("evening.", "evening.\n    pause: 0s")
    )
    delivered = deliver_performed(PerformedTake(plan_of(text), house.folder, take))
    assert take.ended == "complete"
    assert delivered.exit_code == delivered.delivery_code == 2
    (problem,) = delivered.problems
    assert "mix.wav has a noise floor of -" in problem
    assert delivered.made[0].startswith("mix.wav -20.")
    print_take(delivered, quiet=True, as_json=False)
    assert "has a noise floor" in capsys.readouterr().err
    assert house.folder.report.is_file()


async def test_a_take_that_was_stopped_is_delivered_without_its_mix(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    stem = house.folder.stems / "ann.wav"
    stem.write_bytes(stem.read_bytes()[:4000])
    stopped = take.model_copy(update={"ended": "interrupted"})
    (told, *_) = deliver(house.folder, stopped, Deliver()).told
    assert told.startswith("no mix: ")
    assert (house.folder.path / "session.rpp").exists()


async def test_a_beginning_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"type": "take_ended", "ended": "complete"}\n')
    with pytest.raises(TakeError, match="missing its first record"):
        read_beginning(tmp_path / "journal.jsonl")
    with pytest.raises(TakeError, match="no such file"):
        read_beginning(tmp_path / "none.jsonl")


async def test_another_rate_holds_for_stems_and_projects_too(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await house.perform(SCENE)
    told = deliver(house.folder, take, Deliver(rate=48_000)).told
    stems = sorted(house.folder.path.glob("stems-48kHz/*.wav"))
    own = sorted(house.folder.path.glob("stems/*.wav"))
    assert f"stems-48kHz/ {len(own)} stems" in told
    assert [path.name for path in stems] == [path.name for path in own]
    for made, performed in zip(stems, own, strict=True):
        high, low = read_wav(made), read_wav(performed)
        assert (high.rate, len(high)) == (48_000, 2 * len(low))
        apart = resampled(high, 24_000).array.astype(float) - low.array
        assert (apart**2).mean() ** 0.5 < 20  # tones that are cut off ring where they end
    assert "SAMPLERATE 48000 1 0" in (house.folder.path / "session.rpp").read_text()
