"""Scenes made of a table and a cast: one for each snippet, node, sheet or chapter that lines belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePath

from pydantic_core import PydanticCustomError

from tau_stage.errors import SceneError
from tau_stage.scene import (
    Key,
    Line,
    Location,
    PlayerNames,
    Scene,
    Source,
    did_you_mean,
    facts_of,
    fill_text,
    listed,
    parse_speech,
    slug,
)
from tau_stage.tables.line_table import NARRATOR, LineTable, TableLine, raise_all


def scenes_of_table(table: LineTable, cast: Scene, *, markup: bool = False) -> Iterator[Scene]:
    """Make the scenes of a table, in its order; each is made when it is asked for.

    A scene has the players of the cast who speak in it, and no others. Its parts stand in the table, and its players in
    the cast file, also for the warnings of its plan. Its path is in the folder of the cast, whose sound files it may
    need, and has the name of the scene; there is no such file.

    Args:
        table: The table.
        cast: Its players and their defaults, as ``load_cast`` reads them.
        markup: Whether words are as in a scene file, with ``(direction)`` before them, and variables of the cast;
            otherwise they are plain text.

    Raises:
        SceneError: The cast does not know a player, two scenes would have one name, or words are no sound markup;
            further errors are in its ``also``. It is raised at once, before the first scene is asked for.
    """
    errors: list[SceneError] = []
    groups: dict[str, list[TableLine]] = {}
    for line in _as_markup(table.lines, cast, errors) if markup else table.lines:
        groups.setdefault(line.scene, []).append(line)
    speakers, unknown = _speakers(table.lines, cast)
    raise_all([*errors, *unknown, *_same_names(groups)])
    return (_scene(name, lines, cast, speakers, table) for name, lines in groups.items())


def _as_markup(lines: Sequence[TableLine], cast: Scene, errors: list[SceneError]) -> Iterator[TableLine]:
    """Read the words of lines as a scene file has them; what is wrong is noted."""
    variables = {**cast.vars, **cast.given}
    for line in lines:
        part = "direction"
        try:
            direction = fill_text(line.direction, variables)
            part = "words"
            speech = parse_speech(fill_text(line.words, variables))
        except PydanticCustomError as error:
            facts = facts_of(error)
            errors.append(line.place.error(part, facts["problem"], facts["hint"]))
            yield line
            continue
        both = ", ".join(filter(None, (speech.direction, direction)))
        yield replace(line, words=speech.words, direction=both)


def _speakers(lines: Sequence[TableLine], cast: Scene) -> tuple[dict[str, str], list[SceneError]]:
    """Find the player of the cast whom each name in the table means."""
    known = PlayerNames(Source.of("", cast.path), tuple(cast.players))
    found = {name: known.find(name or NARRATOR) for name in {line.player for line in lines}}
    errors = [_unknown(line, cast) for line in lines if not found[line.player]]
    return {name: player for name, player in found.items() if player}, errors


def _unknown(line: TableLine, cast: Scene) -> SceneError:
    if not line.player:
        hint = f"write a speaker, or add a player '{NARRATOR}' to {cast.path} for such lines"
        return line.place.error("player", "this line has no speaker", hint)
    hint = did_you_mean(line.player, cast.players, f"players: {listed(cast.players)}; or add the player to {cast.path}")
    return line.place.error("player", f"there is no player '{line.player}'", hint)


def _same_names(groups: Mapping[str, Sequence[TableLine]]) -> Iterator[SceneError]:
    seen: dict[str, str] = {}
    for name, lines in groups.items():
        other = seen.setdefault(slug(name), name)
        if other != name:
            problem = f"scenes '{other}' and '{name}' would have the same name '{slug(name)}'"
            yield lines[0].place.error("scene", problem, "rename one of them")


def _scene(name: str, lines: Sequence[TableLine], cast: Scene, speakers: Mapping[str, str], table: LineTable) -> Scene:
    steps = tuple(
        Line(
            speaker=speakers[line.player],
            text=line.words,
            direction=line.direction or None,
            id=line.id,
            note=line.note or None,
            path=("lines", number),
            source_line=line.place.line,
        )
        for number, line in enumerate(lines)
    )
    playing = {step.speaker for step in steps}
    return cast.model_copy(
        update={
            "title": " ".join(name.split()),
            "players": {player: options for player, options in cast.players.items() if player in playing},
            "lines": steps,
            "path": str(Path(cast.path).parent / f"{slug(name)}{PurePath(table.path).suffix}"),
            "sha256": _digest(cast, lines),
            "locations": _in_cast(cast, playing) | dict(_in_table(lines)),
        }
    )


def _digest(cast: Scene, lines: Sequence[TableLine]) -> str:
    parts = (cast.sha256, *(part for line in lines for part in (line.id, line.player, line.words, line.direction)))
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _in_cast(cast: Scene, playing: set[str]) -> dict[Key, Location]:
    """Tell where the players stand who play, and what is of the whole scene."""
    return {key: place for key, place in cast.locations.items() if key[:1] != ("player",) or key[1] in playing}


def _in_table(lines: Sequence[TableLine]) -> Iterator[tuple[Key, Location]]:
    yield (), lines[0].place.location()
    for line in lines:
        yield ("line", line.id), line.place.location()
        for part in ("id", "direction"):
            if part in line.place.sheet.columns:
                yield ("line", line.id, part), line.place.location(part)
