"""Workers in processes of their own: they are started, heard, started again when they are killed, and ended.

A worker ends when its standard input does, so that none outlives the process that has started it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tau_stage.errors import UsageError

LONGEST_LINE = 1024 * 1024
MOST_DEATHS = 20
"""Workers that may be killed one after another while no line is finished."""

ENDING_S = 10.0
"""Seconds that workers have to leave their takes, when somebody wants them to end at once."""


class WorkerProcesses:
    """Processes that work on one batch.

    Args:
        command: What starts one.
        environment: Of each of them.
        hear: Is given each line that one writes; it tells whether a line was finished, or a job.
        is_done: Tells whether there is nothing left to do, and so none that is killed is started again.

    Attributes:
        codes: What they have ended with, those that were killed left out.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        hear: Callable[[bytes], bool],
        is_done: Callable[[], bool],
    ) -> None:
        self._command = command
        self._environment = environment
        self._hear = hear
        self._is_done = is_done
        self._deaths = 0
        self.codes: list[int] = []

    async def run(self, number: int, stop: anyio.Event) -> None:
        """Let so many processes work until each has nothing left to do, or ``stop`` is set.

        Raises:
            UsageError: They are killed, one after another, and nothing comes of it.
        """
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(self._keep_one, stop)

    async def _keep_one(self, stop: anyio.Event) -> None:
        while not (stop.is_set() or self._is_done()):
            code = await self._run_one(stop)
            if code >= 0:
                self.codes.append(code)
                return
            self._deaths += 1
            if self._deaths > MOST_DEATHS:
                problem = f"{self._deaths} workers were killed one after another, the last by signal {-code}"
                raise UsageError(problem, "look for what kills them: memory, most often; use fewer --workers")

    async def _run_one(self, stop: anyio.Event) -> int:
        """Run one process to its end; what it was ended with, below zero for a signal."""
        async with await anyio.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            env=self._environment,
            start_new_session=True,
        ) as process:
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(_close_at_stop, process, stop)
                    await self._listen(process)
                    code = await process.wait()
                    group.cancel_scope.cancel()
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True), anyio.move_on_after(ENDING_S):
                    await _end_at_once(process)
                raise
        return code

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        reading = BufferedByteReceiveStream(process.stdout)
        while True:
            try:
                line = await reading.receive_until(b"\n", LONGEST_LINE)
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError):
                return
            if self._hear(line):
                self._deaths = 0


async def _close_at_stop(process: Process, stop: anyio.Event) -> None:
    await stop.wait()
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    await process.stdin.aclose()


async def _end_at_once(process: Process) -> None:
    """Let a process close its sessions and leave its takes, and do nothing else."""
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    await process.stdin.aclose()
    if process.returncode is None:
        process.terminate()
        await process.wait()
