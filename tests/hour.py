"""Mixes a synthetic hour of twelve stems in this process, and prints what came of it; the files are sparse."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.protocol.usage import Usage
from tau_stage.scene.delivery_options import Mix
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.mixing import mix
from tests.test_take import BEGAN, spoken

PLAYERS = [f"player-{number}" for number in range(12)]
HOUR = 3600 * RATE
LINE = 3 * RATE
EVERY = 60 * RATE


def main(path: Path, loud: float) -> None:
    roles = tuple(BEGAN.roles[0].model_copy(update={"name": name}) for name in PLAYERS)
    opened = [record.PlayerOpened(player=name, session="s", attempts=1, took_s=0.0) for name in PLAYERS]
    last = spoken("end", PLAYERS[0], LINE, Usage(), offset_samples=HOUR - LINE)
    take = fold([BEGAN.model_copy(update={"roles": roles}), *opened, last])
    (path / "stems").mkdir(parents=True)
    random = np.random.default_rng(7)
    audio = Pcm.from_array((loud * random.normal(0, 1, LINE) ** 5).clip(-1, 1))
    for number, name in enumerate(PLAYERS):
        with WavWriter(path / "stems" / f"{name}.wav") as stem:
            for at in range(number * 5 * RATE, HOUR - LINE, EVERY):
                stem.silence(at - stem.samples)
                stem.append(audio)
            stem.silence(HOUR - stem.samples)
    before = time.perf_counter()
    mixed = mix(TakeFolder(path), take, Mix())
    took_s = time.perf_counter() - before
    told = {"mb": peak_mb(), "took_s": took_s, "lufs": mixed.lufs, "dbtp": mixed.peak_dbtp, "limited": mixed.limited}
    sys.stdout.write(json.dumps(told))


def peak_mb() -> float:
    """The most memory this program had; what the process that started it had counts for getrusage, too."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
