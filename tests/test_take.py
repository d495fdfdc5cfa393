"""What a performance leaves: records that survive, stems that line up, a take that is a fold."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter, read_wav
from tau_stage.errors import TakeError
from tau_stage.protocol.usage import Usage
from tau_stage.scene.names import slug
from tau_stage.take import records as record
from tau_stage.take.atomic import write_whole
from tau_stage.take.folder import TakeFolder, clear_unbegun, followed, is_latest, leave_latest, locked, make_latest
from tau_stage.take.folding import cost_json, current_facts, fold
from tau_stage.take.journal import Journal, read_journal
from tau_stage.take.stems import Stems
from tests.test_audio_wav import few_at_once

ROLES = tuple(
    record.Role(name=name, voice="ash", model="gpt-realtime-2.1", endpoint="openai", prices="openai")
    for name in ("clerk", "tourist")
)
BEGAN = record.TakeBegan(
    tau_stage="0",
    started="2026-11-21T00:00:00+00:00",
    title="T",
    slug="t",
    path="t.yaml",
    sha256="0",
    spent=True,
    roles=ROLES,
)


def spoken(line: str, player: str, samples: int, usage: Usage, **facts: object) -> record.LineSpoken:
    told = {
        "line": line,
        "number": 1,
        "player": player,
        "asked": "words",
        "direction": "",
        "said": "words",
        "status": "completed",
        "reason": None,
        "file": f"lines/{line}.wav",
        "sha256": "0",
        "samples": samples,
        "rate": RATE,
        "offset_samples": 0,
        "first_audio_s": 0.2,
        "took_s": 1.0,
        "hearers": (),
        "response": "resp_1",
        "attempts": 1,
        "usage": usage,
    }
    return record.LineSpoken.model_validate(told | facts)


def journal_of(*facts: record.Record) -> list[record.Record]:
    opened = [record.PlayerOpened(player=role.name, session="sess", attempts=1, took_s=0.5) for role in ROLES]
    return [BEGAN, *opened, *facts, record.TakeEnded(ended="complete")]


@pytest.fixture
def folder(tmp_path: Path) -> TakeFolder:
    return TakeFolder.create(tmp_path / "takes", "t", datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC), "abc123")


def test_a_take_is_as_long_as_what_is_heard_last() -> None:
    take = fold(
        journal_of(spoken("a", "clerk", 1000, Usage()), spoken("b", "tourist", 500, Usage(), offset_samples=1100))
    )
    assert [line.offset_samples for line in take.lines] == [0, 1100]
    assert take.samples == 1600
    assert take.duration_s == 1600 / RATE


def test_costs_are_told_per_line_and_per_player_each_response_once() -> None:
    heard = Usage(audio_in=1000, cached_text_in=1000, text_in=1000)
    failed = record.LineAgain(line="b", player="tourist", problem="failed", wait_s=1, usage=Usage(audio_out=1000))
    take = fold(
        journal_of(
            spoken("a", "clerk", 10, Usage(audio_out=1000, text_out=1000)),
            failed,
            spoken("b", "tourist", 10, heard),
        )
    )
    clerk, tourist = take.players
    assert clerk.cost.spoken == Decimal("0.088")
    assert clerk.cost.total == Decimal("0.088")
    assert (tourist.cost.spoken, tourist.cost.listened, tourist.cost.cached) == (
        Decimal("0.064"),
        Decimal("0.036"),
        Decimal("0.0004"),
    )
    assert take.lines[1].cost.total == Decimal("0.1004")
    assert take.cost.total == Decimal("0.1884")
    assert take.lines[1].attempts == 1
    assert take.usage.audio_out == 2000


def test_who_heard_what_and_who_was_lost_is_told() -> None:
    take = fold(
        journal_of(
            spoken("a", "clerk", 10, Usage(), hearers=("tourist",)),
            record.LineHeard(at_s=2.5, line="a", hearer="tourist", sha256="0", took_s=0.1),
            spoken("b", "clerk", 10, Usage(), hearers=("tourist",)),
            record.LineMissed(line="b", hearer="tourist", problem="tourist did not hear", lost=True),
        )
    )
    first, second = take.lines
    assert (first.hearers[0].heard_at_s, first.hearers[0].sha256) == (2.5, "0")
    assert second.hearers[0].heard_at_s is None
    assert [player.status for player in take.players] == ["played", "lost"]
    assert take.warnings == ("tourist did not hear",)


def test_who_had_heard_another_take_of_a_line_is_told_and_nobody_else() -> None:
    def began(line: str, player: str) -> record.LineBegan:
        return record.LineBegan(line=line, player=player)

    def kept(take: int) -> record.TakeKept:
        told = spoken("a", "clerk", take, Usage(), take=take, sha256=str(take)).model_dump(
            include=set(record.TakeFacts.model_fields)
        )
        return record.TakeKept(line="a", player="clerk", **told)

    journal = journal_of(
        *(kept(take) for take in (1, 2)),
        *(began("a", "clerk"), began("together", "tourist")),
        spoken("a", "clerk", 1, Usage(), sha256="1", hearers=("tourist", "deaf")),
        spoken("together", "tourist", 9, Usage(), sha256="b"),
        record.LineMissed(line="a", hearer="deaf", problem="no sound", lost=False),
        spoken("before", "tourist", 9, Usage(), sha256="c", number=2),
        spoken("deaf", "deaf", 9, Usage(), sha256="d", number=3),
        spoken("person", "tourist", 9, Usage(), sha256="e", number=4, human=True),
        record.TakePicked(line="a", take=2),
        spoken("after", "tourist", 9, Usage(), sha256="f", number=5),
    )
    marked = {fact.line: fact.heard_as for fact in current_facts(journal) if isinstance(fact, record.LineSpoken)}
    assert marked == {"a": {}, "together": {}, "before": {"a": "1"}, "deaf": {}, "person": {}, "after": {}}
    again = current_facts([*journal, record.TakePicked(line="a", take=1)])
    marked = {fact.line: fact.heard_as for fact in again if isinstance(fact, record.LineSpoken) and fact.heard_as}
    assert marked == {"after": {"a": "2"}}


def test_everything_an_author_should_know_is_a_warning() -> None:
    take = fold(
        journal_of(
            record.OpeningRefused(player="clerk", problem="clerk: slow down", wait_s=1.04),
            record.Warned(text="odd"),
            record.LineAgain(line="a", player="clerk", problem="it failed", wait_s=0.5, usage=Usage()),
            record.LineAgain(line="a", player="clerk", problem="it failed", wait_s=0.04, usage=Usage()),
            spoken("a", "clerk", 10, Usage(), status="incomplete", reason="max_output_tokens"),
        )
    )
    assert take.warnings == (
        "clerk: slow down; waited 1.0 s",
        "odd",
        "line a, player clerk: it failed; retried after 0.5 s",
        "line a, player clerk: it failed; retried immediately",
        "line a, player clerk: the response is incomplete (max_output_tokens)",
    )


def test_a_journal_that_was_cut_short_is_an_interrupted_take() -> None:
    take = fold([BEGAN])
    assert (take.ended, take.samples, [player.status for player in take.players]) == (
        "interrupted",
        0,
        ["never opened", "never opened"],
    )
    with pytest.raises(TakeError, match="missing its first record"):
        fold([])


def test_cost_json_says_estimate_and_never_zero_for_unknown() -> None:
    facts = journal_of(spoken("a", "clerk", 10, Usage(audio_out=1000)))
    told = json.loads(cost_json(facts))
    assert told["estimate"] is True
    assert told["players"]["clerk"]["kinds"] == {"audio_out": {"tokens": 1000, "dollars": "0.064"}}
    assert told["lines"]["a"]["total"] == "0.064"
    nameless = BEGAN.model_copy(
        update={"spent": False, "roles": tuple(role.model_copy(update={"model": "own"}) for role in ROLES)}
    )
    told = json.loads(cost_json([nameless, *facts[1:]]))
    assert told["total"]["total"] is None
    assert told["total"]["kinds"]["audio_out"]["dollars"] is None
    assert "Nothing was spent" in told["note"]


RECORDS: Sequence[record.Record] = journal_of(spoken("ä", "clerk", 10, Usage(text_in=3)))


@given(cut=st.integers(0, 400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_journal_is_read_back_and_a_torn_last_line_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    for fact in RECORDS:
        journal.append(fact)
    journal.close()
    journal.close()
    assert read_journal(path) == list(RECORDS)
    data = path.read_bytes()
    kept = data[: len(data) - cut]
    path.write_bytes(kept)
    assert read_journal(path) == list(RECORDS)[: kept.count(b"\n")]


def test_a_record_may_hold_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(record.Warned(text="\udcff.yaml", at_s=1.5))
    journal.close()
    assert read_journal(journal.path) == [record.Warned(text="\ufffd.yaml", at_s=1.5)]


def test_a_record_that_has_no_room_is_cut_off_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for fact in RECORDS[:-1]:
        journal.append(fact)
    limit, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 9, limit[1]))
        with pytest.raises(TakeError, match="cannot write another record: file too large"):
            journal.append(RECORDS[-1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_bytes().endswith(b"\n")
    journal.append(RECORDS[-1])
    journal.close()
    assert read_journal(path) == list(RECORDS)


def test_a_journal_is_whole_where_a_system_takes_a_few_bytes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_at_once(monkeypatch)
    journal = Journal(tmp_path / "journal.jsonl")
    for fact in RECORDS:
        journal.append(fact)
    assert journal.records == list(RECORDS)
    journal.close()
    assert read_journal(journal.path) == list(RECORDS)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_may_have_no_way_to_bring_a_folder_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folders_fail(monkeypatch, number)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(RECORDS[0])
    journal.close()
    TakeFolder(tmp_path).write("take.json", "{}")
    assert read_journal(journal.path) == [RECORDS[0]]


def test_a_folder_that_cannot_be_brought_to_a_broken_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders_fail(monkeypatch, errno.EIO)
    with pytest.raises(TakeError, match="input/output error"):
        Journal(tmp_path / "journal.jsonl")


def folders_fail(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let no folder be brought to the disk."""
    fsync = os.fsync

    def refuse(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(file)

    monkeypatch.setattr(os, "fsync", refuse)


def test_folders_of_takes_that_never_began_are_cleared(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    kinds = {name: TakeFolder.create(tmp_path, "scene", now, name).path for name in ("empty", "torn", "begun", "young")}
    kinds["heard"] = TakeFolder.create(tmp_path, "scene", now, "heard").path
    kinds["held"] = TakeFolder.create(tmp_path, "scene", now, "held").path
    for name in ("empty", "young", "held"):
        WavWriter(kinds[name] / "stems/ann.wav").close()
    (kinds["torn"] / "journal.jsonl").write_bytes(b'{"type": "take_beg')
    (kinds["begun"] / "journal.jsonl").write_bytes(b'{"type": "take_began"}\n')
    (kinds["heard"] / "lines/001-ann-1.take-1.part.wav").write_bytes(b"RIFF")
    with locked(kinds["held"]):
        for name in kinds.keys() - {"young"}:
            os.utime(kinds[name], (0, 0))
        clear_unbegun(tmp_path / "scene", now - timedelta(minutes=1))
    assert {name for name, path in kinds.items() if path.exists()} == {"begun", "young", "heard", "held"}


def test_lines_stand_in_the_order_of_their_numbers() -> None:
    first, second = spoken("a", "clerk", 10, Usage()), spoken("b", "tourist", 10, Usage())
    journal = journal_of(second.model_copy(update={"number": 2}), first)
    assert [line.id for line in fold(journal).lines] == ["a", "b"]


def test_a_journal_that_is_broken_in_the_middle_or_not_there_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"type": "unheard of"}\n')
    with pytest.raises(TakeError, match="broken"):
        read_journal(path)
    with pytest.raises(TakeError, match="no such file"):
        read_journal(tmp_path / "nowhere")
    with pytest.raises(TakeError, match="file exists"):
        Journal(path)


lines = st.lists(
    st.tuples(st.sampled_from(["clerk", "tourist", "Geist 2"]), st.integers(0, 60_000), st.integers(0, 50)), max_size=6
)


@given(lines=lines)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_the_sum_of_the_stems_is_the_lines_end_to_end(tmp_path: Path, lines: list[tuple[str, int, int]]) -> None:
    stems = Stems(tmp_path, ["clerk", "tourist", "geist-2"])
    laid: list[Pcm] = []
    at = 0
    for number, (player, samples, gap) in enumerate(lines, 1):
        audio = Pcm.from_array(np.full(samples, number, dtype=np.int16))
        stems.put(slug(player), audio, at + gap)
        at += gap + samples
        stems.reach(at)
        laid += [Pcm.silence(gap), audio]
    stems.close()
    read = [read_wav(tmp_path / name).array for name in ("clerk.wav", "tourist.wav", "geist-2.wav")]
    assert len({len(stem) for stem in read}) == 1
    assert np.array_equal(sum(read), Pcm.join(laid).array)


def test_a_folder_is_named_by_scene_time_and_id(folder: TakeFolder, tmp_path: Path) -> None:
    assert folder.path == tmp_path / "takes" / "t" / "20261121T040506Z-abc123"
    assert folder.journal.parent == folder.path


def test_latest_points_at_the_newest_take(folder: TakeFolder) -> None:
    make_latest(folder)
    make_latest(folder)
    assert (folder.path.parent / "latest").resolve() == folder.path.resolve()


def test_something_in_the_way_of_latest_is_kept(folder: TakeFolder) -> None:
    (folder.path.parent / "latest").write_text("mine")
    with pytest.raises(TakeError, match="is not a link to the newest take"):
        make_latest(folder)
    assert (folder.path.parent / "latest").read_text() == "mine"


def test_latest_is_a_file_where_a_disk_knows_no_links(folder: TakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "symlink", refuse)
    link = folder.path.parent / "latest"
    for _ in range(2):
        make_latest(folder)
        assert link.read_text() == f"{folder.path.name}\n"
    assert followed(link) == followed(link / "take.json").parent == folder.path
    monkeypatch.undo()
    assert is_latest(folder)
    make_latest(folder)
    assert link.is_symlink()
    assert followed(link) == link


def test_what_a_killed_process_left_of_latest_is_cleared(folder: TakeFolder) -> None:
    home = folder.path.parent
    for name in (folder.path.name, "20261121T040507Z-abc124"):
        (home / f".latest-{name}").symlink_to(name)
    make_latest(folder)
    assert sorted(path.name for path in home.iterdir()) == [folder.path.name, "latest"]


def test_before_a_take_is_deleted_latest_names_another(folder: TakeFolder) -> None:
    home = folder.path.parent
    older = TakeFolder.create(home.parent, home.name, datetime(2026, 11, 20, tzinfo=UTC), "abc123")
    for take, ended in ((older, "complete"), (folder, "complete")):
        take.write("take.json", json.dumps({"ended": ended}))
    make_latest(folder)
    leave_latest(older)
    assert (home / "latest").resolve() == folder.path.resolve()
    leave_latest(folder)
    assert (home / "latest").resolve() == older.path.resolve()
    older.write("take.json", json.dumps({"ended": "failed"}))
    folder.write("take.json", "{")
    leave_latest(older)
    assert not (home / "latest").is_symlink()


def test_drafts_of_processes_that_are_gone_are_cleared_and_others_stay(tmp_path: Path) -> None:
    program = """
import sys, os, signal
from pathlib import Path
from tau_stage.take.atomic import draft_beside
with draft_beside(Path(sys.argv[1])):
    print("here", flush=True)
    signal.pause()
"""
    final = tmp_path / "scene.yaml"
    foreign = tmp_path / ".scene.yaml.part"
    foreign.write_text("not ours")
    with subprocess.Popen([sys.executable, "-c", program, str(final)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        (draft,) = tmp_path.glob(".tau-stage-*.part")
        write_whole({final: "one"}, "")
        assert draft.exists()
        process.kill()
    assert draft.exists()
    write_whole({tmp_path / "other.yaml": "two"}, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [foreign.name, "other.yaml", "scene.yaml"]


def test_files_are_whole_or_not_there(folder: TakeFolder) -> None:
    folder.write("a.txt", "one")
    folder.write("a.txt", "two")
    assert [path.name for path in folder.path.iterdir() if path.is_file()] == ["a.txt"]
    with pytest.raises(TakeError, match="no such file"):
        folder.write("gone/a.txt", "three")


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TakeError, match="not a directory"):
        TakeFolder.create(tmp_path / "file", "t", datetime.now(UTC), "a")


@given(st.text(max_size=80))
def test_no_name_leaves_the_folder(player: str) -> None:
    name = slug(player)
    assert name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(name) <= 61
