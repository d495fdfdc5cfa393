"""Workers in processes of their own: they are forked, heard, forked again when they are killed, and ended.

A worker's standard input and output are one end of a socket. It ends when its input does, so that none outlives the
process that has started it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import NoReturn

import anyio
import anyio.to_thread

from tau_stage.errors import UsageError
from tau_stage.processes import process_context, take_over

READ_BYTES = 1 << 16
LONGEST_LINE = 1 << 20
MOST_DEATHS = 10
"""How often each worker may be killed, on average, while no line is finished."""

ENDING_S = 10.0
"""Seconds that workers have to leave their takes, when somebody wants them to end at once."""

FORKER_GONE = 255
"""The exit code of a process whose end nobody has seen: who has forked it was killed, too."""


class WorkerProcesses:
    """Processes that work on one batch.

    Args:
        work: What each does, to its exit code; another process can import it.
        modules: That it needs: they are loaded once, and forked.
        environment: Of each of them.
        hear: Is given each line that one writes; it tells whether a line was finished, or a job.
        is_done: Tells whether there is nothing left to do: all end then, and none that is killed is started again.
        warn: Is given a sentence for each that was killed.

    Attributes:
        codes: What they have ended with before all was done, those that were killed left out.
    """

    def __init__(
        self,
        work: Callable[[], int],
        modules: Sequence[str],
        environment: Mapping[str, str],
        hear: Callable[[bytes], bool],
        is_done: Callable[[], bool],
        warn: Callable[[str], None],
    ) -> None:
        self._work = work
        self._modules = modules
        self._environment = environment
        self._hear = hear
        self._is_done = is_done
        self._warn = warn
        self._forking = anyio.CapacityLimiter(1)
        self._done = anyio.Event()
        self._deaths = 0
        self._killed = 0
        self.codes: list[int] = []

    async def run(self, number: int, stop: anyio.Event) -> None:
        """Let so many processes work until each has nothing left to do, or ``stop`` is set.

        Raises:
            UsageError: They are killed, one after another, and nothing comes of it.
        """
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(self._keep_one, stop, MOST_DEATHS * number)

    async def _keep_one(self, stop: anyio.Event, most_deaths: int) -> None:
        while not (stop.is_set() or self._done.is_set()):
            code = await self._run_one(stop)
            if self._done.is_set():
                return
            if 0 <= code < FORKER_GONE:
                self.codes.append(code)
                return
            self._count_death(code, most_deaths)

    def _count_death(self, code: int, most: int) -> None:
        """Warn of a process that was killed, or give up."""
        self._deaths += 1
        if self._deaths > most:
            how = "" if code == FORKER_GONE else f", the last by signal {-code}"
            problem = f"{self._deaths} workers in a row were killed{how}"
            raise UsageError(problem, "check why they are killed (often a lack of memory), or use fewer --workers")
        self._killed += 1
        by = "" if code == FORKER_GONE else f" by signal {-code}"
        self._warn(f"a worker process was killed{by}; its jobs will be resumed (killed so far: {self._killed})")

    async def _run_one(self, stop: anyio.Event) -> int:
        """Run one process to its end; what it was ended with, below zero for a signal."""
        ours, its = socket.socketpair()
        with ours:
            with its, anyio.CancelScope(shield=True):
                process = await anyio.to_thread.run_sync(self._fork, its, limiter=self._forking)
            if process is None:
                return FORKER_GONE
            try:
                async with anyio.create_task_group() as group:
                    for event in (stop, self._done):
                        group.start_soon(_end_input_at, event, ours)
                    await self._listen(ours)
                    await anyio.wait_readable(process.sentinel)
                    group.cancel_scope.cancel()
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await _end_at_once(process, ours)
                raise
        code = process.exitcode
        process.close()
        return FORKER_GONE if code is None else code

    def _fork(self, its: socket.socket) -> BaseProcess | None:
        """Start a process, once all that it needs is loaded; None where who forks it was killed meanwhile."""
        process = process_context(self._modules).Process(target=_work, args=(self._work, self._environment, its))
        try:
            process.start()
        except (OSError, EOFError):
            return None
        return process

    async def _listen(self, ours: socket.socket) -> None:
        """Hear what a process writes, line by line, until it ends."""
        rest = b""
        with suppress(ConnectionResetError):
            while True:
                await anyio.wait_readable(ours)
                read = ours.recv(READ_BYTES)
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    if self._hear(line):
                        self._deaths = 0
                if self._is_done():
                    self._done.set()
                if not read or len(rest) > LONGEST_LINE:
                    return


async def _end_input_at(event: anyio.Event, ours: socket.socket) -> None:
    await event.wait()
    _end_input(ours)


def _end_input(ours: socket.socket) -> None:
    with suppress(OSError):  # it has ended already
        ours.shutdown(socket.SHUT_WR)


async def _end_at_once(process: BaseProcess, ours: socket.socket) -> None:
    """Let a process close its sessions and leave its takes, and do nothing else."""
    _end_input(ours)
    process.terminate()
    with anyio.move_on_after(ENDING_S):
        await anyio.wait_readable(process.sentinel)
    process.kill()


# ---- in the other process


def _work(work: Callable[[], int], environment: Mapping[str, str], its: socket.socket) -> NoReturn:
    """Work, with a socket for standard input and output, and no terminal whose signals reach it."""
    if hasattr(os, "setsid"):
        os.setsid()
    take_over(environment)
    for number in (0, 1):
        os.dup2(its.fileno(), number)
    its.close()
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.exit(work())
