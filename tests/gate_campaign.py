"""A campaign of batches whose gate is killed, too: ``python -m tests.gate_campaign --scenes 40 --workers 4``.

Workers are killed (SIGKILL) every two seconds, and their gate every ten; each is started again. Then it looks at what
was left, at what the understudy was asked for, how many openings were under way at once, and how many sessions.
"""

from __future__ import annotations

import argparse
import random
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import environ
from pathlib import Path

from tau_stage.understudy.server import Understudy, Visit
from tests.batch_campaign import BatchCampaign, write_scenes
from tests.campaign import served
from tests.support.batches import Asked

TOKEN = "open sesame"
AWAY_S = 0.5


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to nobody: else a client may dial itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def killed_gate(folder: Path, sessions: int, every_s: float, figures: Counter[str]) -> Iterator[str]:
    """A gate in a process of its own, which is killed every so many seconds, and started again."""
    over, port = threading.Event(), free_port()
    command = [sys.executable, "-m", "tau_stage", "gate", "--port", str(port), "--sessions", str(sessions)]
    command += ["--state", str(folder / "gate.json"), "--budget", "$50"]

    def keep() -> None:
        while not over.is_set():
            with subprocess.Popen(command, stdout=subprocess.PIPE, env={**environ}) as process:
                assert process.stdout
                process.stdout.readline()  # it listens
                over.wait(every_s)
                process.kill()
            figures["gates killed"] += not over.is_set()
            over.wait(AWAY_S)

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        over.set()
        keeper.join()


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """How many spans of time lie over one another at most."""
    changes = sorted([(end, -1) for _, end in spans] + [(begin, 1) for begin, _ in spans])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def crowding(visits: list[Visit], sessions: int, figures: Counter[str]) -> Iterator[str]:
    """What is wrong with how many openings were under way at once, and how many sessions."""
    ended = [(visit, visit.closed_at) for visit in visits if visit.closed_at is not None]
    openings = most_at_once([(visit.opened_at, visit.ready_at or closed) for visit, closed in ended])
    crowd = most_at_once([(visit.opened_at, closed) for visit, closed in ended])
    figures["openings at once"], figures["sessions at once"], figures["openings"] = openings, crowd, len(visits)
    if openings > 1:
        yield f"{openings} openings were under way at once"
    if crowd > sessions:
        yield f"{crowd} sessions were open at once"


def main() -> int:
    """Perform a campaign, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two kills of a worker")
    parser.add_argument("--gate-every", type=float, default=10.0, help="seconds between two kills of the gate")
    parser.add_argument("--most", type=int, default=1_000, help="kills of workers in all")
    given = parser.parse_args()
    environ["TAU_STAGE_GATE_TOKEN"] = TOKEN
    asked, figures = Asked(), Counter[str]()
    understudy = Understudy(asked, pace=2.0, keeps_visits=True)
    with tempfile.TemporaryDirectory() as folder, served(understudy) as (url, _):
        home = Path(folder)
        write_scenes(home, given.scenes)
        with killed_gate(home, given.sessions, given.gate_every, figures) as gate:
            options = ("--workers", str(given.workers), "--jobs", str(given.jobs), "--gate", gate)
            campaign = BatchCampaign(home, url, options, given.every, most=given.most)
            campaign.run()
        problems = [*campaign.problems(asked.words), *crowding(understudy.visits, given.sessions, figures)]
    told = {**campaign.figures, **figures}
    sys.stdout.write("\n".join([*(f"{name}: {count}" for name, count in told.items()), *problems]) + "\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
