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
from functools import partial
from types import FrameType
from typing import NoReturn, TypeVar

from tau_stage.processes import TERMINATING, process_context, take_over

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

ENDING_S = 5.0  # seconds that a process has to end its tools before it is killed

_TERMINATED = 128 + signal.SIGTERM

_told_to_end = threading.Event()  # of this process, where it is one that a test has started


def run_in_processes(
    work: Callable[[Item], Outcome], items: Sequence[Item], processes: int, killed: Callable[[Item], Outcome]
) -> Iterator[Outcome]:
    """Work on items in so many processes at a time; yield what becomes of each, in order.

    Another process can import ``work``. Each item is worked on once: ``killed`` tells what becomes of one whose process
    was killed.
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
    """Return a pool of one process: a fork of one that has loaded what tests a scene, where there can be one."""
    context = process_context(["tau_stage.suite.execution"])
    return ProcessPoolExecutor(1, context, initializer=_begin, initargs=(dict(os.environ),))


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


def _begin(environment: dict[str, str]) -> None:
    """Take over the parent's environment; end this process in silence with every signal that does.

    A Ctrl-C reaches the parent too, which says so.
    """
    for number in TERMINATING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    take_over(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    _told_to_end.set()
    sys.exit(_TERMINATED)


def _end_or(work: Callable[[Item], Outcome], item: Item) -> Outcome:
    """Work on an item; end this process afterwards, if it is told to meanwhile.

    What was raised to end it may come out in a group, or not at all, where it struck something that swallows it.
    """
    try:
        return work(item)
    finally:
        if _told_to_end.is_set():
            os._exit(_TERMINATED)


def _end_with_parent() -> None:
    """End this process when the parent has gone, however that went."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        threading.main_thread().join(ENDING_S)
        os._exit(_TERMINATED)
