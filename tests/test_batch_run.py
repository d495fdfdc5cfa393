"""`tau-stage batch`: what is done is neither performed nor paid again, and nothing else is touched."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path

import anyio
import pytest

from tau_stage.batch.batch_file import load_batch
from tau_stage.batch.jobs import load_jobs
from tau_stage.batch.ledger import JobResult, Ledger, spent
from tau_stage.batch.store import open_store
from tau_stage.batch.summary import JobStatus, as_csv, tabulate_status
from tau_stage.batch.worker import BatchObserver, Outcome, WorkerOptions, exit_code, run_batch, timestamp
from tau_stage.cli.batch_running import read_told
from tau_stage.report import plain_text
from tau_stage.runs.run_scenes import RunOptions
from tau_stage.scene.plan import Plan
from tau_stage.stage.events import Event
from tau_stage.take import read_journal
from tau_stage.take import records as record
from tau_stage.take.records import of_type
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy
from tests.support.batches import Asked, BatchRuns, BucketHome, Home, write_batch
from tests.support.object_stores import served_bucket
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_testing import edit
from tests.test_cli_validate import run

__all__ = ["no_key", "serve"]


SCENES = "scenes: [scenes/*.yaml]\n"


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A bucket is slow: its server takes a while to begin."""
    if request.param == "folder":
        yield Home()
        return
    with served_bucket(monkeypatch) as address:
        yield BucketHome(address)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def batch(serve: Serve, asked: Asked, capsys: pytest.CaptureFixture[str]) -> BatchRuns:
    return BatchRuns(serve(Understudy(asked)), capsys)


@pytest.mark.slow
def test_a_second_run_does_nothing_costs_nothing_and_opens_no_file(batch: BatchRuns, asked: Asked, home: Home) -> None:
    """Slow: it is planned and run twice."""
    write_batch(SCENES + home.store)
    planned = batch.plan()
    assert planned["total"]["performed"] == 6
    assert [job["state"] for job in planned["jobs"]] == ["new", "new"]
    told = batch.run("--jobs", "2")
    assert told["total"]["states"] == {"done": 2}
    assert [job["lines"] for job in told["jobs"]] == [3, 3]
    assert sum(asked.take().values()) == 6
    before = home.tree()
    assert batch.plan()["total"]["performed"] == 0
    assert batch.run()["total"] == told["total"]
    assert asked.take() == {}
    assert home.tree() == before


@pytest.mark.slow
def test_only_what_has_changed_is_performed(batch: BatchRuns, asked: Asked, home: Home) -> None:
    """Slow: two runs."""
    write_batch(SCENES + home.store)
    batch.run()
    asked.take()
    before = home.tree()
    edit(Path("scenes/hat.yaml"), "Here is your hat.", "There is your hat.")
    hat, key = batch.plan()["jobs"]
    assert (hat["state"], hat["performed"], hat["changed"], hat["outdated"]) == ("changed", 1, 1, 1)
    assert (key["state"], key["performed"]) == ("fine", 0)
    batch.run()
    assert asked.take() == {"There is your hat.": 1}
    after = home.tree()
    assert batch.plan("--through")["total"]["performed"] == 1
    assert batch.run("--through")["jobs"][0]["outdated"] == 0
    assert asked.take() == {"Thank you for the hat.": 1}
    untouched = [name for name in before if name.startswith(("takes/", "jobs/scenes/key"))]
    assert [after[name] for name in untouched] == [before[name] for name in untouched]
    assert len(after) > len(before)


@pytest.mark.slow
def test_another_delivery_makes_files_again_and_performs_nothing(batch: BatchRuns, asked: Asked) -> None:
    """Slow: three runs."""
    languages = SCENES + "languages: {en: {}, de: {}}\n"
    write_batch(languages, "hat")
    former = batch.run()
    asked.take()
    lines = "{names: '{language}/{line}', format: ogg, loudness: -23 LUFS}"
    write_batch(f"{languages}limits: {{budget: $0.0000001}}\ndeliver: {{mix: none, lines: {lines}}}\n", "hat")
    planned = batch.plan()
    assert (planned["total"]["performed"], [job["state"] for job in planned["jobs"]]) == (0, ["changed"] * 2)
    told = batch.run()
    assert asked.take() == {}
    assert told["total"]["dollars"] == former["total"]["dollars"]
    for job in told["jobs"]:
        take = Path("out", job["take"])
        files = [path.relative_to(take / "export").as_posix() for path in (take / "export").rglob("*.*")]
        language = job["job"].partition("/")[0]
        assert sorted(files) == [f"{language}/{line}.ogg" for line in ("ann-1", "ann-2", "bob-1")]
        assert not (take / "mix.wav").exists()
        assert {fact.session for fact in of_type(read_journal(take / "journal.jsonl"), record.PlayerOpened)} == {""}
    assert batch.run() == told
    assert run("resume", str(take)) == 0  # the scene is as it was, in its language and with what the batch delivers


@pytest.mark.slow
def test_a_budget_ends_between_lines_and_a_higher_one_goes_on(batch: BatchRuns, asked: Asked, home: Home) -> None:
    """Slow: two runs of four scenes."""
    write_batch(f"{SCENES}{home.store}limits: {{budget: $0.0028}}\n", "hat", "key", "cup", "pen")
    told = batch.run(code=4)
    assert Decimal(told["total"]["dollars"]) <= Decimal("0.0028")
    spoken = asked.take()
    assert 0 < sum(spoken.values()) < 12
    assert max(spoken.values()) == 1
    states = told["total"]["states"]
    assert states["stopped"] + states.get("waiting", 0) + states.get("done", 0) == 4
    told = batch.run("--budget", "$1")
    assert told["total"]["states"] == {"done": 4}
    spoken += asked.take()
    assert set(spoken.values()) == {1}
    assert len(spoken) == 12


@pytest.mark.slow
def test_what_fails_is_tried_again_and_left_after_that_until_it_is_asked_for(
    serve: Serve, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: three runs."""
    write_batch("scenes: [scenes/*.yaml]\nretry: {times: 1}\n", "hat")
    broken = Understudy(asked, faults=[fault.FailResponses(2, "model_broken", "No.")])
    batch = BatchRuns(serve(broken), capsys)
    (told,) = batch.run(code=3)["jobs"]
    assert told["state"] == "failed"
    assert "No." in told["problem"]
    assert asked.take() == {}
    assert batch.plan()["total"]["performed"] == 0
    batch.run(code=3)
    assert asked.take() == {}
    assert batch.plan("--retry", "failed")["total"]["performed"] == 3
    assert batch.run("--retry", "failed")["total"]["states"] == {"done": 1}
    assert sum(asked.take().values()) == 3


@pytest.mark.slow
def test_what_fails_in_a_run_is_left_by_its_other_workers(serve: Serve, asked: Asked) -> None:
    """Slow: several performances."""
    write_batch(SCENES, "hat")
    url = serve(Understudy(asked, faults=[fault.FailResponses(2, "model_broken", "No.")]))
    batch, ledger = load_batch("batch.yaml"), Ledger(open_store("out"))
    run_options = RunOptions(endpoint=url, stand_in=True)
    first = WorkerOptions(run=run_options, retries=0, retry_failed=True)
    later = replace(first, since=timestamp())

    class Fates(BatchObserver):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def end(self, outcome: Outcome) -> None:
            self.seen.append(outcome.fate)

    def fates(options: WorkerOptions) -> list[str]:
        observer = Fates()
        anyio.run(partial(run_batch, batch, load_jobs(batch), ledger, options, observer=observer))
        return observer.seen

    assert fates(first) == ["failed"]
    assert fates(first) == ["unchanged"]  # another worker of the same run
    assert fates(replace(later, since=timestamp())) == ["failed"]
    assert fates(replace(later, since=timestamp())) == ["done"]


def test_a_run_that_was_stopped_says_so_though_its_workers_left_nothing() -> None:
    write_batch()
    jobs = load_jobs(load_batch("batch.yaml"))
    assert [exit_code({}, jobs, codes) for codes in ((), (0,), (0, 2))] == [130, 130, 2]
    done = dict.fromkeys((job.name for job in jobs), 0)
    assert [exit_code(done, jobs, codes) for codes in ((), (0, 3))] == [0, 3]


@pytest.mark.parametrize("line", [b"hello\n", b"5\n", b'{"a": 1}\n', b"\xff\n"])
def test_what_a_tool_prints_in_a_worker_is_shown(line: bytes) -> None:
    assert read_told(line) == {"warning": line.decode(errors="replace").rstrip()}


def test_what_a_worker_tells_is_read() -> None:
    assert read_told(b'{"warning": "Careful."}\n') == {"warning": "Careful."}
    assert read_told(b"{}\n") == {}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\uff1d1+1"])
def test_no_text_is_a_formula_for_a_spreadsheet(text: str) -> None:
    table = as_csv([{"words": text, "list": [text], "seconds": -1.5}, {"words": 'a=1, "b"'}])
    rows = [*csv.DictReader(StringIO(table, newline=""))]
    assert [(row["words"], row["list"], row["seconds"]) for row in rows] == [
        (f"'{text}", f"'{text}", "-1.5"),
        ('a=1, "b"', "", ""),
    ]


async def stopped_after(lines: int, url: str, ledger: Ledger) -> None:
    """Perform the batch in this folder, and let its worker die when so many lines have come."""
    heard = 0
    dying = anyio.CancelScope()

    class Watching(BatchObserver):
        def show(self, plan: Plan, event: Event) -> None:  # noqa: ARG002 - there is one plan
            nonlocal heard
            heard += isinstance(event, record.LineSpoken)
            if heard == lines:
                dying.cancel()

    batch = load_batch("batch.yaml")
    options = WorkerOptions(run=RunOptions(endpoint=url, stand_in=True))
    with dying:
        await run_batch(batch, load_jobs(batch), ledger, options, observer=Watching())


@pytest.mark.slow
def test_another_worker_resumes_what_one_that_died_has_left(
    serve: Serve, asked: Asked, capsys: pytest.CaptureFixture[str], home: Home
) -> None:
    """Slow: two runs."""
    write_batch(SCENES + home.store, "hat")
    url = serve(Understudy(asked))
    ledger = Ledger(open_store(home.address))
    anyio.run(stopped_after, 2, url, ledger)
    assert sum(asked.take().values()) >= 2
    assert spent(ledger.results(), ledger.claims()) > 0  # the budget of the next run counts it
    (job,) = BatchRuns(url, capsys).run()["jobs"]
    assert (job["state"], job["lines"]) == ("done", 3)
    assert set(asked.take()) <= {"Thank you for the hat.", "Here is your hat."}
    takes = {name.rpartition("/lines/")[0] for name in home.tree() if "/lines/" in name}
    assert len(takes) == 1


@pytest.mark.usefixtures("batch")
def test_a_batch_is_planned_with_the_prices_of_its_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    write_batch(SCENES, "hat")
    known = []
    for wish in ((), ("--endpoint", "xai")):
        assert run("batch", "plan", "batch.yaml", "--json", *wish) == 0
        known.append(json.loads(capsys.readouterr().out)["total"]["dollars"] is not None)
    assert known == [True, False]


def documented_columns() -> list[str]:
    """The columns of the results, in the order in which the documentation lists them."""
    page = (Path(__file__).parent.parent / "docs" / "batch.md").read_text(encoding="utf-8")
    table = page.partition("### Columns of the results")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    return re.findall(r"`([^`]+)`", " ".join(cells))


@pytest.mark.slow
def test_a_run_leaves_a_page_of_all_jobs_and_a_row_for_each_line(batch: BatchRuns, home: Home) -> None:
    """Slow: a run, and an export."""
    write_batch(
        f"{SCENES}{home.store}languages: {{en: {{}}, de: {{include: de.yaml}}}}\nmatrix: {{mood: [=calm]}}\n", "hat"
    )
    Path("de.yaml").write_text("players: {ann: {voice: coral, words: exact}}\n")
    batch.run()
    files = home.tree()
    rows = [json.loads(line) for line in files["results.jsonl"][1].splitlines()]
    assert [(row["language"], row["line"], row["voice"]) for row in rows] == [
        (language, line, ann if line.startswith("ann") else "sage")
        for language, ann in (("en", "ash"), ("de", "coral"))
        for line in ("ann-1", "bob-1", "ann-2")
    ]
    assert all(f"{row['folder']}/{row['file']}" in files for row in rows)
    assert [row["exact"] for row in rows] == [None, None, None, True, None, True]
    table = [*csv.DictReader(StringIO(files["results.csv"][1].decode(), newline=""))]
    assert [row["said"] for row in table] == [row["said"] for row in rows]
    assert {row["matrix.mood"] for row in table} == {"'=calm"}  # no formula for a spreadsheet
    assert [*table[0]] == [*rows[0]] == [name.replace("NAME", "mood") for name in documented_columns()]
    page = files["batch.html"][1].decode()
    assert "2 done" in page
    assert all(f"{row['folder']}/report.html" in page for row in rows)
    assert run("batch", "export", "batch.yaml") == 0
    assert home.tree() == files


@pytest.mark.slow
def test_what_a_rehearsal_would_have_cost_is_spent_of_no_real_budget(
    batch: BatchRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: the understudy's voice, and two runs."""
    write_batch(f"{SCENES}limits: {{budget: $1}}\n", "hat")
    assert run("batch", "run", "batch.yaml") == 0
    told = capsys.readouterr()
    assert re.search(r"1/1 jobs, .* would have cost \$0\.\d*[1-9]\d* so far", told.err)
    assert re.search(r"\$0\.\d+ of the total was not spent, because the understudy performed", told.out)
    assert run("batch", "plan", "batch.yaml") == 0
    assert re.search(
        r"rehearsals with the understudy would have cost \$0\.\d*[1-9]\d* of the \$1\.0000 budget",
        capsys.readouterr().out,
    )
    total = batch.plan()["total"]
    assert (total["spent"], Decimal(total["rehearsed"]) > 0) == ("0", True)
    batch.run()
    now = batch.plan()["total"]
    assert (Decimal(now["spent"]) > 0, now["rehearsed"]) == (True, total["rehearsed"])


def test_the_status_says_what_to_do_about_a_budget_that_is_spent() -> None:
    write_batch()
    batch, problem = load_batch("batch.yaml"), "the batch budget is spent"
    told = plain_text(tabulate_status(batch, [JobStatus("scenes/hat", "stopped", problem=problem)]))
    assert "the budget is spent: raise limits.budget, or run with a higher --budget" in told
    assert "left: tau-stage batch run batch.yaml --budget '$0.01'" in told
    found = [JobStatus("a", "done", dollars=Decimal("0.08")), JobStatus("b", "stopped", problem=problem)]
    assert "--budget '$0.20'" in plain_text(tabulate_status(batch, found))
    assert "budget" not in plain_text(tabulate_status(batch, [JobStatus("scenes/hat", "stopped")]))


def test_jobs_whose_scene_is_gone_are_told_and_stay(capsys: pytest.CaptureFixture[str]) -> None:
    write_batch(SCENES, "hat")
    ledger = Ledger(open_store("out"))
    ledger.write(JobResult(job="scenes/old", state="done", ended="complete"))
    for verb in ("plan", "status"):
        assert run("batch", verb, "batch.yaml", "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["gone"], [job["job"] for job in told["jobs"]]) == (["scenes/old"], ["scenes/hat"])
        assert run("batch", verb, "batch.yaml") == 0
        assert "no longer in the batch: 1 job" in " ".join(capsys.readouterr().out.split())
    assert ledger.result("scenes/old")
