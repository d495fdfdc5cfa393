"""Processes that are forked from one that has loaded what they need: each begins at once, and shares its memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext

from tau_stage.termination import TERMINATING

LONGEST_FOLDER = 70  # bytes of the folder of temporary files in which a socket's path, of 104 at most, has its place

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Lets numpy have no threads: a process that has some is not forked safely, and each of ours has a core at most."""


def process_context(modules: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return what starts processes: forks of one that has loaded ``modules``, where there can be one.

    That one is started now, if none runs yet. Signals that end a process do not reach it; a fork gives them way again
    when it calls ``take_over``.
    """
    if os.name != "posix" or len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*modules])
    with _signals_blocked(), _environment_with(ONE_THREAD):
        forkserver.ensure_running()
    return context


def take_over(environment: Mapping[str, str]) -> None:
    """Take over the environment of the process that has started this one, and let signals reach it."""
    os.environ.clear()
    os.environ.update(environment)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATING)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals that end a process, also in what is started meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment_with(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        for name in more:
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in more if name in before})
