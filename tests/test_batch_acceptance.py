"""Batches as their users have them: 400 lines of which few change, shards of which one dies, many variants."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from tau_stage.batch.batch_file import load_batch
from tau_stage.batch.jobs import load_jobs
from tau_stage.batch.ledger import Ledger
from tau_stage.batch.store import open_store
from tau_stage.batch.worker import BatchObserver, Outcome, WorkerOptions, run_batch
from tau_stage.gate.book import GateLimits
from tau_stage.gate.gate_server import open_gate_server
from tau_stage.runs.run_scenes import RunOptions
from tau_stage.understudy.server import Understudy
from tests.batch_campaign import write_scenes
from tests.campaign import served
from tests.support.batches import Asked, BatchRuns, Home
from tests.support.processes import begun, until
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_testing import edit

__all__ = ["no_key", "serve"]

SCENES, LINES = 20, 20


def write_play() -> None:
    """Scenes of which no two lines have the same words."""
    Path("scenes").mkdir()
    Path("batch.yaml").write_text("scenes: [scenes/*.yaml]\n")
    for scene in range(SCENES):
        cast = "players: {ann: {voice: ash}, bob: {voice: sage}}\nlimits: {start_rate: 100/s}\nlines:\n"
        lines = (f"  - {'ann' if line % 2 else 'bob'}: Line {line} of scene {scene}.\n" for line in range(LINES))
        Path(f"scenes/{scene:02d}.yaml").write_text(cast + "".join(lines))


@pytest.mark.slow
def test_of_400_lines_those_are_performed_that_changed_and_other_files_stay_unopened(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: 20 scenes are performed, and 5 of them again."""
    write_play()
    asked, home = Asked(), Home()
    batch = BatchRuns(serve(Understudy(asked)), capsys)
    batch.run("--jobs", "4")
    assert asked.take().total() == SCENES * LINES
    before = home.tree()
    edit(Path("scenes/00.yaml"), "bob: Line 4 of", "bob: Word 4 of")
    edit(Path("scenes/01.yaml"), "ann: Line 5 of", "ann: (softly) Line 5 of")
    edit(Path("scenes/02.yaml"), "voice: sage", "voice: verse")
    edit(Path("scenes/03.yaml"), "  - ann: Line 7 of", "  - bob: One more line.\n  - ann: Line 7 of")
    edit(Path("scenes/04.yaml"), "  - bob: Line 6 of scene 4.\n", "")
    planned = [job for job in batch.plan()["jobs"] if job["state"] != "fine"]
    kinds = ("performed", "new", "changed", "removed")
    assert [tuple(job[kind] for kind in kinds) for job in planned] == [
        *((1, 0, 1, 0), (1, 0, 1, 0), (10, 0, 10, 0), (1, 1, 0, 0), (0, 0, 0, 1))
    ]
    assert [job["outdated"] for job in planned] == [15, 14, 10, 13, 13]
    told = batch.run("--jobs", "4")
    performed = {"Word 4 of scene 0.", "Line 5 of scene 1.", "One more line."}
    assert asked.take() == Counter(performed | {f"Line {line} of scene 2." for line in range(0, LINES, 2)})
    assert [job["outdated"] for job in told["jobs"][:5]] == [15, 14, 10, 13, 13]
    after = home.tree()
    changed = tuple(f"jobs/scenes/{scene:02d}" for scene in range(5))
    untouched = [name for name in before if name.startswith(("takes/", "jobs/")) and not name.startswith(changed)]
    assert [after[name] for name in untouched] == [before[name] for name in untouched]
    batch.run()
    assert asked.take() == Counter()
    assert home.tree() == after


@pytest.mark.slow
def test_of_three_shards_one_dies_and_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow: four processes."""
    asked = Asked()
    write_scenes(tmp_path, 6)
    monkeypatch.setenv("TAU_STAGE_GATE_TOKEN", "open sesame")
    gate = open_gate_server(GateLimits(sessions=4), "open sesame", return_s=0.0)
    with (
        served(Understudy(asked, pace=4.0)) as (url, _),
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(gate) as address,
    ):
        words = ("batch", "run", "batch.yaml", "--endpoint", url, "--gate", address, "--shard")
        with begun(*words, "1/3", cwd=tmp_path) as first, begun(*words, "2/3", cwd=tmp_path) as dying:
            until(lambda: asked.words["Scene 1 has a line 2."] > 0)
            os.kill(dying.pid, signal.SIGKILL)
            with begun(*words, "3/3", cwd=tmp_path) as third, begun(*words, "2/3", cwd=tmp_path) as again:
                assert [process.wait() for process in (first, third, again)] == [0, 0, 0]
    finished = {f"Scene {scene} has a line {line}." for scene in range(6) for line in range(6)}
    assert set(asked.words) == finished
    repeated = {words for words, times in asked.words.items() if times > 1}
    assert repeated <= {"Scene 1 has a line 2.", "Scene 1 has a line 3."}  # one of them was under way


VARIANTS = 40


@pytest.mark.slow
def test_many_variants_that_are_stopped_go_on_and_nothing_is_performed_twice(serve: Serve) -> None:
    """Slow: 40 scenes; ``python -m tests.batch_campaign --variants 1000`` performs more."""
    moods = ", ".join(f"mood-{number}" for number in range(VARIANTS))
    Path("scene.yaml").write_text(
        "players: {ann: {voice: ash}}\nvars: {mood: calm}\nlimits: {start_rate: 100/s}\nlines: [ann: 'I am ${mood}.']\n"
    )
    Path("batch.yaml").write_text(f"scenes: scene.yaml\nmatrix: {{mood: [{moods}]}}\n")
    asked = Asked()
    batch, url = load_batch("batch.yaml"), serve(Understudy(asked))
    jobs = load_jobs(batch)

    async def perform(most: int) -> int:
        stop = anyio.Event()

        class Stopping(BatchObserver):
            ended = 0

            def end(self, outcome: Outcome) -> None:
                self.ended += outcome.fate == "done"
                if self.ended == most:
                    stop.set()

        observer = Stopping()
        options = WorkerOptions(run=RunOptions(endpoint=url, stand_in=True), at_once=4)
        ledger = Ledger(open_store("out"))
        await run_batch(batch, jobs, ledger, options, observer=observer, stopping=nullcontext(stop))
        return observer.ended

    first = anyio.run(perform, 10)
    assert 10 <= first < VARIANTS
    anyio.run(perform, VARIANTS)
    assert asked.words == Counter({f"I am mood-{number}.": 1 for number in range(VARIANTS)})
