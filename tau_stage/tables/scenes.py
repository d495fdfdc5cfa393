"""Scenes made of a table and a cast, one for each snippet, node, sheet or chapter of lines; and their files as text."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePath

from pydantic_core import PydanticCustomError

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import (
    LIVE,
    Document,
    Key,
    Line,
    Location,
    Node,
    PlayerNames,
    Scene,
    Source,
    add_players,
    as_yaml,
    did_you_mean,
    facts_of,
    fill_text,
    listed,
    parse_speech,
    slug,
    unfit_name,
    voices_of,
)
from tau_stage.tables.line_table import NARRATOR, LineTable, TableLine, raise_all
from tau_stage.text import composed, counted, folded


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
        hint = f"add a speaker, or add a player '{NARRATOR}' to {cast.path} for lines without one"
        return line.place.error("player", "this line has no speaker", hint)
    hint = did_you_mean(line.player, cast.players, f"players: {listed(cast.players)}; or add the player to {cast.path}")
    return line.place.error("player", f"unknown player '{line.player}'", hint)


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


LARGEST_SCENE = 2 * 1024**2  # bytes that a scene file has at most

_PARENTHESIS = re.compile("[()（）]")


def as_markup(words: str) -> str:
    r"""Write plain words as the scene language has them: a scene that holds them says the same.

    >>> print(as_markup("(well) ${x} [no]"))
    \(well\) $${x} [no]
    """
    return _PARENTHESIS.sub(lambda sign: f"\\{sign[0]}", words.replace("${", "$${"))


def scene_text(scene: Scene, cast: Mapping[str, Node], table: LineTable, folder: Path) -> str:
    """Write a scene of a table as a scene file in a folder, with a copy of its players: those who speak in it.

    Args:
        scene: The scene, as ``scenes_of_table`` makes it.
        cast: What the cast file holds.
        table: The table.
        folder: Where the scene file will be: sound files of the cast are named as they are seen from there.

    Raises:
        UsageError: It would be larger than a scene may be.
    """
    known = {key: node for key, node in cast.items() if key not in ("scene", "players", "include")}
    players = cast["players"]
    assert isinstance(players, dict)  # noqa: S101 - the cast was read
    home = PurePath(scene.path).parent
    own = {name: _player(players[name], scene.players, home, folder) for name in scene.players}
    if isinstance(deliver := known.get("deliver"), dict) and isinstance(mix := deliver.get("mix"), dict):
        known["deliver"] = {**deliver, "mix": _moved(mix, ("cover",), home, folder)}
    data: dict[str, Node] = {"scene": scene.title, **known, "players": own, "lines": [*map(_line, scene.lines)]}
    text = f"# Generated from {PurePath(table.path).name}.\n{as_yaml(data)}\n"
    if len(text.encode()) > LARGEST_SCENE:
        problem = f"the scene '{scene.title}' of {table.path} would be {len(text) / 1e6:.1f} MB, but the limit is 2 MB"
        raise UsageError(problem, "split the table into scenes: add a column with the scene of each line")
    return text


def _line(step: object) -> Node:
    assert isinstance(step, Line)  # noqa: S101 - a table has nothing else
    options = {"id": step.id, "direction": step.direction, "note": step.note}
    return {
        step.speaker: as_markup(step.text),
        **{key: text.replace("${", "$${") for key, text in options.items() if text},
    }


def _player(player: Node, playing: Mapping[str, object], home: PurePath, folder: Path) -> Node:
    """Copy a player into a scene in another folder: its sound files as they are seen from there, and whom it hears."""
    if not isinstance(player, dict):
        return player
    player = _moved(player, ("human", "stand_in"), home, folder)
    hears = player.get("hears", "everyone")
    heard = [hears] if isinstance(hears, str) else [name for name in hears if name in playing]
    if hears in ("everyone", "nobody") or heard == hears:
        return player
    return {**player, "hears": [*filter(playing.__contains__, heard)] or "nobody"}


def _moved(options: dict[str, Node], keys: Sequence[str], home: PurePath, folder: Path) -> dict[str, Node]:
    """Name the files of some options as they are seen from another folder."""
    files = {
        key: Path(os.path.relpath(home / name, folder)).as_posix()
        for key in keys
        if isinstance(name := options.get(key), str) and name not in LIVE and not PurePath(name).is_absolute()
    }
    return {**options, **files}


def speakers_in(table: LineTable) -> dict[str, list[TableLine]]:
    """Return the lines of each one who speaks in a table, by the name as it is spelt most often.

    Raises:
        SceneError: A name cannot be a player's.
    """
    lines: dict[str, list[TableLine]] = {}
    for line in table.lines:
        lines.setdefault(folded(line.player or NARRATOR), []).append(line)
    found: dict[str, list[TableLine]] = {}
    taken: dict[str, str] = {}
    errors: list[SceneError] = []
    for own in lines.values():
        ((name, _),) = Counter(composed(line.player or NARRATOR) for line in own).most_common(1)
        if wrong := unfit_name(name, taken):
            errors.append(own[0].place.error("player", *wrong))
        taken.setdefault(slug(name), name)
        found[name] = own
    raise_all(errors)
    return found


def cast_text(table: LineTable) -> str:
    """Write a cast file with everybody who speaks in a table, how often, and a voice for each.

    Raises:
        SceneError: A name cannot be a player's.
    """
    players = "".join(
        f"  {as_yaml({name: ''}).rstrip()} {{voice: {options['voice']}}}  # {comment}\n"
        for name, options, comment in _with_voices(speakers_in(table), (), voices_of(None))
    )
    return f"# The speakers in {PurePath(table.path).name}.\nplayers:\n{players}"


def complete_cast(document: Document, cast: Scene, table: LineTable) -> tuple[str, int]:
    """Add to a cast file those who speak in a table and are not in it. Return its text, and how many they are.

    Raises:
        SceneError: A name cannot be a player's, or none can be added to the file.
    """
    known = PlayerNames(Source.of("", cast.path), tuple(cast.players))
    missing = {name: lines for name, lines in speakers_in(table).items() if not known.find(name)}
    if not missing:
        return document.source.text, 0
    taken = [cast.said(player, "voice", "") for player in cast.players.values()]
    return add_players(document, [*_with_voices(missing, taken, voices_of(cast.endpoint))]), len(missing)


def _with_voices(
    speakers: Mapping[str, Sequence[TableLine]], taken: Sequence[str], voices: Sequence[str] | None
) -> Iterator[tuple[str, dict[str, Node], str]]:
    """Hand out voices in order, those first that nobody has; yield each name with its voice and a comment.

    Where the voices are not known (None), nobody gets one.
    """
    owners: dict[str, str] = {}
    used = Counter(dict.fromkeys(voices or (), 0))
    used.update(voice for voice in taken if voice in used)
    for name, lines in speakers.items():
        comment = counted(len(lines), "line")
        if not used:
            yield name, {}, comment
            continue
        voice = min(used, key=lambda each: used[each])
        if used[voice]:
            comment += (
                f"; {voice} is also the voice of {owners[voice]}" if voice in owners else f"; {voice} is already in use"
            )
        used[voice] += 1
        owners.setdefault(voice, name)
        yield name, {"voice": voice}, comment
