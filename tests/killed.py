"""Kills a performance with SIGKILL at instants of its journal, resumes it, and compares it with an undisturbed one.

``python -m tests.killed 25`` prints what came of 25 instants.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from tau_stage.audio.wav import read_wav
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import read_journal
from tau_stage.take.model import Take
from tau_stage.understudy.ensemble import Ensemble
from tau_stage.understudy.server import Understudy, open_understudy

SCENE = """
scene: Killed
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}
pause: 100ms
lines:
  - ann: Good evening to you all.
  - bob: Is it?
  - together: [{cid: It was.}, {ann: It is.}]
  - bob: Now what?
  - improvise: {players: [ann, bob, cid], about: the rain, turns: 3}
  - cid: Good night.
limits: {start_rate: 100/s}
deliver: {mix: none}
"""


@dataclass(frozen=True)
class Found:
    """What came of one kill.

    Attributes:
        records: When the process was killed: its journal had so many records,
        wait_s: so many seconds ago.
        finished: Lines that were finished by then.
        asked_again: Those of them that the understudy was asked for again.
        is_same: Whether lines and stems are those of the undisturbed performance, byte for byte.
        exit_code: Of the resumption.
    """

    records: int
    wait_s: float
    finished: int
    asked_again: tuple[str, ...]
    is_same: bool
    exit_code: int

    @property
    def is_fine(self) -> bool:
        """Whether nothing was lost, and nothing paid twice."""
        return self.is_same and not self.asked_again and not self.exit_code


@contextmanager
def house() -> Iterator[tuple[Understudy, str]]:
    """An understudy in this process that keeps its bills, and its address."""
    understudy = Understudy(Ensemble(), keeps_visits=True)
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_understudy(understudy)) as url,
    ):
        yield understudy, url


def begin(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    """The program, in a process of its own."""
    left = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    command = [sys.executable, "-m", "tau_stage.cli.main", *arguments]
    return subprocess.Popen(command, cwd=cwd, env=left, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def performed(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """What is the same however often a take was stopped: its lines and its sounds; marks tell the time."""
    take = Take.model_validate_json((folder / "take.json").read_bytes())
    same = {"id", "number", "player", "said", "offset_samples", "samples", "file", "sha256", "ended"}
    lines = sorted(take.lines, key=lambda line: line.number)
    names = [folder / str(line.file) for line in lines] + sorted((folder / "stems").iterdir())
    told = [line.model_dump(include=same) | {"hearers": [each.player for each in line.hearers]} for line in lines]
    return told, {path.name: read_wav(path).data for path in names}


def undisturbed(url: str, place: Path) -> Path:
    """A performance that nobody stops."""
    with begin("run", "killed.yaml", "--endpoint", url, "--quiet", "--out", "whole", cwd=place) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    return place / out.decode().strip()


def killed(understudy: Understudy, url: str, whole: Path, records: int, wait_s: float) -> Found:
    """One performance that is killed when its journal has so many records, and a little later; then resumed."""
    place = whole.parents[2]
    shutil.rmtree(place / "takes", ignore_errors=True)
    with begin("run", "killed.yaml", "--endpoint", url, "--quiet", cwd=place) as process:
        began = time.monotonic()
        while not any(path.read_bytes().count(b"\n") >= records for path in place.glob("takes/killed/*/journal.jsonl")):
            assert time.monotonic() < began + 30, "nothing was performed"
            time.sleep(0.001)
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
    folder = TakeFolder(next(place.glob("takes/killed/2*")))
    finished = {fact.line for fact in read_journal(folder.journal) if isinstance(fact, record.LineSpoken)}
    visits = len(understudy.visits)
    with begin("resume", str(folder.path), "--quiet", cwd=place) as process:
        _, err = process.communicate()
    journal = read_journal(folder.journal)
    billed = {response for visit in understudy.visits[visits:] for response in visit.bill}
    line_of = {fact.response: fact.line for fact in journal if isinstance(fact, record.LineSpoken)}
    if process.returncode:
        sys.stderr.write(err.decode())
        return Found(records, wait_s, len(finished), (), is_same=False, exit_code=process.returncode)
    again = tuple(sorted(line for response in billed if (line := line_of.get(response, "?")) in {*finished, "?"}))
    return Found(records, wait_s, len(finished), again, performed(folder.path) == performed(whole), process.returncode)


def campaign(instants: int) -> Iterator[Found]:
    """So many kills of one scene, spread over it."""
    with tempfile.TemporaryDirectory() as scratch, house() as (understudy, url):
        place = Path(scratch)
        (place / "killed.yaml").write_text(SCENE)
        whole = undisturbed(url, place)
        records = len(read_journal(whole / "journal.jsonl"))
        for number in range(instants):
            after = 1 + number * (records - 2) // max(1, instants - 1)
            yield killed(understudy, url, whole, after, (number % 5) * 0.004)


def main(instants: int) -> None:
    began = time.monotonic()
    found = []
    for each in campaign(instants):
        found.append(each)
        sys.stdout.write(f"{json.dumps(asdict(each))}\n")
        sys.stdout.flush()
    wrong = [each for each in found if not each.is_fine]
    took_s = time.monotonic() - began
    sys.stdout.write(f"{len(found)} kills, {len(wrong)} violations, {took_s:.1f} s\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
