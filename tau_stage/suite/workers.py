"""Processes that test scenes: one that is killed costs its own scene only, and none outlives the test.

Each has a pool of its own, so that it is known what it was at when it was killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

ENDING_S = 5.0
"""Seconds that a process has to end its tools before it is killed."""

_TERMINATED = 128 + signal.SIGTERM

_told_to_end = threading.Event()
"""Of this process, where it is one that a test has started."""


def spread(
    work: Callable[[Item], Outcome], items: Sequence[Item], processes: int, killed: Callable[[Item], Outcome]
) -> Iterator[Outcome]:
    """Work on items in several processes.

    Args:
        work: A function that another process can import.
        items: Each is worked on once, whatever becomes of its process.
        processes: How many work at a time.
        killed: What becomes of an item whose process was killed.

    Yields:
        What becomes of each, in order.
    """
    waiting = deque(enumerate(items))
    running: dict[Future[Outcome], tuple[int, ProcessPoolExecutor]] = {}
    done: dict[int, Outcome] = {}

    def begin(pool: ProcessPoolExecutor) -> None:
        if waiting:
            number, item = waiting.popleft()
            running[pool.submit(partial(_end_or, work), item)] = number, pool
        else:
            pool.shutdown()

    try:
        for _ in range(min(processes, len(items))):
            begin(_new_pool())
        for number in range(len(items)):
            while number not in done:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    at, pool = running.pop(future)
                    try:
                        done[at] = future.result()
                    except BrokenProcessPool:
                        done[at] = killed(items[at])
                        pool.shutdown()
                        pool = _new_pool()
                    begin(pool)
            yield done.pop(number)
    finally:
        if running:
            _end_all(pool for _, pool in running.values())


def _new_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin)


def _end_all(pools: Iterator[ProcessPoolExecutor]) -> None:
    """End all processes that are still at work, and whatever they have started."""
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    for child in children:
        child.join(ENDING_S)
        child.kill()
    for pool in pools:
        pool.shutdown(cancel_futures=True)


# ---- in the other process


def _begin() -> None:
    """Leave it to the parent to end this process: a Ctrl-C reaches both, and only the parent knows what to say."""
    signal.signal(signal.SIGINT, _ignore)
    signal.signal(signal.SIGTERM, _leave)
    if hangup := getattr(signal, "SIGHUP", None):
        signal.signal(hangup, _ignore)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. What is ignored, programs that are started would inherit; this they do not."""


def _leave(_number: int, _frame: FrameType | None) -> None:
    if _told_to_end.is_set():
        return  # it ends already, and must come to an end with that
    _told_to_end.set()
    sys.exit(_TERMINATED)


def _end_or(work: Callable[[Item], Outcome], item: Item) -> Outcome:
    """Work on an item; when this process is told to end meanwhile, its tools are ended first.

    What was raised to end it may come out in a group, or not at all, where it struck something that swallows it.
    """
    try:
        return work(item)
    finally:
        if _told_to_end.is_set():
            _exit()


def _end_with_parent() -> None:
    """End this process when the parent has gone, however that went."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        threading.main_thread().join(ENDING_S)
        _exit()


def _exit() -> NoReturn:
    """End this process, and the groups of its children: a tool that was starting when the signal came has no owner.

    The children are read from Linux's ``/proc``; elsewhere only owners end their tools.
    """
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                with suppress(OSError):
                    if os.getpgid(child) == child:
                        os.killpg(child, signal.SIGKILL)
    os._exit(_TERMINATED)
