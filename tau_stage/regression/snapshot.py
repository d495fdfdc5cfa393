"""A snapshot: what a take was like when its author blessed it. Small, and one line of text for each fact."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tau_stage.errors import TakeError, UsageError
from tau_stage.regression.expectations import hearers
from tau_stage.regression.measures import Measures
from tau_stage.regression.voice import Print, reference
from tau_stage.scene.deliver import Deliver
from tau_stage.scene.words import did_you_mean, listed
from tau_stage.take.model import Performed, Take

VERSION = 1
MISSING = "missing"
NO_FILES: Mapping[str, str] = {}
DELIVERED: Mapping[str, Any] = Deliver().model_dump(mode="json") | {"pan": {}}
"""What is delivered of a take whose scene says nothing of it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cast(_Part):
    """What plays a player, and what it was told before the first line."""

    voice: str
    model: str
    speed: float | None = None
    told: str = ""


class Call(_Part):
    """A call of a tool, with all its arguments."""

    tool: str
    arguments: Any


class Frozen(_Part):
    """A line; see ``Figures`` for what is measured."""

    player: str
    asked: str
    direction: str
    said: str
    ended: str
    pause: float | None
    heard_by: tuple[str, ...]
    calls: tuple[Call, ...]
    length: float | None
    loudness: float | None
    silence: float | None
    clipping: int | None
    first_audio: float | None
    dead_air: float | None
    rate: float | None
    cost: float | None
    voice: Print | None


class Effect(_Part):
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
    players: Mapping[str, Cast]
    cues: Mapping[str, int]
    sounds: Mapping[str, Effect]
    lines: Mapping[str, Frozen]

    def voices(self) -> dict[str, Print]:
        """Return each player's own voice: what that player's lines have in common."""
        prints: dict[str, list[Print]] = {}
        for line in self.lines.values():
            if line.voice:
                prints.setdefault(line.player, []).append(line.voice)
        return {name: found for name in prints if (found := reference(prints[name]))}


def freeze(take: Take, measures: Measures, resolved: str, files: Mapping[str, str] = NO_FILES) -> Snapshot:
    """Make a snapshot of a take.

    A retake tells neither who would hear its lines nor what they would cost, as only some were performed: who hears
    them is the plan's, and figures of a performance are left out.

    Args:
        take: What was performed.
        measures: Of it.
        resolved: The plan it was performed from, as JSON.
        files: Hashes of the sound files it plays, by their names in the scene.
    """
    plan = json.loads(resolved)
    told = {player["name"]: player for player in plan["players"]}
    lines = dict(_lines(plan))
    is_retake = any(line.former for line in take.lines)
    cues = [cued.cue for cued in take.cues]
    return Snapshot(
        scene=take.scene.title,
        variant=take.scene.variant,
        deliver={key: value for key, value in _delivered(plan).items() if value != DELIVERED[key]},
        files=dict(files),
        players={
            player.name: Cast(
                voice=player.voice,
                model=player.model,
                speed=told[player.name]["speed"],
                told=told[player.name]["instructions"],
            )
            for player in take.players
            if not player.human
        },
        cues={cue: cues.count(cue) for cue in dict.fromkeys(cues)},
        sounds=dict(_effects(take)),
        lines={line.id: _frozen(line, measures, lines.get(line.id, {}), is_retake=is_retake) for line in take.lines},
    )


def _delivered(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is delivered, and where in the mix who stands."""
    pan = {player["name"]: player["pan"] for player in plan["players"] if player.get("pan")}
    return {**plan["deliver"], "pan": pan}


def blessed(new: Snapshot, old: Snapshot | None, only: Sequence[str] = ()) -> Snapshot:
    """Choose the snapshot that is to be kept: all of a new one, or the old one with some of its lines.

    Args:
        new: Of the take.
        old: The one there is.
        only: Ids of the lines that are taken over; those that the take lacks go. None is all.

    Raises:
        UsageError: Neither has such a line.
    """
    known = dict.fromkeys([*new.lines, *(old.lines if old else ())])
    for name in only:
        if name not in known:
            raise UsageError(f"there is no line '{name}'", did_you_mean(name, known, f"lines: {listed(known)}"))
    if not only:
        return new
    if old is None:
        return new.model_copy(update={"lines": {name: new.lines[name] for name in new.lines if name in only}})
    lines = {name: line for name, line in old.lines.items() if name not in only or name in new.lines}
    order = list(new.lines)
    for name in (name for name in order if name in only):
        lines = _inserted(lines, name, new.lines[name], order)
    return old.model_copy(update={"lines": lines})


def _inserted(lines: dict[str, Frozen], name: str, line: Frozen, order: Sequence[str]) -> dict[str, Frozen]:
    """Insert a line in its own place, or after the last one that comes before it in the take."""
    if name in lines:
        return {**lines, name: line}
    before = [other for other in order[: order.index(name)] if other in lines]
    names = list(lines)
    at = names.index(before[-1]) + 1 if before else 0
    items = [(other, lines[other]) for other in names]
    return dict([*items[:at], (name, line), *items[at:]])


def written(snapshot: Snapshot) -> str:
    """Write a snapshot as the text of its file: always the same for the same facts, and one fact a line."""
    facts = snapshot.model_dump(mode="json")
    parts = []
    for name, value in facts.items():
        if not isinstance(value, dict):
            parts.append(f"  {_json(name)}: {_json(value)}")
            continue
        entries = ",\n".join(f"    {_json(key)}: {_entry(entry)}" for key, entry in value.items())
        parts.append(f"  {_json(name)}: {{\n{entries}\n  }}" if entries else f"  {_json(name)}: {{}}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _entry(entry: object) -> str:
    if not isinstance(entry, dict):
        return _json(entry)
    facts = ",\n".join(f"      {_json(key)}: {_json(value)}" for key, value in entry.items())
    return f"{{\n{facts}\n    }}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def parsed(text: str, path: str) -> Snapshot:
    """Read a snapshot from the text of its file.

    Raises:
        TakeError: It is none, or a newer tau-stage's.
    """
    remedy = "restore it from version control, or bless a take again"
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TakeError(path, f"is broken JSON ({error})", remedy) from None
    version = facts.get("version") if isinstance(facts, dict) else None
    if isinstance(version, int) and version > VERSION:
        problem = f"is of version {version}, and this tau-stage knows version {VERSION}"
        raise TakeError(path, problem, "install a newer tau-stage")
    try:
        return Snapshot.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise TakeError(path, f"is no snapshot: {where}: {first['msg']}", remedy) from None


def _frozen(line: Performed, measures: Measures, planned: Mapping[str, Any], *, is_retake: bool) -> Frozen:
    figures = measures.lines[line.id]
    heard_by = hearers(line) or (tuple(planned.get("hearers", ())) if is_retake else ())
    return Frozen(
        player=line.player,
        asked=line.asked,
        direction=line.direction,
        said=line.said,
        ended=ending(line),
        pause=planned.get("pause_s"),
        heard_by=heard_by,
        calls=tuple(Call(tool=call.tool, arguments=arguments(call.arguments)) for call in line.calls),
        length=figures.length,
        loudness=figures.loudness,
        silence=figures.silence,
        clipping=figures.clipping,
        first_audio=None if is_retake else figures.first_audio,
        dead_air=figures.dead_air,
        rate=figures.rate,
        cost=None if is_retake else figures.cost,
        voice=figures.print,
    )


def ending(line: Performed) -> str:
    """Say how a line ended."""
    return line.ended + (f" ({line.reason})" if line.reason else "")


def arguments(text: str) -> object:
    """Return a call's arguments as they are compared: as data, or as they stand where they are none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _effects(take: Take) -> Iterator[tuple[str, Effect]]:
    """Yield sounds by their file, and which time it is played: numbers of their own would change with every new one."""
    played: dict[str, int] = {}
    written = [line for line in take.lines if not of_cue(line.id)]
    begins = sorted((line.offset_samples, place) for place, line in enumerate(written))
    latest = [*accumulate((place for _, place in begins), max)]
    for sound in take.sounds:
        played[sound.source] = played.get(sound.source, 0) + 1
        name = sound.source if played[sound.source] == 1 else f"{sound.source} {played[sound.source]}"
        before = bisect_right(begins, (sound.offset_samples, len(written)))
        after = written[latest[before - 1]].id if before else ""
        heard = tuple(sorted(hearing.player for hearing in sound.hearers if hearing.heard_at_s is not None))
        yield name, Effect(file=sound.source, gain_db=sound.gain_db, after=after, heard_by=heard)


def of_cue(name: str) -> str:
    """Return the cue that a line's id says it belongs to, or nothing.

    >>> of_cue("cue-1-ann-2.3"), of_cue("ann-2")
    ('cue-1', '')
    """
    found = re.match(r"(cue-\d+)-", name, re.ASCII)
    return found[1] if found else ""


def sound_ids(take: Take) -> dict[str, str]:
    """Return the ids that the scene knows sounds by, by the names that snapshots know them by."""
    return dict(zip(dict(_effects(take)), (sound.id for sound in take.sounds), strict=True))


def _lines(plan: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield all lines of a plan by their ids, wherever they stand."""
    if isinstance(plan, dict):
        if "pause_s" in plan and "player" in plan:
            yield plan["id"], plan
        for part in plan.values():
            yield from _lines(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from _lines(part)
