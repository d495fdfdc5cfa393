"""Python in forks of a process that has loaded what every program of ours loads.

A new interpreter takes longer to load it than most tests take for all else. What a fork cannot show is how an
interpreter begins: its options, what it loads, streams that are closed before.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from typing import Self

from tau_stage.processes import TERMINATING

Limit = tuple[int, int, int]
"""A resource, and how much of it a process may have: its soft and its hard limit."""


class ForkedPython:
    """Python in a process that leads a session of its own; used as ``subprocess.Popen`` is.

    Args:
        arguments: Of an interpreter; they begin with ``-m`` or ``-c``.
        cwd: Where it works; without it, where this process does.
        env: Its environment; without it, that of this process.
        stdin: A descriptor; without it, a pipe.
        stdout: The same.
        stderr: The same.
        limit: What it may have.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        limit: Limit | None = None,
    ) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(["tests.support.preloaded"])
        (its_in, ours_in), (ours_out, its_out), (ours_err, its_err) = (context.Pipe(duplex=False) for _ in range(3))
        self.stdin = os.fdopen(os.dup(ours_in.fileno()), "w", encoding="utf-8")
        self.stdout = os.fdopen(os.dup(ours_out.fileno()), encoding="utf-8")
        self.stderr = os.fdopen(os.dup(ours_err.fileno()), encoding="utf-8")
        given = zip((stdin, stdout, stderr), (its_in, its_out, its_err), strict=True)
        ends = [pipe if number is None else Connection(os.dup(number)) for number, pipe in given]
        environment = dict(os.environ if env is None else env)
        self._process = context.Process(target=_run, args=(arguments, cwd or Path.cwd(), environment, ends, limit))
        self._process.start()
        self.pid = self._process.pid or 0
        for end in {its_in, ours_in, ours_out, its_out, ours_err, its_err, *ends}:
            end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.wait()
        self.stdout.close()
        self.stderr.close()

    @property
    def returncode(self) -> int | None:
        """Its exit code; negative, the number of a signal."""
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self.returncode

    def communicate(self, given: str = "") -> tuple[str, str]:
        """Give it its input, and wait for its end; what it has printed."""
        with suppress(BrokenPipeError):
            self.stdin.write(given)
            self.stdin.close()
        with ThreadPoolExecutor() as pool:
            out, err = pool.map(lambda stream: stream.read(), (self.stdout, self.stderr))
        self.wait()
        return out, err

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def python(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    given: str = "",
    limit: Limit | None = None,
) -> CompletedProcess[str]:
    """Run Python to its end; used as ``subprocess.run`` is."""
    with ForkedPython(*arguments, cwd=cwd, env=env, limit=limit) as process:
        out, err = process.communicate(given)
        return CompletedProcess(arguments, process.wait() or 0, out, err)


def _run(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], ends: Sequence[Connection], limit: Limit | None
) -> None:
    os.setsid()
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, TERMINATING
    )  # a program of ours may have started what forks, without them
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", 1 if "PYTHONUNBUFFERED" in env or os.isatty(1) else -1, "utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, "utf-8", "backslashreplace", closefd=False)
    if limit:
        import resource

        resource.setrlimit(limit[0], limit[1:])
    kind, what, *words = arguments
    sys.argv = [kind, *words]
    sys.path.insert(0, str(cwd))
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = program = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(program))  # noqa: S102 - as an interpreter does
