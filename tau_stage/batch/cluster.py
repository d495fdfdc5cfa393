"""Run the jobs of a batch as tasks of a Dask cluster: of this machine, or one whose scheduler is there already.

Theory of operation
===================

A task is one job. It claims the job in the ledger as every worker does, so that a task which Dask performs again, as
its worker has died, goes on with what is there, or finds that all is done. A task gives back a few hundred bytes, and
is forgotten by the scheduler once they are here.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from tau_stage.batch.batch_file import Batch
from tau_stage.batch.jobs import BatchJob
from tau_stage.batch.ledger import Ledger
from tau_stage.batch.store import open_store
from tau_stage.batch.worker import BatchObserver, Outcome, WorkerOptions, run_batch
from tau_stage.errors import StageError, UsageError, os_reason, unwrapped
from tau_stage.gate import PATIENCE_S, open_gate

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

LOCAL = "local"
LOOK_S = 2.0
"""Seconds between two looks of a task at whether it is to stop."""

MOST_DEATHS = 100
"""Workers that may die with one task: the ledger knows what is done, so that another goes on."""

CONNECTING_S = 10.0


@dataclass(frozen=True, slots=True)
class ClusterTask:
    """One job, as it travels to a worker of the cluster; ``token`` is the gate's, ``stop`` the name of an event."""

    batch: Batch
    job: BatchJob
    options: WorkerOptions
    gate: str
    token: str = field(repr=False)  # Dask writes tasks that fail into its logs
    stop: str


def perform_task(task: ClusterTask) -> Outcome | StageError | None:
    """Perform a job in a worker of the cluster; None where all is to stop.

    An error of ours is given back bare: Dask would send all that it came of, and an error of no kind where it cannot.
    """
    from distributed import Event

    stop = Event(task.stop)
    if stop.is_set():
        return None
    try:
        with unwrapped():
            return anyio.run(_perform, task, partial(stop.wait, f"{LOOK_S} s"))
    except StageError as error:
        return copy(error)


async def _perform(task: ClusterTask, waits: Callable[[], bool]) -> Outcome | None:
    ledger = Ledger(open_store(task.batch.home))
    ending = _OutcomeKeeper()
    async with open_gate(task.gate, task.token, first_patience_s=PATIENCE_S) as gate:  # its starter has looked
        run = partial(run_batch, gate=gate, observer=ending, stopping=_until(waits))
        await run(task.batch, [task.job], ledger, task.options)
    return ending.outcome


class _OutcomeKeeper(BatchObserver):
    """Keeps what came of one job."""

    outcome: Outcome | None = None

    def end(self, outcome: Outcome) -> None:
        """Keep it."""
        self.outcome = outcome


@asynccontextmanager
async def _until(waits: Callable[[], bool]) -> AsyncIterator[anyio.Event]:
    """Make an event that is set as soon as something in a thread says so."""
    stop = anyio.Event()

    async def watch() -> None:
        while not await anyio.to_thread.run_sync(waits, abandon_on_cancel=True):
            pass
        stop.set()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        yield stop
        group.cancel_scope.cancel()


class DaskCluster:
    """A cluster that performs tasks.

    Attributes:
        client: Of the scheduler.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def own_address(self) -> str:
        """The address of this machine that the scheduler's machine reaches."""
        from distributed.utils import get_ip

        host = self.client.scheduler.address.rpartition("://")[2].rpartition(":")[0].strip("[]")
        return str(get_ip(host))

    def perform(self, tasks: Sequence[ClusterTask]) -> Iterator[Outcome]:
        """Perform tasks, and yield what came of each job as soon as it is over.

        Raises:
            StageError: A job cannot be performed where it is.
        """
        from distributed import KilledWorker, as_completed

        deaths = dict.fromkeys((task.job.name for task in tasks), 0)
        under_way = {self._submit(task): task for task in tasks}
        completed = as_completed(list(under_way))
        for future in completed:
            task = under_way.pop(future)
            failure = future.exception() if future.status == "error" else None
            outcome = None if failure else future.result()
            future.release()
            if isinstance(failure, KilledWorker) and deaths[task.job.name] < MOST_DEATHS:
                deaths[task.job.name] += 1
                under_way[again := self._submit(task)] = task
                completed.add(again)
            elif failure:
                raise failure
            elif isinstance(outcome, StageError):
                raise outcome
            elif outcome:
                yield outcome

    def _submit(self, task: ClusterTask) -> Any:
        return self.client.submit(perform_task, task, pure=False, retries=0)

    def stop(self, name: str) -> None:
        """Let lines under way come to their ends, and nothing else begin."""
        from distributed import Event

        Event(name, client=self.client).set()


@contextmanager
def open_cluster(address: str, *, workers: int | None = None, at_once: int = 1) -> Iterator[DaskCluster]:
    """Open a cluster: ``local``, of processes of this machine, or that of a scheduler, like ``tcp://host:8786``.

    Args:
        address: Which.
        workers: Processes of a local one; None: as many as there are cores.
        at_once: Jobs that each of them performs at the same time.

    Raises:
        UsageError: Dask is not installed, or the scheduler is not there.
    """
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise UsageError(
            "--cluster requires Dask, which is not installed", "pip install 'tau-stage[cluster]'"
        ) from None
    if address != LOCAL and "://" not in address:
        raise UsageError(
            f"--cluster: invalid address '{address}'",
            "use 'local', or a scheduler address, for example tcp://10.0.0.5:8786",
        )
    many = {"distributed.scheduler.allowed-failures": MOST_DEATHS, "distributed.comm.timeouts.connect": CONNECTING_S}
    with dask.config.set(many):
        if address == LOCAL:
            with _local_cluster(workers, at_once) as cluster, Client(cluster) as client:
                yield DaskCluster(client)
            return
        with _client_of(address) as client:
            yield DaskCluster(client)


def _local_cluster(workers: int | None, at_once: int) -> LocalCluster:
    from distributed import LocalCluster

    shape = {"n_workers": workers, "threads_per_worker": at_once, "dashboard_address": "127.0.0.1:0"}
    try:
        return LocalCluster(**shape, silence_logs=logging.ERROR)
    except RuntimeError as error:  # a worker was killed, or has no memory, before it began
        hint = "use fewer --workers"
        raise UsageError(f"cannot start the local cluster: {error}", hint) from None


def _client_of(address: str) -> Client:
    from distributed import Client

    try:
        return Client(address, timeout=CONNECTING_S)
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        hint = "start a scheduler with 'dask scheduler', and workers with 'dask worker ADDRESS'"
        raise UsageError(f"cannot connect to the scheduler at {address}: {reason}", hint) from None
