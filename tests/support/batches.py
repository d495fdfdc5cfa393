"""Batches in a folder, performed against an understudy that notes what it was asked for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tests.support.tone_voice import Tones
from tests.test_cli_validate import run

SCENE = """
scene: {title}
vars: {{mood: calm}}
limits: {{start_rate: 100/s}}
players: {{ann: {{voice: ash}}, bob: {{voice: sage}}}}
lines:
  - ann: "(${{mood}}) Where is my {title}?"
  - bob: Here is your {title}.
  - ann: Thank you for the {title}.
"""


class Asked(Tones):
    """Notes each line that it is asked to speak, as its words."""

    def __init__(self) -> None:
        self.words: Counter[str] = Counter()

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        spoken = await super().speak(request)
        self.words[spoken.words] += 1
        return spoken

    def take(self) -> Counter[str]:
        """What was asked for since."""
        words, self.words = self.words, Counter()
        return words


def write_batch(batch: str = "scenes: [scenes/*.yaml]\n", *titles: str) -> None:
    """Write a batch file and its scenes into this folder."""
    Path("scenes").mkdir(exist_ok=True)
    for title in titles or ("hat", "key"):
        Path(f"scenes/{title}.yaml").write_text(SCENE.format(title=title))
    Path("batch.yaml").write_text(batch)


class BatchRuns:
    """`tau-stage batch`, at one endpoint."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.url, self._endpoint = url, ("--endpoint", url)
        self._capsys = capsys
        self.err = ""

    def plan(self, *options: str) -> dict[str, Any]:
        """What would be performed."""
        return self._json("plan", *options, code=0)

    def run(self, *options: str, code: int = 0) -> dict[str, Any]:
        """Perform; what came of it."""
        return self._json("run", *options, code=code)

    def _json(self, verb: str, *options: str, code: int) -> dict[str, Any]:
        assert run("batch", verb, "batch.yaml", "--json", *self._endpoint, *options) == code
        out, self.err = self._capsys.readouterr()
        told: dict[str, Any] = json.loads(out)
        return told


class Home:
    """Where a batch leaves everything: a folder."""

    address = "out"

    @property
    def store(self) -> str:
        """What a batch file says of it."""
        return f"store: {self.address}\n"

    def tree(self) -> dict[str, tuple[object, bytes]]:
        """When each file was written, and what it holds."""
        files = (path for path in Path("out").rglob("*") if path.is_file() and not path.is_symlink())
        return {path.relative_to("out").as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


class BucketHome(Home):
    """Where a batch leaves everything: a bucket."""

    def __init__(self, address: str) -> None:
        self.address = address

    def tree(self) -> dict[str, tuple[object, bytes]]:
        """When each object was written, and what it holds."""
        from s3fs import S3FileSystem

        files, root = S3FileSystem(), self.address.removeprefix("s3://")
        files.invalidate_cache()
        found = files.find(root, detail=True)
        return {
            name.removeprefix(f"{root}/"): (str(facts["LastModified"]), files.cat_file(name))
            for name, facts in found.items()
        }
