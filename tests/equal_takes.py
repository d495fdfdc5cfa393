"""Perform scenes with two versions of the house and compare what they leave: ``python -m tests.equal_takes BEFORE``.

BEFORE is an older checkout (``git worktree add /tmp/before REF``), AFTER another one, or this one. Every scene of
``scenes/`` and those of this file are performed by each version in a process of its own, on the understudy. The takes
are compared sample for sample and field for field, but for ids, dates, and seconds measured on a real clock. What only
the newer version tells, a kind of record or a field, is no difference. Each difference is printed; where there
is one, the exit code is 1.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

TOP = Path(__file__).parent.parent

MEASURED = frozenset(
    ("at_s", "first_audio_s", "first_words_s", "heard_at_s", "opened_s", "took_s", "started", "sessions", "session")
) | {"response", "tau_stage", "page", "report"}
"""Fields that differ from one performance to the next, whoever performs."""

IN_ORDER = frozenset(("line_began", "line_spoken", "take_kept", "cue_started", "sound_played", "bed_ended")) | {
    "item_given", "step_skipped", "listen_began", "listen_ended", "take_ended"
}  # fmt: skip
"""Records whose order does not depend on who is faster."""

SCENES = {
    "cues": """
scene: Everything that steps can be
players:
  ann: {voice: ash, tools: [bell]}
  bob: {voice: sage, label_speakers: true}
  cid: {voice: echo, hears_as: text}
tools: {bell: {description: Rings., returns: {ok: true}}}
limits: {start_rate: 100/s}
lines:
  - {bed: sounds/rain.wav, until: last}
  - prompt: {ann: You are at sea.}
  - ann: Good evening to you all, and welcome aboard.
  - bob: Is it evening already?
    takes: 3
  - {pause: 1.5 s}
  - cid: Nobody asked me.
    when: {said: midnight}
  - improvise: {players: [ann, bob, cid], about: the weather, turns: 4}
  - bob: Then let us go, all of us, before the tide turns and the harbour is closed for the night.
    id: long
  - cid: Wait!
    cut_in: {after: 1 s}
  - ann: Off we go.
    id: last
    pause: 0.5 s
  - together:
      - ann: It is.
      - cid: It is not.
      - {sfx: sounds/mug.wav}
on:
  - {said: evening, do: [{cid: Somebody said evening.}, {sfx: sounds/door.wav}], times: 2}
  - {said: wait, do: [{ann: I heard him.}]}
deliver: {mix: {loudness: -18 LUFS}, stereo: true}
""",
}


@dataclass(frozen=True)
class Left:
    """A take of one version.

    Attributes:
        folder: Where it lies.
    """

    folder: Path

    @property
    def facts(self) -> dict[str, Any]:
        """What ``take.json`` says, without what is measured."""
        return bare(json.loads((self.folder / "take.json").read_text("utf-8")))  # type: ignore[no-any-return]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The journal, without what is measured."""
        lines = (self.folder / "journal.jsonl").read_text("utf-8").splitlines()
        return [bare(json.loads(line)) for line in lines]

    @property
    def sounds(self) -> dict[str, Path]:
        """Its sound files by the names they have in it."""
        return {path.relative_to(self.folder).as_posix(): path for path in sorted(self.folder.rglob("*.wav"))}


def bare(value: Any) -> Any:
    """Leave out what is measured, wherever it stands."""
    if isinstance(value, dict):
        parts = {name: json.loads(part) if name == "resolved" and part else part for name, part in value.items()}
        return {name: bare(part) for name, part in parts.items() if name not in MEASURED}
    return [bare(part) for part in value] if isinstance(value, list) else value


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Yield where two values differ; a field that only the newer version has is no difference."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before:
            yield from differences(before.get(name), after.get(name), f"{place}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")
    elif before != after and not (before is None and not after):
        yield f"{place}: {_text(before)[:200]} -> {_text(after)[:200]}"


def compare(before: Left, after: Left) -> Iterator[str]:
    """Yield all differences of two takes."""
    yield from differences(before.facts, after.facts, "take.json")
    old, new = before.records, after.records
    known = {kind: {name for each in old if each["type"] == kind for name in each} for kind in _kinds(old)}
    new = [{name: each[name] for name in each.keys() & known[each["type"]]} for each in new if each["type"] in known]
    for kind in known:
        one, other = ([each for each in records if each["type"] == kind] for records in (old, new))
        if kind not in IN_ORDER:
            one, other = sorted(one, key=_text), sorted(other, key=_text)
        elif kind == "line_spoken":  # of lines at once, that which is over first is the first
            one, other = (sorted(records, key=lambda each: int(each["number"])) for records in (one, other))
        yield from differences(one, other, f"journal {kind}")
    one, other = ([each["type"] for each in records if each["type"] in IN_ORDER] for records in (old, new))
    yield from differences(one, other, "order of the journal")
    yield from (f"{name}: not there any more" for name in before.sounds.keys() - after.sounds.keys())
    for name, path in after.sounds.items():
        if name not in before.sounds:
            yield f"{name}: was not there"
        elif not np.array_equal(*(soundfile.read(each, dtype="int16")[0] for each in (path, before.sounds[name]))):
            yield f"{name}: other samples"


def _kinds(records: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(each["type"] for each in records))


def _text(fact: object) -> str:
    return json.dumps(fact, sort_keys=True, ensure_ascii=False)


def prepare(top: Path) -> list[str]:
    """Copy the scenes, and write those of this file beside them; their paths."""
    shutil.copytree(TOP / "scenes", top / "scenes")
    for name, text in SCENES.items():
        (top / "scenes" / f"{name}.yaml").write_text(text, "utf-8")
    return [path.relative_to(top).as_posix() for path in sorted((top / "scenes").glob("*.yaml"))]


def perform(tree: Path, top: Path, scenes: Sequence[str]) -> subprocess.Popen[bytes]:
    """Let one version perform the scenes in a folder."""
    command = [sys.executable, "-m", "tau_stage", "run", *scenes, "--out", "takes", "--stand-in"]
    keys = {name for name in os.environ if name.endswith("_API_KEY") or name.startswith("TAU_STAGE")}
    environment = {name: value for name, value in os.environ.items() if name not in keys}
    environment["PYTHONPATH"] = str(tree.resolve())
    return subprocess.Popen(
        [*command, "--allow-tools", "--no-aloud", "--quiet"],
        cwd=top,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def takes(top: Path) -> dict[str, Left]:
    """Find the takes in a folder by scene and variant."""
    found = (
        Left(path.parent) for path in sorted((top / "takes").glob("*/*/take.json")) if not path.parent.is_symlink()
    )
    return {f"{take.facts['scene']['path']} {take.facts['scene']['variant']}".strip(): take for take in found}


def main(arguments: Sequence[str]) -> int:
    """Compare two versions, and print where they differ."""
    trees = [Path(each) for each in arguments] + ([TOP] if len(arguments) == 1 else [])
    with tempfile.TemporaryDirectory() as folder:
        tops = [Path(folder) / name for name in ("before", "after")]
        runs = [perform(tree, top, prepare(top)) for tree, top in zip(trees, tops, strict=True)]
        codes = [run.wait() for run in runs]
        before, after = (takes(top) for top in tops)
        wrong = [f"exit codes: {codes[0]} -> {codes[1]}"] if codes[0] != codes[1] else []
        for name in dict.fromkeys((*before, *after)):
            if name in before and name in after:
                wrong += [f"{name}: {line}" for line in compare(before[name], after[name])]
            else:
                wrong.append(f"{name}: only {'before' if name in before else 'after'}")
        sounds = sum(len(take.sounds) for take in after.values())
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    sys.stdout.write(f"{len(after)} takes, {sounds} sound files, {len(wrong)} differences\n")
    return 1 if wrong or not after else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
