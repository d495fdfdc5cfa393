"""Scene files and a cast file made of a table, as text: whoever goes on with them needs the table no more."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from tau_stage.errors import SceneError, UsageError
from tau_stage.scene import (
    LIVE,
    Document,
    Line,
    Node,
    PlayerNames,
    Scene,
    Source,
    add_players,
    as_yaml,
    slug,
    unfit_name,
    voices_of,
)
from tau_stage.tables.line_table import NARRATOR, LineTable, TableLine, raise_all
from tau_stage.text import composed, counted, folded

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
        problem = (
            f"the scene '{scene.title}' of {table.path} would have {len(text) / 1e6:.1f} MB, but the limit is 2 MB"
        )
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
                f"; {voice} is also the voice of {owners[voice]}" if voice in owners else f"; {voice} is also in use"
            )
        used[voice] += 1
        owners.setdefault(voice, name)
        yield name, {"voice": voice}, comment
