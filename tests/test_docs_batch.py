"""Every block of docs/batch.md runs, in order: files are written, commands are performed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from anyio.from_thread import start_blocking_portal

from tau_stage.gate.book import GateLimits
from tau_stage.gate.gate_server import open_gate_server
from tau_stage.understudy.server import Understudy
from tests.support.batches import Asked
from tests.support.forked import ForkedPython
from tests.support.object_stores import served_bucket
from tests.support.processes import begun, until
from tests.test_cli_run import Serve, no_key, serve
from tests.test_cli_validate import run

__all__ = ["no_key", "serve"]

PAGE = (Path(__file__).parent.parent / "docs" / "batch.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def write(block: str) -> Path:
    """Write a block to the file that its first comment names."""
    file = Path(next(line for line in block.splitlines() if line.startswith("# ")).removeprefix("# "))
    file.parent.mkdir(exist_ok=True)
    file.write_text(block, encoding="utf-8")
    return file


def typed(block: str) -> list[str]:
    return [line for line in block.splitlines() if not line.startswith("export ")]


def serve_as_typed(words: list[str], folder: Path) -> None:
    """A gate as it is typed, but at a port that is free, and for this machine alone."""
    log = folder / "gate.txt"
    with log.open("wb") as out, begun(*words, "--port", "0", "--host", "127.0.0.1", cwd=folder, stdout=out.fileno()):
        until(lambda: "The gate is listening at" in log.read_text())


@pytest.mark.slow
def test_every_block_runs_as_it_stands(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: a batch is performed many times, in other processes too."""
    from distributed import LocalCluster  # here: no other test loads it

    asked = Asked()
    monkeypatch.setenv("TAU_STAGE_ENDPOINT", serve(Understudy(asked)))
    monkeypatch.setenv("TAU_STAGE_GATE_TOKEN", "correct-horse")
    counts: list[int] = []
    with ExitStack() as ends, start_blocking_portal("asyncio") as portal, ends:
        ends.enter_context(served_bucket(monkeypatch, "harbour-voices"))
        gate = ends.enter_context(
            portal.wrap_async_context_manager(
                open_gate_server(GateLimits(budget=Decimal(200)), "correct-horse", return_s=0.0)
            )
        )
        for kind, block in BLOCKS:
            if kind in ("yaml", "bash"):
                write(block)
                continue
            assert kind == "sh"
            for line in typed(block):
                program, *words = shlex.split(line.replace("gate.example:8770", gate))
                if words[:1] == ["gate"]:
                    serve_as_typed(words, tmp_path)
                elif program == "tau-stage" and "--cluster" not in words:
                    assert run(*words) == 0, (line, capsys.readouterr())
                elif "tcp://scheduler.example:8786" in line:
                    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
                        line = line.replace("tcp://scheduler.example:8786", cluster.scheduler_address)  # noqa: PLW2901
                        subprocess.run(["sh", "-c", line], check=True, env=os.environ | {"PATH": PATH})
                else:
                    subprocess.run(["sh", "-c", line], check=True, env=os.environ | {"PATH": PATH})
            counts.append(sum(asked.take().values()))
    assert counts == [16, 0, 4, 0, 0, 0, 0, 0, 0, 4, 0]
    assert capsys.readouterr().out.count("8 jobs") > 3


INDEXED = {
    "k8s/batch.yaml": ("JOB_COMPLETION_INDEX", 0),
    "slurm/batch.sh": ("SLURM_ARRAY_TASK_ID", 1),
    "aws/batch.yaml": ("AWS_BATCH_JOB_ARRAY_INDEX", 0),
}
"""Variables by which systems number their processes, and the first number."""


def commands_of(file: Path) -> list[list[str]]:
    """What a system would start: the commands of its containers, or the script itself."""
    if file.suffix == ".sh":
        return [["sh", str(file)]]
    found = []
    for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
        pod = document.get("spec", {}).get("template", {}).get("spec", {})
        found += [each["command"] for each in pod.get("containers", ())]
        found += [document["containerProperties"]["command"]] if "containerProperties" in document else []
    return found


def perform_parts(file: Path, gate: str) -> None:
    """Start each part as its system does: a script in a shell, the program in a process of its own."""
    variable, first = INDEXED[file.as_posix()]
    (command,) = commands_of(file)
    own = {**os.environ, "PATH": PATH, "TAU_STAGE_GATE": gate, "SLURM_ARRAY_TASK_COUNT": "3"}
    with Path(os.devnull).open("wb") as nowhere:
        parts = [
            ForkedPython("-m", "tau_stage", *command[1:], env={**own, variable: str(number)}, stdout=nowhere.fileno())
            if command[0] == "tau-stage"
            else subprocess.Popen(command, env={**own, variable: str(number)}, stdout=nowhere)
            for number in range(first, first + 3)
        ]
    for part in parts:
        with part:
            assert part.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [*INDEXED, "k8s/gate.yaml", "local"])
def test_each_recipe_performs_the_batch_once(
    recipe: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: processes are started, as Kubernetes, Slurm, AWS Batch and Dask start them."""
    asked = Asked()
    monkeypatch.setenv("TAU_STAGE_ENDPOINT", serve(Understudy(asked)))
    monkeypatch.setenv("TAU_STAGE_GATE_TOKEN", "correct-horse")
    for file in (write(block) for kind, block in BLOCKS if kind != "sh"):
        if recipe == "k8s/gate.yaml" == file.as_posix():
            serve_as_typed(commands_of(file)[0][1:], tmp_path)
            return
    if recipe == "local":
        (typed_line,) = re.findall(r"^tau-stage (.* --cluster local .*)$", PAGE, re.MULTILINE)
        command = [sys.executable, "-m", "tau_stage", *shlex.split(typed_line)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    else:
        with start_blocking_portal("asyncio") as portal:
            server = open_gate_server(GateLimits(budget=Decimal(200)), "correct-horse", return_s=0.0)
            with portal.wrap_async_context_manager(server) as gate:
                perform_parts(Path(recipe), gate)
    assert asked.words.total() == 16
