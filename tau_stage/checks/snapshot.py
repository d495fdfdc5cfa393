"""A snapshot: what a take was like when its author accepted it. Small, and one line of text for each fact."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from itertools import accumulate, filterfalse
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tau_stage import take as takes
from tau_stage.checks.metrics import COMPARED, Metrics, TakeMetrics, measure
from tau_stage.checks.voice_print import VoicePrint, average_print
from tau_stage.errors import LFS_HINT, LFS_PROBLEM, TakeError, UsageError, format_if, is_lfs_pointer, os_reason
from tau_stage.protocol import UNDERSTUDY
from tau_stage.scene import LIVE, SOUNDS, Deliver, did_you_mean, identity, listed, resolve_path

MISSING = "missing"
DELIVERED: Mapping[str, Any] = Deliver().model_dump(mode="json") | {"pan": {}}
"""What is delivered of a take whose scene says nothing of it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlayerSnapshot(_Part):
    """What plays a player, and what it was told before the first line."""

    voice: str
    model: str
    speed: float | None = None
    told: str = ""


class CallSnapshot(_Part):
    """A call of a tool, with all its arguments."""

    tool: str
    arguments: Any


class LineSnapshot(takes.Asked):
    """A line; see ``Metrics`` for what is measured."""

    said: str
    ended: str
    pause: float | None
    heard_by: tuple[str, ...]
    calls: tuple[CallSnapshot, ...]
    length: float | None
    loudness: float | None
    silence: float | None
    clipping: int | None
    first_audio: float | None
    dead_air: float | None
    rate: float | None
    cost: float | None
    voice: VoicePrint | None


class SoundSnapshot(_Part):
    """An effect or a bed, and the line it begins with or after."""

    file: str
    gain_db: float
    after: str
    heard_by: tuple[str, ...]


class Snapshot(_Part):
    """A take's figures and words."""

    version: Literal[1] = 1
    scene: str
    variant: str = ""
    cassette: bool = False
    deliver: Mapping[str, Any] = {}
    files: Mapping[str, str] = {}
    players: Mapping[str, PlayerSnapshot]
    cues: Mapping[str, int]
    sounds: Mapping[str, SoundSnapshot]
    lines: Mapping[str, LineSnapshot]

    def voices(self) -> dict[str, VoicePrint]:
        """Return each player's own voice: what that player's lines have in common."""
        prints: dict[str, list[VoicePrint]] = {}
        for line in self.lines.values():
            if line.voice:
                prints.setdefault(line.player, []).append(line.voice)
        return {name: found for name in prints if (found := average_print(prints[name]))}


def _player_snapshot(role: takes.Playing, facts: Mapping[str, Any]) -> PlayerSnapshot:
    return PlayerSnapshot(voice=role.voice, model=role.model, speed=facts["speed"], told=facts["instructions"])


def take_snapshot(take: takes.Take, measures: TakeMetrics, resolved: str, files: Mapping[str, str]) -> Snapshot:
    """Make a snapshot of a take.

    A retake tells neither who would hear its lines nor what they would cost, as only some were performed: who hears
    them is the plan's, and figures of a performance are left out. How long the understudy took is left out as well:
    it tells how busy the machine was, and nothing of the scene.
    """
    plan = json.loads(resolved)
    told = {player["name"]: player for player in plan["players"]}
    pan = {name: player["pan"] for name, player in told.items() if player.get("pan")}
    lines = {part["id"]: part for part in _mappings(plan) if "pause_s" in part and "player" in part}
    is_retake = any(line.former for line in take.lines)
    understudied = {player.name for player in take.players if player.endpoint == UNDERSTUDY}
    return Snapshot(
        scene=take.scene.title,
        variant=take.scene.variant,
        deliver={key: value for key, value in {**plan["deliver"], "pan": pan}.items() if value != DELIVERED[key]},
        files=files,
        players={role.name: _player_snapshot(role, told[role.name]) for role in take.players if not role.human},
        cues=Counter(cued.cue for cued in take.cues),
        sounds=dict(_effects(take)),
        lines={
            line.id: _line_snapshot(
                line,
                measures.lines[line.id],
                lines.get(line.id, {}),
                is_retake=is_retake,
                is_understudied=line.player in understudied,
            )
            for line in take.lines
        },
    )


def _put_in(order: Iterable[str], names: list[str], only: Container[str]) -> list[str]:
    """Put some lines among those that are kept, each after the last one that comes before it in the take."""
    place = 0
    for name in order:
        if name in only and name not in names:
            names.insert(place, name)
        place = names.index(name) + 1 if name in names else place
    return names


def accept_snapshot(new: Snapshot, old: Snapshot | None, only: Sequence[str] = ()) -> Snapshot:
    """Choose the snapshot that is to be kept: all of a new one, or the old one with some lines of the new one.

    Lines that are named, and that the new one lacks, go; that neither has such a line is a ``UsageError``.
    """
    kept = old.lines if old else {}
    lines = {**new.lines, **kept}
    for name in only:
        if name not in lines:
            raise UsageError(f"no line '{name}'", did_you_mean(name, lines, f"lines: {listed(lines)}"))
    if not only:
        return new
    lines |= {name: line for name, line in new.lines.items() if name in only}
    names = _put_in(new.lines, [*filterfalse({*only}.difference(new.lines).__contains__, kept)], only)
    return (old or new).model_copy(update={"lines": {name: lines[name] for name in names}})


def format_snapshot(snapshot: Snapshot) -> str:
    """Write a snapshot as the text of its file: always the same for the same facts, and one fact a line."""
    return _json(snapshot.model_dump(mode="json"), levels=3) + "\n"


def _json(value: object, indent: str = "", *, levels: int) -> str:
    """Write JSON whose outer objects have a line for each of their facts."""
    if not (value and levels and isinstance(value, dict)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    inner = f"{indent}  "
    facts = (f"{inner}{_json(key, levels=0)}: {_json(part, inner, levels=levels - 1)}" for key, part in value.items())
    return "{\n" + ",\n".join(facts) + f"\n{indent}}}"


def parse_snapshot(text: str, path: Path) -> Snapshot:
    """Read a snapshot from the text of its file; a ``TakeError`` tells that it is none, or a newer tau-stage's."""
    remedy = "restore it from version control, or accept a take again"
    return takes.parse_document(Snapshot, text, path, "snapshot", remedy)


def _line_snapshot(
    line: takes.Performed, metrics: Metrics, planned: Mapping[str, Any], *, is_retake: bool, is_understudied: bool
) -> LineSnapshot:
    heard: Sequence[str] = takes.heard_by(line.hearers)
    if is_retake:
        metrics, heard = replace(metrics, cost=None), heard or planned.get("hearers", ())
    if is_retake or is_understudied:
        metrics = replace(metrics, first_audio=None)
    facts = {
        "ended": line.ended + format_if(" ({})", line.reason),
        "pause": planned.get("pause_s"),
        "heard_by": heard,
        "calls": [{"tool": call.tool, "arguments": _arguments(call.arguments)} for call in line.calls],
        "voice": metrics.print,
    }
    said = line.model_dump(include={"player", "asked", "direction", "said"})
    return LineSnapshot.model_validate(said | facts | {name: getattr(metrics, name) for name in COMPARED})


def _arguments(text: str) -> object:
    """Return a call's arguments as they are compared: as data, or as they stand where they are none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _effects(take: takes.Take) -> Iterator[tuple[str, SoundSnapshot]]:
    """Yield sounds by their file, and which time it is played: numbers of their own would change with every new one."""
    played = Counter[str]()
    written = [line for line in take.lines if not of_cue(line.id)]
    begins = sorted((line.offset_samples, place) for place, line in enumerate(written))
    latest = [*accumulate((place for _, place in begins), max)]
    for sound in take.sounds:
        played[sound.source] += 1
        name = sound.source if played[sound.source] == 1 else f"{sound.source} {played[sound.source]}"
        before = bisect_right(begins, (sound.offset_samples, len(written)))
        after = written[latest[before - 1]].id if before else ""
        heard = takes.heard_by(sound.hearers)
        yield name, SoundSnapshot(file=sound.source, gain_db=sound.gain_db, after=after, heard_by=heard)


def of_cue(name: str) -> str:
    """Return the cue that a line's id says it belongs to, or nothing.

    >>> of_cue("cue-1-ann-2.3"), of_cue("ann-2")
    ('cue-1', '')
    """
    found = re.match(r"(cue-\d+)-", name, re.ASCII)
    return found[1] if found else ""


def sound_ids(take: takes.Take) -> dict[str, str]:
    """Return the ids that the scene knows sounds by, by the names that snapshots know them by."""
    return dict(zip(dict(_effects(take)), (sound.id for sound in take.sounds), strict=True))


def _mappings(part: object) -> Iterator[Mapping[str, Any]]:
    """Yield all mappings of a plan, wherever they stand."""
    if isinstance(part, dict):
        yield part
        part = [*part.values()]
    if isinstance(part, list):
        for each in part:
            yield from _mappings(each)


def snapshot_path(scene: str, variant: str = "") -> Path:
    """Return the file of a scene's snapshot, or of a variant's.

    >>> snapshot_path("scenes/umbrella.yaml", "calm").as_posix()
    'scenes/snapshots/umbrella.calm.json'
    """
    file = Path(scene)
    return file.parent / "snapshots" / f"{identity(scene, variant)}.json"


def read_snapshot(path: Path) -> Snapshot | None:
    """Read a snapshot; None where there is none. A ``TakeError`` tells that it cannot be read."""
    try:
        data = path.read_bytes()
        if is_lfs_pointer(data):
            raise TakeError(str(path), LFS_PROBLEM, LFS_HINT)
        return parse_snapshot(data.decode("utf-8"), path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TakeError(str(path), f"cannot be read: {os_reason(error)}") from None
    except UnicodeDecodeError:
        raise TakeError(str(path), "is not valid UTF-8", "restore it from version control") from None


def write_snapshot(path: Path, snapshot: Snapshot) -> bool:
    """Write a snapshot, whole or not at all, and tell whether it changed; a ``TakeError`` tells that it cannot be."""
    text = format_snapshot(snapshot)
    with takes.guarded(path, "choose a scene in a folder that you can write to"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() == text.encode():
            return False
    takes.TakeFolder(path.parent).write(path.name, text)
    return True


def sound_files(scene: str, resolved: str) -> dict[str, str]:
    """Hash all the sound files that a scene plays, by their names in it."""
    names = {name for part in _mappings(json.loads(resolved)) for name in _own_files(scene, part)}
    return {name: _hash(resolve_path(scene, name)) for name in sorted(names)}


def _hash(file: Path) -> str:
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError:
        return MISSING


def _own_files(scene: str, part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sound files that a part of a plan names: effects, beds, items of users, people and recordings."""
    if part.get("kind") in ("sfx", "bed") and isinstance(part.get("file"), str):
        yield part["file"]
    if isinstance(part.get("sounds"), list):
        yield from (file for _, file in part["sounds"])
    if part.get("human") not in (None, "", *LIVE) and "name" in part:
        yield str(part["human"])
    if isinstance(folder := part.get("stand_in"), str) and folder:
        yield from (f"{folder.rstrip('/')}/{name}" for name in _recordings(resolve_path(scene, folder)))


def _recordings(folder: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from (each.name for each in folder.iterdir() if each.suffix in (*SOUNDS, ".txt"))


def measure_folder(folder: takes.TakeFolder, take: takes.Take) -> TakeMetrics:
    """Measure a take in its folder; a sound that is missing or broken is told with its line."""
    return measure(take, lambda line: takes.audio_of(folder, line))


def snapshot_of(folder: takes.TakeFolder, take: takes.Take) -> Snapshot:
    """Make a snapshot of a take in its folder, of the plan that it was performed from.

    Raises:
        TakeError: It did not come to its end, a sound cannot be measured, or its journal is missing.
    """
    if take.ended != "complete":
        raise TakeError(str(folder.path), f"is not complete ({take.ended})", "accept a complete take")
    measures = measure_folder(folder, take)
    if measures.whole.problem:
        raise TakeError(str(folder.path), measures.whole.problem, "accept a complete take")
    if not folder.journal.is_file():
        raise TakeError(str(folder.journal), "is missing", "accept a take with a journal")
    scene = take.scene
    cassette = Path(scene.path).parent / "cassettes" / identity(scene.path, scene.variant)
    resolved = takes.read_beginning(folder.journal).resolved
    snapshot = take_snapshot(take, measures, resolved, sound_files(scene.path, resolved))
    return snapshot.model_copy(update={"cassette": cassette.exists()})
