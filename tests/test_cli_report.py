"""``tau-stage report``: a take's files once more, from its journal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tau_stage.report.delivering import deliver
from tau_stage.take import records as record
from tau_stage.take.journal import read_beginning
from tests.support.forked import python
from tests.support.report_pages import tavern, written
from tests.test_cli_validate import run
from tests.test_take import BEGAN, RECORDS

TOP = Path(__file__).parent.parent


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_the_files_come_back_as_they_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: the tavern is performed, and its mix made."""
    folder = tavern(tmp_path)[0].path
    before = files(folder)
    for name in ("take.json", "cost.json"):
        (folder / name).unlink()
    assert run("report", str(folder)) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    after = files(folder)
    assert {name: after[name] for name in before} == before
    assert "report.html" in after
    assert not [name for name in after if name.startswith(".")]


@pytest.mark.slow
def test_all_that_is_made_of_a_take_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: the tavern's mix is made twice."""
    folder, take = tavern(tmp_path)
    told = deliver(folder, take, read_beginning(folder.journal).deliver)
    before = files(folder.path)
    assert {"mix.wav", "report.html", "session.rpp", "transcript.txt"} < set(before)
    assert "opening_gap_s" in before["report.html"].decode()
    for name in set(before) - {"journal.jsonl"}:
        (folder.path / name).unlink()
    assert run("report", str(folder.path)) == 0
    assert capsys.readouterr().err.splitlines() == told.told
    assert files(folder.path) == before
    assert run("report", str(folder.path), "--embed") == 0
    page = (folder.path / "report.html").read_text()
    assert page.count("data:audio/flac") > len(take.lines)
    assert "cannot be embedded" not in page


def test_an_interrupted_take_is_reported_and_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path / "take", [BEGAN])
    assert run("report", str(folder.path), "--embed") == 0
    assert capsys.readouterr().err == "interrupted: the journal is incomplete\n"


def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said where nothing can be done; nothing has changed."""
    before = files(folder) if folder.is_dir() else {}
    assert run("report", str(folder)) == 2
    assert (files(folder) if folder.is_dir() else {}) == before
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.replace(str(folder), "TAKE")


def test_what_is_no_take_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hint = "\n  hint: specify a take folder, for example takes/umbrella/latest\n"
    assert refused(tmp_path / "nowhere", capsys) == f"TAKE: not a directory{hint}"
    assert refused(tmp_path, capsys) == f"TAKE/journal.jsonl: is missing{hint}"


BROKEN = "TAKE/journal.jsonl: line {}: invalid record"


@pytest.mark.parametrize(
    ("journal", "told"),
    [
        ("", "TAKE/journal.jsonl: the journal is missing its first record\n"),
        ("what\nnext\n", BROKEN.format(1)),
        ('{"type": "unheard of"}\n', BROKEN.format(1)),
        (BEGAN.model_dump_json() + '\n{"type": "line_spoken"}\n', BROKEN.format(2)),
        ("\udce4\n", BROKEN.format(1)),
        (
            "\n".join(fact.model_dump_json() for fact in [BEGAN, *RECORDS[3:]]).replace('"clerk"', '"ghost"', 0)
            + '\n{"type":"tool_turn","line":"a","player":"ghost","response":"r","usage":{}}\n',
            "TAKE/journal.jsonl: the journal is inconsistent (KeyError: 'ghost')\n",
        ),
    ],
    ids=["empty", "no JSON", "unknown", "incomplete", "no text", "contradictory"],
)
def test_a_broken_journal_is_one_message(
    journal: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journal.jsonl").write_bytes(journal.encode("utf-8", "surrogateescape"))
    (tmp_path / "take.json").write_text("kept")
    said = refused(tmp_path, capsys)
    assert said.startswith(told)
    assert said.count("\n") <= 2


def test_what_a_newer_version_left_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path / "take", [BEGAN])
    (folder.path / "take.json").write_text('{"version": 2, "tau_stage": "9.0"}')
    told = "has version 2, but this tau-stage supports version 1\n  hint: install a newer tau-stage\n"
    assert refused(folder.path, capsys) == f"TAKE/take.json: {told}"
    (folder.path / "take.json").unlink()
    newer = (
        folder.journal.read_text().replace('"version":1', '"version":2').replace('"tau_stage":"0"', '"tau_stage":"9.0"')
    )
    folder.journal.write_text(newer)
    assert refused(folder.path, capsys) == f"TAKE/journal.jsonl: {told}"


@pytest.mark.parametrize("name", ["cost.json", "report.html"])
def test_where_one_file_cannot_be_written_none_is(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "take", [BEGAN])
    (folder.path / name).mkdir()
    (folder.path / "take.json").write_text('{"version": 1}')
    assert f"{name}: is a directory" in refused(folder.path, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path / "take", [BEGAN])
    folder.path.chmod(0o500)
    assert "permission denied" in refused(folder.path, capsys)
    folder.path.chmod(0o700)


@pytest.mark.slow
def test_the_page_is_opened_where_it_is_wished(tmp_path: Path) -> None:
    """Slow: a process of its own, with a browser of its own."""
    folder = written(tmp_path / "take", [BEGAN, record.TakeEnded(ended="complete")])
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    browser.chmod(0o700)
    environment = os.environ | {"BROWSER": f"{browser} %s"}
    done = python("-m", "tau_stage", "report", str(folder.path), "--open", cwd=TOP, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "opened").read_text() == (folder.path / "report.html").as_uri()
