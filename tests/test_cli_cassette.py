"""`run --record`, `run --replay` and `cassette`, as a user types them, and against sockets."""

# ruff: noqa: F401, F811 - fixtures of another module

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tau_stage.audio.wav import read_wav
from tau_stage.cassette.clips import ClipWriter
from tau_stage.cassette.format import load_cassette, verify_cassette
from tau_stage.cassette.recorder import put_in_place, unfinished_in
from tau_stage.cassette.redaction import Redactor
from tau_stage.errors import CassetteError
from tau_stage.take.atomic import draft_beside
from tau_stage.take.take_model import Take
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy
from tests.support.cassette_recording import timeless
from tests.support.failing_writes import Disk, Killed, watched
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve, trio
from tests.test_cli_validate import SCENES, run

KEY = "sk-MARKER-0123456789"
TRIO = ("ann", "bob", "cid")
PRIVATE = "organization org-MARKER99 with key sk-MARKER88 in session sess_MARKER77. Please try again in 0.01s."
REDACTED = re.sub(r"\S+MARKER\d\d", "<redacted>", PRIVATE)


@pytest.fixture
def recorded(serve: Serve, trio: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cassette of three players, recorded over sockets with a key, where something went wrong."""
    monkeypatch.setenv("TAU_STAGE_API_KEY", KEY)
    busy = Understudy(Tones(), key=KEY, faults=[fault.FailResponses(1, message=f"Rate limit reached in {PRIVATE}")])
    assert (
        run("run", trio, "--endpoint", f"{serve(busy)}/v1/realtime?key={KEY}&model=gpt-realtime", "--record", "tapes")
        == 0
    )
    monkeypatch.delenv("TAU_STAGE_API_KEY")
    return Path("tapes/trio")


def take_of(out: str, scene: str = "trio") -> Take:
    return Take.model_validate_json(Path(out, scene, "latest", "take.json").read_text())


@pytest.mark.usefixtures("recorded")
def test_a_cassette_is_replayed_without_a_provider(
    trio: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    assert run("run", trio, "--replay", "tapes", "--out", "again") == 0
    assert "understudy plays" not in capsys.readouterr().err
    before, after = take_of("takes"), take_of("again")
    same = {"provider", "endpoint"}  # a URL's query is left out of a cassette: it may hold a key
    told = [json.loads(take.model_dump_json().replace(PRIVATE, REDACTED)) for take in (before, after)]
    facts = [{k: v for k, v in timeless(take).items() if k not in {*same, "players"}} for take in told]
    hidden = Redactor("").text  # what a cassette keeps of what a provider says in private
    assert json.loads(hidden(json.dumps(facts[0]))) == facts[1]
    for name in TRIO:
        assert read_wav(Path(f"again/trio/latest/stems/{name}.wav")) == read_wav(
            Path(f"takes/trio/latest/stems/{name}.wav")
        )


def test_no_key_organisation_or_session_is_in_a_cassette(recorded: Path) -> None:
    written = b"".join(file.read_bytes() for file in recorded.rglob("*") if file.is_file())
    assert b"Rate limit reached in organization <redacted>" in written
    assert b"MARKER" not in written
    assert b"sess_0" not in written  # as the understudy names its sessions
    assert b"expires_at" not in written


def test_recording_again_changes_no_clip_and_no_word(serve: Serve, trio: str) -> None:
    written = []
    for _ in range(2):
        assert run("run", trio, "--endpoint", serve(Understudy(Tones())), "--record", "tapes") == 0
        tape = load_cassette(Path("tapes/trio"))
        asked = [[entry.body for entry in tape.entries if (entry.player, entry.kind) == (name, "ask")] for name in TRIO]
        written.append((sorted(tape.clips.names()), asked))
        assert [path.name for path in Path("tapes").iterdir()] == ["trio"]
    assert written[0] == written[1]


def test_a_run_that_fails_leaves_the_former_cassette(
    serve: Serve,
    trio: str,
    recorded: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (recorded / "cassette.json").read_text()
    broken = Understudy(Tones(), faults=[fault.FailResponses(99, "model_broken", "No.")])
    assert run("run", trio, "--endpoint", serve(broken), "--record", "tapes") == 3
    assert "no cassette was written" in capsys.readouterr().err
    assert (recorded / "cassette.json").read_text() == before
    assert [path.name for path in Path("tapes").iterdir()] == ["trio"]
    assert run("run", trio, "--endpoint", serve(broken), "--record", "others") == 3
    assert list(Path("others").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--record", "t", "--replay", "t"), "--record and --replay cannot be combined"),
        (("--replay", "t", "--live"), "--replay uses no provider"),
        (("--replay", "t", "--aloud"), "--aloud and --replay cannot be combined"),
        (("--replay", "nowhere"), "no cassette found for this scene"),
        (
            ("--replay", "trio.yaml"),
            "trio.yaml: is a file, not a directory of cassettes\n  hint: pass a directory",
        ),
        (("--record", "trio.yaml"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_one_message(
    options: tuple[str, ...],
    told: str,
    trio: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("run", trio, *options) == 2
    assert told in capsys.readouterr().err
    assert not Path("takes").exists()


@pytest.mark.usefixtures("recorded")
def test_a_changed_scene_is_a_failure(trio: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(trio).write_text(Path(trio).read_text().replace("bob: Two.", "bob: Too."))
    assert run("run", trio, "--replay", "tapes") == 1
    assert "line bob-1, player bob: words differ" in capsys.readouterr().err


def test_show_verify_and_prune(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cassette", "show", "tapes") == 0
    assert "tapes/trio: trio (3 lines)" in capsys.readouterr().out
    assert run("cassette", "verify", "tapes") == 0
    assert "tapes/trio: complete" in capsys.readouterr().out
    kept = sorted((recorded / "audio").iterdir())
    spare = recorded / "audio" / f"{'0' * 64}.flac"
    spare.write_bytes(kept[0].read_bytes())
    left = Path("tapes/.trio.recording-1-abc")
    left.mkdir()
    assert run("cassette", "prune", "tapes") == 0
    assert sorted((recorded / "audio").iterdir()) == kept
    assert not left.exists()
    capsys.readouterr()
    assert run("cassette", "prune", "tapes") == 0
    assert capsys.readouterr().out == "nothing to delete\n"
    kept[0].write_bytes(b"")
    assert run("cassette", "verify", "tapes") == 2
    assert "the clip is damaged" in capsys.readouterr().err
    assert run("cassette", "verify", "nowhere") == 2


def test_a_folder_that_holds_no_cassette_names_the_one_that_does(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("tapes", "play/cassettes")
    capsys.readouterr()
    for named, hint in (
        (recorded / "cassette.json", f"pass its directory instead: {recorded}"),
        (Path("play"), "pass the cassettes directory instead: play/cassettes"),
        (Path("nowhere"), "record one with: tau-stage run SCENE --record DIR"),
    ):
        assert run("cassette", "show", str(named)) == 2
        assert capsys.readouterr().err == f"{named}: no cassette found\n  hint: {hint}\n"


def two_cassettes(recorded: Path, serve: Serve, trio: str) -> tuple[Path, Path]:
    """A cassette under its name, and a newer one of other words beside it."""
    Path(trio).write_text(Path(trio).read_text().replace("Two.", "Something else."))
    assert run("run", trio, "--endpoint", serve(Understudy(Tones())), "--record", "newer", "--quiet") == 0
    return recorded, Path("newer/trio")


@pytest.mark.slow
def test_at_every_instant_one_cassette_stands_under_its_name(
    tmp_path: Path, recorded: Path, serve: Serve, trio: str
) -> None:
    """Slow: replaces a cassette twice for every change that this makes to the disk."""
    old, new = two_cassettes(recorded, serve, trio)
    manifests = [(path / "cassette.json").read_bytes() for path in (old, new)]
    place, seen = tmp_path / "place", set[bytes]()

    def replaced(dies: Callable[[int, str, tuple[Any, ...]], bool]) -> int:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(old, place / "trio")
        shutil.copytree(new, place / ".new")
        disk = Disk(dies)
        with suppress(Killed, CassetteError), watched(disk):
            put_in_place(place / ".new", place / "trio")
        return disk.changes

    def fails(number: int, at: int) -> bool:
        if number == at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return False

    count = replaced(lambda *_: False)
    assert (place / "trio/cassette.json").read_bytes() == manifests[1]
    assert sorted(path.name for path in (place / "trio").rglob("*")) == sorted(path.name for path in new.rglob("*"))
    assert not (place / ".new").exists()
    for at in range(1, count + 1):
        for dies in (lambda number, *_, at=at: number >= at, lambda number, *_, at=at: fails(number, at)):
            replaced(dies)
            seen.add(manifest := (place / "trio/cassette.json").read_bytes())
            verify_cassette(place / "trio")
            if manifest == manifests[0]:
                verify_cassette(place / ".new")
    assert len(seen) == 3  # the old one, the new one, and that one while its events have names of their own


def test_a_new_cassette_that_cannot_take_its_place_is_kept_beside_it(
    serve: Serve, trio: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = recorded / "audio"
    shutil.rmtree(audio)
    audio.write_text("in the way")
    before = (recorded / "cassette.json").read_bytes()
    assert run("run", trio, "--endpoint", serve(Understudy(Tones())), "--record", "tapes") == 2
    said = capsys.readouterr().err
    assert "tapes/trio: cannot move the new cassette here: file exists" in said
    kept = re.search(r"it is complete: move (\S+) to tapes/trio", said)
    assert kept
    verify_cassette(Path(kept[1]))
    assert (recorded / "cassette.json").read_bytes() == before
    assert (Path("takes/trio/latest") / "report.html").is_file()  # what was performed is delivered all the same
    shutil.rmtree(recorded)
    assert run("cassette", "prune", "tapes") == 0
    assert f"kept {kept[1]}: a complete recording" in capsys.readouterr().out
    verify_cassette(Path(kept[1]))
    assert run("run", trio, "--endpoint", serve(Understudy(Tones())), "--record", "tapes", "--quiet") == 0
    verify_cassette(Path(kept[1]))


def test_a_disk_that_fails_while_it_is_recorded_does_not_end_the_performance(tmp_path: Path) -> None:
    scratch = ClipWriter(tmp_path / "gone")
    assert scratch.keep(bytes(4), 24_000) == scratch.keep(bytes(4), 24_000)
    with pytest.raises(FileNotFoundError):
        scratch.deliver(tmp_path)


def test_a_recording_under_way_is_not_cleared_and_one_that_was_killed_is(tmp_path: Path) -> None:
    folder = tmp_path / "tapes"
    folder.mkdir()
    with draft_beside(folder / "trio") as (_, lock):
        under_way = folder / f".trio.recording-{lock.stem.removeprefix('.tau-stage-')}"
        for path in (under_way, folder / ".trio.recording-0123"):
            path.mkdir()
        assert [path.name for path in unfinished_in(folder)] == [".trio.recording-0123"]
    assert unfinished_in(folder) == sorted([under_way, folder / ".trio.recording-0123"])


@pytest.mark.parametrize("frames", [0xFFFFFFFFF, 0])
def test_a_clip_whose_header_lies_is_damaged(recorded: Path, frames: int, capsys: pytest.CaptureFixture[str]) -> None:
    clip = min((recorded / "audio").iterdir())
    data = bytearray(clip.read_bytes())
    head = int.from_bytes(data[18:26], "big") >> 36 << 36  # FLAC: 36 bits of the STREAMINFO are the number of samples
    data[18:26] = (head | frames).to_bytes(8, "big")
    clip.write_bytes(data)
    assert run("cassette", "verify", "tapes") == 2
    assert "the clip is damaged" in capsys.readouterr().err


def test_a_cassette_writes_and_reads_nothing_outside(
    recorded: Path, trio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("outside").mkdir()
    victim = Path("outside") / f"{'1' * 64}.flac"
    victim.write_bytes(b"mine")
    manifest = json.loads((recorded / "cassette.json").read_text())
    events = (recorded / "ann.jsonl").read_text()
    clip = json.loads(next(line for line in events.splitlines() if '"clip"' in line))["told"]["delta"]["clip"]
    evil = events.replace(clip, f"../../outside/{'1' * 64}")
    (recorded / "ann.jsonl").write_text(evil)
    manifest["players"]["ann"]["sha256"] = sha256(evil.encode()).hexdigest()
    (recorded / "cassette.json").write_text(json.dumps(manifest))
    assert run("run", trio, "--replay", "tapes") == 2
    assert "is not a valid clip name" in capsys.readouterr().err
    for verb in ("verify", "show"):
        assert run("cassette", verb, "tapes") == 2
    audio = recorded / "audio"
    audio.rename(recorded / "aside")
    audio.symlink_to(Path("outside").resolve())
    assert run("cassette", "prune", "tapes") == 2
    assert victim.read_bytes() == b"mine"
    assert [path.name for path in Path("outside").iterdir()] == [victim.name]


def test_nothing_is_recorded_over_what_is_no_cassette(trio: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("tapes/trio").mkdir(parents=True)
    Path("tapes/trio/poem.txt").write_text("mine")
    assert run("run", trio, "--record", "tapes") == 2
    assert "the path of the cassette already exists, but is not a cassette" in capsys.readouterr().err
    assert Path("tapes/trio/poem.txt").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_with_real_voices_a_cassette_is_small_and_a_replay_loads_no_voice() -> None:
    """Slow: the neural voice speaks, and a process starts."""
    names = ("umbrella", "harbour", "household")
    assert (
        run("run", *(str(SCENES / f"{name}.yaml") for name in names), "--stand-in", "--quiet", "--record", "tapes") == 0
    )
    for path in Path("tapes").iterdir():
        tape = load_cassette(path)
        raw = sum(round(tape.clips.measure(name)[0] * 48_000) for name in tape.wanted_clips)
        stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        assert stored <= 0.6 * raw, path
    command = [sys.executable, "-m", "tau_stage", "run", str(SCENES / "umbrella.yaml"), "--replay", "tapes"]
    environment = os.environ | {"XDG_CACHE_HOME": os.devnull}  # no line was said before
    modules = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]], check=True, capture_output=True, text=True, env=environment
    ).stderr
    assert not re.search(r"\|\s+(hibari|onnxruntime)\b", modules)  # a replay needs no voice


def cut_before_it_was_delivered() -> Path:
    """The take, as a kill leaves it when its last line was spoken; and where its cassette was made."""
    take = Path("takes/trio/latest").resolve()
    journal = (take / "journal.jsonl").read_text().splitlines(keepends=True)
    assert '"take_delivered"' in journal.pop()
    (take / "journal.jsonl").write_text("".join(journal))
    return Path(json.loads(journal[0])["recording"])


def test_a_cassette_that_was_whole_when_its_take_was_cut_takes_its_place(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scratch = cut_before_it_was_delivered()
    recorded.rename(scratch)
    capsys.readouterr()
    assert run("resume", "takes/trio/latest") == 0
    assert "cassette" not in capsys.readouterr().err
    verify_cassette(recorded)
    assert not scratch.exists()
    assert load_cassette(recorded).manifest.recording == scratch.name.rpartition("-")[2]
    cut_before_it_was_delivered()
    assert run("resume", "takes/trio/latest") == 0
    assert "cassette" not in capsys.readouterr().err


def test_a_take_that_was_cut_before_its_cassette_was_whole_says_that_there_is_none(
    trio: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_before_it_was_delivered()
    shutil.rmtree(recorded)
    capsys.readouterr()
    assert run("resume", "takes/trio/latest") == 0
    told = capsys.readouterr().err
    assert "no cassette was written, because a cassette must contain an uninterrupted performance" in told
    assert f"tau-stage run {trio} --record tapes" in told
    assert run("resume", "takes/trio/latest") == 0
    assert capsys.readouterr().err == ""


def test_a_cassette_that_was_cut_replaces_no_newer_one(
    serve: Serve, trio: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take, scratch = Path("takes/trio/latest").resolve(), cut_before_it_was_delivered()
    recorded.rename(scratch)
    os.utime(scratch / "cassette.json", (0, 0))
    assert run("run", trio, "--endpoint", serve(Understudy(Tones())), "--record", "tapes", "--quiet") == 0
    newer = (recorded / "cassette.json").read_text()
    capsys.readouterr()
    assert run("resume", str(take)) == 0
    assert (
        f"was recorded again in the meantime\n  hint: the cassette of this take is complete: {scratch}"
        in capsys.readouterr().err
    )
    assert (recorded / "cassette.json").read_text() == newer
