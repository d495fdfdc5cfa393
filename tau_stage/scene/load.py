"""From a scene file to a scene: everything that can be wrong is found here, once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path as FilePath

from tau_stage.scene.builders import Steps, load_cues
from tau_stage.scene.compose import (
    MOST_VARIANTS,
    Variant,
    fill_in,
    include,
    overlay,
    script_into_lines,
    variables,
    variants,
)
from tau_stage.scene.diagnostics import Diagnostics, ModelT
from tau_stage.scene.model import AnyStep, Cascade, Player, Scene, SoundStep, ToolDefinition, parts_of
from tau_stage.scene.names import cue_id, key_meant
from tau_stage.scene.source import Key, Locations, Source, read_source
from tau_stage.scene.validate import check_names, check_scene, written_lines
from tau_stage.scene.yaml_text import Document, Node, Path, read_yaml
from tau_stage.scene.yaml_traps import MOST_SHOWN, in_brackets, yaml_scalar


def locations_of(scene: Scene, document: Document) -> Locations:
    """Tell where everything stands."""
    below = _below(document)

    def within(key: Key, path: Path) -> Iterator[tuple[Key, Path]]:
        return (((*key, *map(str, here[len(path) :])), here) for here in below.get(path, ()))

    places: list[tuple[Key, Path]] = [((), ("lines",) if ("lines",) in document.keys else ("script",))]
    for made, line in written_lines(scene):
        key = ("line", line.id or made)
        places += [*within(key, line.path), (key, (*line.path, line.speaker))]
    for name in scene.players:
        key, path = ("player", name), ("players", name)
        shared = (((*key, option), (option,)) for option in Cascade.options() if (option,) in document.keys)
        places += [(key, path), *shared, *within(key, path)]
    places += [(("cue", cue_id(number)), cue.path) for number, cue in enumerate(scene.on, 1)]
    places += [(("sound", name), (*sound.path, sound.kind)) for name, sound in _sounds(scene)]
    places += within(("expect",), ("expect",))
    return {key: document.location(path, key=path in document.keys) for key, path in places}


def _below(document: Document) -> dict[Path, list[Path]]:
    """Return the options of each mapping, and those of the mappings in it."""
    below: dict[Path, list[Path]] = {}
    for path in document.keys:
        for depth in (1, 2):
            below.setdefault(path[: max(0, len(path) - depth)], []).append(path)
    return below


def _sounds(scene: Scene) -> Iterator[tuple[str, SoundStep]]:
    """Yield effects and beds with their ids, counted as the plan counts them."""
    numbers: Counter[str] = Counter()
    for part in parts_of(chain(*scene.step_lists)):
        if isinstance(part, SoundStep):
            numbers[part.kind] += 1
            yield f"{part.kind}-{numbers[part.kind]}", part


MOST_PLAYERS = 200  # each of them may hear every line: all of a scene's lines may be many
MOST_TOOLS = 1000  # each player may be offered all of them
NO_VARIABLES: Mapping[str, str] = {}

READ_APART = ("vars", "matrix", "include", "script", "players", "tools", "on", "lines")
"""Options of a scene that are more than a value or a mapping of such."""


def load_scene(path: str | FilePath, given: Mapping[str, str] = NO_VARIABLES) -> Scene:
    """Read and validate a scene file. If it has a matrix, return the first variant.

    Args:
        path: The file.
        given: Variables by name. They override the file's variables.

    Raises:
        SceneError: The file cannot be read or performed. Further errors are in its ``also``.

    >>> load_scene("scenes/umbrella.yaml").title
    'The last umbrella'
    """
    return load_variants(path, given)[0]


def load_variants(
    path: str | FilePath,
    given: Mapping[str, str] = NO_VARIABLES,
    only: Sequence[str] = (),
    *,
    overlays: Sequence[str] = (),
    most: int = MOST_VARIANTS,
) -> tuple[Scene, ...]:
    """Load all variants of a scene file, in the order of its matrix; one scene if there is no matrix.

    Args:
        path: The file.
        given: Variables by name. They override the file's variables.
        only: The names of the variants that are wanted; none is all.
        overlays: Files like those that a scene includes; what stands in them wins over what stands in the scene.
        most: How many variants there may be.

    Raises:
        SceneError: The file cannot be read or performed, or has no such variant.
    """
    return _variants(read_source(path), (given,), only, overlays, most)


def load_varied(
    path: str | FilePath,
    givens: Sequence[Mapping[str, str]],
    *,
    overlays: Sequence[str] = (),
    most: int = MOST_VARIANTS,
) -> tuple[Scene, ...]:
    """Load all variants of a scene file, as ``load_variants`` does, for each of several sets of variables in turn.

    Raises:
        SceneError: The file cannot be read or performed.
    """
    return _variants(read_source(path), givens, (), overlays, most)


NOT_OF_CAST = ("lines", "script", "on", "matrix")


def load_cast(path: str | FilePath, given: Mapping[str, str] = NO_VARIABLES, *, overlays: Sequence[str] = ()) -> Scene:
    """Read a cast file: a scene without lines, whose lines come from elsewhere.

    Args:
        path: The file.
        given: Variables by name. They override the file's variables.
        overlays: Files like those that a scene includes; what stands in them wins.

    Raises:
        SceneError: The file cannot be read, or has lines.
    """
    entries, errors = _cast(path, overlays)
    named = variables(entries, given, errors)
    errors.raise_any()
    cast = _scene(Diagnostics(errors.document), entries, named, Variant("", {}), is_cast=True)
    return cast.model_copy(update={"given": dict(given), "overlays": tuple(overlays)})


def cast_entries(path: str | FilePath) -> dict[str, Node]:
    """Return what a cast file holds, with what it includes, as it is written.

    Raises:
        SceneError: The file cannot be read.
    """
    entries, errors = _cast(path, ())
    errors.raise_any()
    return entries


def _cast(path: str | FilePath, overlays: Sequence[str]) -> tuple[dict[str, Node], Diagnostics]:
    errors = Diagnostics(read_yaml(read_source(path, "the cast file")))
    entries = errors.entries(errors.document.data, (), "the cast")
    for key in filter(entries.__contains__, NOT_OF_CAST):
        problem = f"a cast file may contain players, tools and defaults, but not '{key}'"
        errors.add((key,), problem, "remove it: the lines come from the table", key=True)
    include(entries, errors)
    overlay(entries, overlays, errors)
    return entries, errors


def parse_scene(text: str, path: str = "scene.yaml", given: Mapping[str, str] = NO_VARIABLES) -> Scene:
    """Validate a scene that is in memory; ``path`` is what errors call it, and what its files are relative to."""
    return _variants(Source.of(text, path), (given,), ())[0]


def _variants(
    source: Source,
    givens: Sequence[Mapping[str, str]],
    only: Sequence[str],
    overlays: Sequence[str] = (),
    most: int = MOST_VARIANTS,
) -> tuple[Scene, ...]:
    errors = Diagnostics(read_yaml(source))
    entries = errors.entries(errors.document.data, (), "the scene")
    include(entries, errors)
    overlay(entries, overlays, errors)
    script_into_lines(entries, errors)
    scenes: list[Scene] = []
    for given in givens:
        named = variables(entries, given, errors)
        wanted = variants(entries, only, errors, most)
        errors.raise_any()
        outside = {"given": dict(given), "overlays": tuple(overlays)}
        found = (_scene(Diagnostics(errors.document), entries, named, variant) for variant in wanted)
        scenes += (scene.model_copy(update=outside) for scene in found)
    return tuple(scenes)


def _scene(
    errors: Diagnostics, entries: dict[str, Node], named: Mapping[str, str], variant: Variant, *, is_cast: bool = False
) -> Scene:
    filled = fill_in(entries, {**named, **variant.values}, errors)
    options = errors.options(Scene, {key: node for key, node in filled.items() if key not in READ_APART}, ())
    players = _players(filled.get("players", ""), errors)
    steps = Steps(tuple(players), errors)
    source = errors.document.source
    values = {
        "scene": FilePath(source.path).stem,
        **{key: value for key, value in options.items() if value is not None},
        "players": players,
        "tools": _tools(filled.get("tools", ""), errors),
        "on": load_cues(filled.get("on", ""), steps, errors),
        "lines": () if is_cast else _lines(filled.get("lines", ""), steps, errors),
        "path": source.path,
        "sha256": source.sha256,
        "variant": variant.name,
    }
    scene = errors.build(Scene, values, ())
    assert scene is not None  # noqa: S101 - without its wrong options it is one
    check_scene(scene, errors)
    errors.raise_any()
    return scene.model_copy(
        update={"locations": locations_of(scene, errors.document), "warnings": tuple(errors.warnings)}
    )


def _tools(node: Node, errors: Diagnostics) -> dict[str, ToolDefinition]:
    tools = errors.entries(node, ("tools",), "'tools'", "write each tool's name, then its options")
    return _named(ToolDefinition, tools, MOST_TOOLS, "tools", errors)


def _without_dashes(node: Node, errors: Diagnostics) -> str:
    """Return a hint that shows the players of a list as the entries of a mapping."""
    shown = [*map(_entry, node)] if isinstance(node, list) else []
    if not 0 < len(shown) <= MOST_SHOWN or "" in shown:
        return "write each player's name, then its options: 'clerk: {voice: ash}'"
    head, _ = errors.document.around(("players", 0))
    if head.strip() != "-":
        return f"write {{{', '.join(f'{entry} ' if entry.endswith(':') else entry for entry in shown)}}}"
    between = f"\n  {head[: head.index('-')] or '  '}"
    return f"write them without dashes:{between}{between.join(shown)}"


def _entry(player: Node) -> str:
    """Write a player of a list as an entry of a mapping; empty where it has no name, or what cannot be shown."""
    name: object = player
    options: object = {}
    match player:
        case {"name": name, **rest}:
            options = rest
        case {**entries} if len(entries) == 1:
            ((name, options),) = entries.items()
    if not (name and isinstance(options, dict) and all(isinstance(value, str) for value in (name, *options.values()))):
        return ""
    known = Player.options()
    inside = ", ".join(
        f"{key if key in known else key_meant(key, known) or key}: {in_brackets(str(value))}"
        for key, value in options.items()
    )
    return f"{yaml_scalar(str(name))}: {{{inside}}}" if inside else f"{yaml_scalar(str(name))}:"


def _named(
    kind: type[ModelT], entries: dict[str, Node], most: int, what: str, errors: Diagnostics
) -> dict[str, ModelT]:
    """Load parts by name; read no further where there are more of them than all else is multiplied by."""
    if len(entries) > most:
        problem = f"the scene has {len(entries):,} {what}, but the limit is {most:,}"
        errors.add((what, list(entries)[most]), problem, "split the scene into several", key=True)
        errors.raise_any()
    return {name: errors.load(kind, node, (what, name)) or kind() for name, node in entries.items()}


def _players(node: Node, errors: Diagnostics) -> dict[str, Player]:
    hint = "" if isinstance(node, dict) else _without_dashes(node, errors)
    entries = errors.entries(node, ("players",), "'players'", hint)
    if not entries and not errors.is_wrong(("players",)) and "players" not in errors.meant:
        errors.add(
            ("players",), "the scene has no players", "add them under 'players:', for example 'clerk: {voice: ash}'"
        )
    players = _named(Player, entries, MOST_PLAYERS, "players", errors)
    check_names(players, errors)
    return players


def _lines(node: Node, steps: Steps, errors: Diagnostics) -> tuple[AnyStep, ...]:
    if not node:
        if "lines" not in errors.meant:
            errors.add(("lines",), "the scene has no lines", "write them under 'lines:', each as '- player: words'")
        return ()
    return steps.load(node, ("lines",))
