"""The ledger of a batch: who works on which job, what is done, and what has failed, as documents in the store.

A job has one document, ``jobs/<name>.json``, once it was performed, and claims while somebody performs it:
``claims/<name>.<number>.json``. A claim is made if absent, so that one worker has it. It is renewed while the job runs.
When it is not renewed, or its process is gone, another worker makes the claim with the next number, and so again only
one does. Whoever finds a higher number than its own, or its own gone, has lost the job.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tau_stage.batch.store import Store
from tau_stage.environment import is_running
from tau_stage.errors import StageError, TakeError
from tau_stage.take import parse_document

CLAIM_S = 60.0
"""Seconds after which a claim that nobody has renewed may be taken over from another machine."""

CLOCKS_S = timedelta(seconds=60)
"""How much the clocks of two machines may differ. One that has watched a claim needs no other's clock."""

ZERO = Decimal(0)
State = Literal["done", "failed", "stopped"]
Document = TypeVar("Document", bound="LedgerPart")


class LedgerPart(BaseModel):
    """What all documents of a ledger share: they never change, and a newer tau-stage may write more into them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1


class JobResult(LedgerPart):
    """What came of a job the last time that it was performed.

    Attributes:
        state: done; failed: a line has no sound, or a provider failed; stopped: it goes on in the next run.
        ended: How its take ended.
        code: The exit code of its performance.
        fingerprint: Hash of all that its take depended on.
        take: The folder of its take, in the store.
        lines: Of its take; ``seconds``: how long it is; ``outdated``: lines that heard others otherwise.
        paid: Estimated dollars by take, as far as they are known: all that was performed for the job.
        rehearsed: Those of these takes on which nothing was spent, as the understudy played.
        finished: UTC.
    """

    job: str
    state: State
    ended: str
    problem: str = ""
    code: int = 0
    fingerprint: str = ""
    take: str = ""
    lines: int = 0
    seconds: float = 0.0
    outdated: int = 0
    paid: dict[str, Decimal] = {}
    rehearsed: tuple[str, ...] = ()
    finished: str = ""
    owner: str = ""

    @property
    def dollars(self) -> Decimal:
        """All that the job has cost."""
        return sum(self.paid.values(), ZERO)

    @property
    def unspent(self) -> Decimal:
        """What of that was not spent: what rehearsals would have cost."""
        return sum((self.paid[take] for take in self.rehearsed), ZERO)


class Claim(LedgerPart):
    """Who performs a job, and until when nobody else may.

    Attributes:
        number: Which claim of the job it is, from 1.
        owner: The worker.
        host: Its machine.
        pid: Its process there.
        until: UTC.
        lines: That are finished.
        dollars: That the job has cost so far; ``unspent``: what of that rehearsals would have cost.
    """

    job: str
    number: int
    owner: str
    host: str
    pid: int
    until: datetime
    lines: int = 0
    dollars: Decimal = ZERO
    unspent: Decimal = ZERO

    @property
    def document(self) -> str:
        """Its name in the store."""
        return f"claims/{self.job}.{self.number}.json"


def machine() -> str:
    """Name this machine: one on which a process has its number. Containers may share a host's name."""
    facts = [socket.gethostname()]
    with suppress(OSError):
        facts += [
            Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(facts)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The documents of one batch, as one worker reads and writes them.

    Attributes:
        owner: The worker.
        claim_s: Seconds that a claim holds.
        now: Tells the time, UTC.
        host: The machine.
        is_gone: Tells whether a process of this machine is gone.
    """

    store: Store
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}")
    claim_s: float = CLAIM_S
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    host: str = field(default_factory=machine)
    is_gone: Callable[[int], bool] = lambda pid: not is_running(pid)
    _seen: dict[str, tuple[Claim, datetime]] = field(default_factory=dict)

    # ---- results

    def result(self, job: str) -> JobResult | None:
        """Read what came of a job; None where it was never performed to an end."""
        name = _document(job)
        data = self.store.read(name)
        return None if data is None else self._parsed(JobResult, name, data)

    def results(self) -> dict[str, JobResult]:
        """Read what came of all jobs, by name."""
        documents = self.store.read_all("jobs")
        found = (self._parsed(JobResult, name, data) for name, data in documents.items())
        return {result.job: result for result in found}

    def write(self, result: JobResult) -> None:
        """Write down what came of a job."""
        self.store.write(_document(result.job), _data(result))

    def _parsed(self, kind: type[Document], name: str, data: bytes) -> Document:
        return parse_document(kind, data, self.store.address(name), "document of a batch", "delete it", _refused)

    # ---- claims

    def claims(self) -> dict[str, Claim]:
        """Read the claim that counts of each job that is performed, or was when its worker ended, by name."""
        return _newest(_claim(name, data) for name, data in self.store.read_all("claims").items())

    def claim(self, job: str) -> Claim | None:
        """Make the claim of a job; None where somebody else performs it now."""
        before = self._claims_of(job)
        last = max(before, key=lambda claim: claim.number, default=None)
        if last and not self.is_over(last):
            return None
        number = last.number + 1 if last else 1
        made = self._own(job, number, last)
        if not self.store.create(made.document, _data(made)):
            return None
        for old in before:
            self.store.delete(old.document)
        return made

    def renew(self, claim: Claim, **facts: object) -> Claim | None:
        """Let a claim hold on, with what has come of its job so far; None where the job is somebody else's now."""
        if not self._holds(claim):
            return None
        renewed = claim.model_copy(update={**facts, "until": self._until()})
        self.store.write(renewed.document, _data(renewed))
        return renewed

    def release(self, claim: Claim) -> None:
        """Give a job up, whatever has come of it; what somebody else claims now stays."""
        data = self.store.read(claim.document)
        if data is not None and _claim(claim.document, data).owner == claim.owner:
            self.store.delete(claim.document)

    def _holds(self, claim: Claim) -> bool:
        """Tell whether a claim is the newest of its job; a number comes again when a claim was given up."""
        newest = max(self._claims_of(claim.job), key=lambda each: each.number, default=None)
        return newest is not None and (newest.number, newest.owner) == (claim.number, claim.owner)

    def is_over(self, claim: Claim) -> bool:
        """Tell whether another worker may take a job over: its clock, or ours, may be wrong."""
        now = self.now()
        seen, since = self._seen.get(claim.job, (claim, now))
        if seen != claim:
            since = now
        self._seen[claim.job] = claim, since
        is_stale = claim.until + CLOCKS_S <= now or since + timedelta(seconds=self.claim_s) <= now
        return is_stale or (claim.host == self.host and self.is_gone(claim.pid))

    def _claims_of(self, job: str) -> list[Claim]:
        documents = self.store.read_all(f"claims/{job.rpartition('/')[0]}".rstrip("/"))
        return [claim for name, data in documents.items() if (claim := _claim(name, data)).job == job]

    def _own(self, job: str, number: int, last: Claim | None) -> Claim:
        cost = last.model_dump(include={"dollars", "unspent"}) if last else {}
        about = {"owner": self.owner, "host": self.host, "pid": os.getpid(), "until": self._until()}
        return Claim(job=job, number=number, **about, **cost)

    def _until(self) -> datetime:
        return self.now() + timedelta(seconds=self.claim_s)


def spent(results: Mapping[str, JobResult], claims: Mapping[str, Claim]) -> Decimal:
    """Add up what was spent on the jobs of a batch, those under way as far as it is written down."""
    return _sum(results, claims, lambda document: document.dollars - document.unspent or ZERO)


def rehearsed(results: Mapping[str, JobResult], claims: Mapping[str, Claim]) -> Decimal:
    """Add up what rehearsals of the jobs of a batch on the understudy would have cost."""
    return _sum(results, claims, lambda document: document.unspent)


def _sum(
    results: Mapping[str, JobResult], claims: Mapping[str, Claim], cost: Callable[[JobResult | Claim], Decimal]
) -> Decimal:
    both = ((results.get(name), claims.get(name)) for name in results.keys() | claims.keys())
    return sum((max(cost(document) for document in found if document) for found in both), ZERO)


def _document(job: str) -> str:
    return f"jobs/{job}.json"


def _data(document: LedgerPart) -> bytes:
    return document.model_dump_json(indent=1).encode() + b"\n"


def _claim(name: str, data: bytes) -> Claim:
    """Read a claim; one that was cut while it was written is over."""
    try:
        return Claim.model_validate_json(data)
    except ValidationError:
        job, _, number = name.removeprefix("claims/").removesuffix(".json").rpartition(".")
        known = int(number) if number.isdecimal() else 0  # a file of somebody else's counts for nothing
        return Claim(job=job, number=known, owner="", host="", pid=0, until=datetime.min.replace(tzinfo=UTC))


def _newest(claims: Iterable[Claim]) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    for claim in claims:
        if claim.job not in found or found[claim.job].number < claim.number:
            found[claim.job] = claim
    return found


def _refused(path: str, problem: str, hint: str) -> StageError:
    return TakeError(path, problem, hint)
