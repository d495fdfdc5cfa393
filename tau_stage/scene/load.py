"""From a scene file to a scene: everything that can be wrong is found here, once."""

from pathlib import Path as FilePath

from pydantic_core import PydanticCustomError

from tau_stage.scene.check import check_names, check_scene
from tau_stage.scene.findings import Findings
from tau_stage.scene.model import Limits, Line, Player, Prompt, Scene
from tau_stage.scene.source import Source, read_source
from tau_stage.scene.speech import parse_speech
from tau_stage.scene.text import Node, Path, read_yaml
from tau_stage.scene.words import LINE_OPTIONS, STEP_WORDS, did_you_mean, listed

_LIST_HINT = "write each as '- player: words'"


def load_scene(path: str | FilePath) -> Scene:
    """Read and validate a scene file.

    Raises:
        SceneError: The file cannot be read or performed; further errors are in its ``also``.

    >>> load_scene("scenes/umbrella.yaml").title
    'The last umbrella'
    """
    return _scene(read_source(path))


def parse_scene(text: str, path: str = "scene.yaml") -> Scene:
    r"""Validate a scene that is in memory; ``path`` is what errors call it.

    Raises:
        SceneError: It cannot be performed; further errors are in its ``also``.

    >>> scene = parse_scene("players: {ann: {voice: ash}}\nlines: [ann: (loudly) Yes]")
    >>> scene.lines[0].words, scene.lines[0].direction
    ('Yes', 'loudly')
    """
    return _scene(Source.of(text, path))


def _scene(source: Source) -> Scene:
    found = Findings(read_yaml(source))
    entries = found.mapping(found.document.data, (), "the scene") or {}
    values: dict[str, object] = dict(found.known(entries, Scene.options(), (), "the scene"))
    players = _players(entries.get("players", ""), found)
    steps = _steps(entries.get("lines", ""), tuple(players), found)
    values |= {"players": players, "lines": tuple(steps.values()), "limits": _limits(entries.get("limits", ""), found)}
    values |= {"path": source.path, "sha256": source.sha256}
    values["scene"] = values.get("scene") or FilePath(source.path).stem
    scene = found.build(Scene, values, (), "the scene")
    check_scene(scene, steps, found)
    found.raise_any()
    return scene


def _limits(node: Node, found: Findings) -> Limits:
    entries = found.mapping(node, ("limits",), "limits", "write it like limits: {budget: $0.50}") or {}
    known = found.known(entries, Limits.options(), ("limits",), "limits")
    return found.build(Limits, dict(known), ("limits",), "limits")


def _players(node: Node, found: Findings) -> dict[str, Player]:
    hint = "write each player's name, then what is special: 'clerk: {voice: ash}'"
    entries = found.mapping(node, ("players",), "players", hint)
    if entries == {}:
        found.add(("players",), "the scene has no players", "name them under 'players:', like 'clerk: {voice: ash}'")
    players = {name: _player(name, value, found) for name, value in (entries or {}).items()}
    check_names(players, found)
    return players


def _player(name: str, node: Node, found: Findings) -> Player:
    path, owner = ("players", name), f"player '{name}'"
    entries = found.mapping(node, path, owner, f"write it like '{name}: {{voice: ash}}'")
    return found.build(Player, dict(found.known(entries or {}, Player.options(), path, owner)), path, owner)


def _steps(node: Node, players: tuple[str, ...], found: Findings) -> dict[int, Line | Prompt]:
    """The steps that are sound, by their place in the list."""
    if not node:
        found.add(("lines",), "the scene has no lines", "write them under 'lines:', each as '- player: words'")
        return {}
    if not isinstance(node, list):
        found.add(("lines",), "lines must be a list", _LIST_HINT)
        return {}
    steps = {number: _step(item, ("lines", number), players, found) for number, item in enumerate(node)}
    return {number: step for number, step in steps.items() if step}


def _step(node: Node, path: Path, players: tuple[str, ...], found: Findings) -> Line | Prompt | None:
    if not isinstance(node, dict):
        _no_mapping(node, path, players, found)
        return None
    entries = found.mapping(node, path, "a line") or {}
    if "prompt" in entries:
        return _prompt(entries, path, players, found)
    speaker = _speaker(entries, path, players, found)
    return _line(entries, speaker, path, found) if speaker is not None else None


def _no_mapping(node: Node, path: Path, players: tuple[str, ...], found: Findings) -> None:
    hint = "a line is '- player: words'"
    if isinstance(node, str) and ":" in node and node.split(":")[0].strip() in players:
        hint = "put a space after the colon"
    found.add(path, "this line has no speaker", hint)


def _speaker(entries: dict[str, Node], path: Path, players: tuple[str, ...], found: Findings) -> str | None:
    """The key of a step that says who speaks; what hinders is noted."""
    strangers = [key for key in entries if key not in Line.options()]
    speakers = [key for key in strangers if key in players]
    if len(speakers) > 1:
        found.add((*path, speakers[1]), "two players speak in one line", "start every line with '- '", key=True)
        return None
    if speakers:
        return speakers[0]
    if not strangers:
        found.add(path, "this line has no speaker", "a line is '- player: words'")
        return None
    _stranger(strangers[0], path, players, found)
    return None


def _stranger(key: str, path: Path, players: tuple[str, ...], found: Findings) -> None:
    here = (*path, key)
    if key in STEP_WORDS | LINE_OPTIONS:
        hint = "it knows lines ('- player: words') and 'prompt'"
        found.add(here, f"this version performs no '{key}' step", hint, key=True)
    elif players:
        hint = did_you_mean(key, players, f"players: {listed(players)}")
        found.add(here, f"there is no player '{key}'", hint, key=True)


def _line(entries: dict[str, Node], speaker: str, path: Path, found: Findings) -> Line | None:
    here = (*path, speaker)
    rest = {key: value for key, value in entries.items() if key != speaker}
    values: dict[str, object] = dict(found.known(rest, Line.options(), path, "the line"))
    text = found.text(entries[speaker], here, "a line")
    if text is None:
        return None
    try:
        speech = parse_speech(text)
    except PydanticCustomError as error:
        told = error.context or {}
        found.add(here, told["problem"], told["hint"])
        return None
    if speech.direction:
        also = values.get("direction")
        values["direction"] = f"{speech.direction}, {also}" if isinstance(also, str) and also else speech.direction
    values |= {"speaker": speaker, "words": speech.words}
    values["source_line"] = found.document.place(here, key=True).line
    return found.build(Line, values, path, "the line")


def _prompt(entries: dict[str, Node], path: Path, players: tuple[str, ...], found: Findings) -> Prompt | None:
    here = (*path, "prompt")
    hint = "write it like '- prompt: {player: what to whisper}'"
    speakers = [key for key in entries if key in players and key != "prompt"]
    for name in speakers:
        found.add((*path, name), "a prompt and a line stand in one step", "start every step with '- '", key=True)
    rest = {key: value for key, value in entries.items() if key not in speakers}
    known = found.known(rest, Prompt.options(), path, "the prompt")
    told = entries["prompt"]
    if not isinstance(told, dict) or not told:
        found.add(here, "a prompt needs a player and a text", hint)
        return None
    whispers = found.mapping(told, here, "a prompt") or {}
    texts = {name: found.text(text, (*here, name), "a prompt") for name, text in whispers.items()}
    for name, text in texts.items():
        if text is not None and not text.strip():
            found.add((*here, name), "a prompt needs a text", hint)
    if not all(texts.values()):
        return None
    line = found.document.place(here, key=True).line
    values: dict[str, object] = {**known, "prompt": {name: text.strip() for name, text in texts.items() if text}}
    return found.build(Prompt, {**values, "source_line": line}, path, "the prompt")
