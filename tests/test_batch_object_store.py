"""An object store of a batch: what it does not answer is no document that is missing, and journals tell no lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tau_stage.batch.ledger import Ledger
from tau_stage.batch.store import ObjectStore
from tau_stage.errors import TakeError

JOB = "de/scenes/hat"


class Bucket(MemoryFileSystem):  # type: ignore[misc]
    """A bucket that may be disturbed."""

    cachable = False
    silent = ""
    put: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def get_file(self, rpath: str, lpath: str, *args: Any, **kwargs: Any) -> None:
        self.fetched.append(rpath)
        super().get_file(rpath, lpath, *args, **kwargs)

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        if self.silent and self.silent in path:
            raise TimeoutError("it does not answer")
        data: bytes = super().cat_file(path, *args, **kwargs)
        return data

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        super().put_file(lpath, rpath, *args, **kwargs)
        if self.put:
            self.put(lpath)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    yield Bucket()
    MemoryFileSystem.store.clear()


@pytest.fixture
def store(bucket: Bucket) -> ObjectStore:
    return ObjectStore("memory://out", bucket, "/out")


def test_a_claim_that_cannot_be_read_is_not_taken_for_none(bucket: Bucket, store: ObjectStore) -> None:
    ledger = Ledger(store, is_gone=lambda _pid: True)
    assert ledger.claim(JOB)
    assert ledger.claim(JOB)  # it was taken over: its number is 2
    bucket.silent = "claims/"
    with pytest.raises(TakeError, match=r"claims.*does not answer"):
        ledger.claim(JOB)
    bucket.silent = ""
    assert ledger.claims()[JOB].number == 2


def test_a_journal_is_pushed_as_it_was_before_the_files_it_tells_of(bucket: Bucket, store: ObjectStore) -> None:
    take = store.home / "takes" / "hat"
    (take / "lines").mkdir(parents=True)
    (take / "lines" / "1.wav").write_bytes(b"one")
    (take / "journal.jsonl").write_text("one\n")

    def finish_a_line(_path: str) -> None:
        bucket.put = None
        (take / "lines" / "2.wav").write_bytes(b"two")
        (take / "journal.jsonl").write_text("one\ntwo\n")

    bucket.put = finish_a_line
    store.push("takes/hat")
    assert bucket.cat_file("/out/takes/hat/journal.jsonl") == b"one\n"
    store.push("takes/hat")
    assert bucket.cat_file("/out/takes/hat/journal.jsonl") == b"one\ntwo\n"
    assert Path(bucket.find("/out/takes/hat/lines")[-1]).name == "2.wav"


def test_what_is_in_the_store_is_forgotten_here_and_comes_back(store: ObjectStore) -> None:
    take = store.home / "takes" / "hat"
    (take / "lines").mkdir(parents=True)
    (take / "journal.jsonl").write_text("one\n")
    (take / "lines" / "1.wav").write_bytes(b"one")
    store.push("takes/hat")
    store.forget("takes/hat")
    assert not take.exists()
    store.push("takes/hat")
    store.pull("takes/hat")
    assert (take / "lines" / "1.wav").read_bytes() == b"one"


def test_a_plan_fetches_journals_and_of_sounds_only_their_names(bucket: Bucket, store: ObjectStore) -> None:
    for name in ("journal.jsonl", "take.json", "lines/1.wav"):
        bucket.pipe_file(f"/out/takes/hat/2026/{name}", name.encode())
    store.pull_journals("takes/hat")
    assert bucket.fetched == ["/out/takes/hat/2026/journal.jsonl"]
    take = store.home / "takes/hat/2026"
    assert (take / "journal.jsonl").read_bytes() == b"journal.jsonl"
    assert (take / "lines/1.wav").read_bytes() == b""
    store.push("takes/hat")
    store.pull("takes/hat")
    assert (take / "lines/1.wav").read_bytes() == b"lines/1.wav"
