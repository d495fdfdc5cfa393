"""What no single field can know: whether names, ids, voices and hearers fit together."""

import re
from collections.abc import Iterable, Mapping

from tau_stage.scene.findings import Findings
from tau_stage.scene.model import Line, Player, Prompt, Scene
from tau_stage.scene.names import slug
from tau_stage.scene.text import Path
from tau_stage.scene.voices import CUSTOM_PREFIX, voices_of
from tau_stage.scene.words import RESERVED, automatic_id, did_you_mean, listed

LONGEST_NAME = 64

_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*]')


def check_names(names: Iterable[str], found: Findings) -> None:
    """Players' names name files and stand where the language has words of its own."""
    taken: dict[str, str] = {}
    for name in names:
        path = ("players", name)
        short = slug(name)
        if name in RESERVED:
            found.add(
                path,
                f"'{name}' is a word of the scene language and cannot be a player",
                "choose another name",
                key=True,
            )
        elif not re.search(r"[^\W_]", name) or len(name) > LONGEST_NAME or _UNFIT.search(name) or name != name.strip():
            hint = f"write letters, digits, spaces, '-' and the like, at most {LONGEST_NAME}, without / \\ : ? *"
            found.add(path, f"'{name[:LONGEST_NAME]}' cannot be a player's name, as names name files", hint, key=True)
        elif short in taken:
            problem = f"players '{taken[short]}' and '{name}' would share the file name '{short}'"
            found.add(path, problem, "rename one of them", key=True)
        taken.setdefault(short, name)


def check_scene(scene: Scene, steps: Mapping[int, Line | Prompt], found: Findings) -> None:
    """Everything that reaches from one part of a scene to another.

    Args:
        scene: The scene as far as it is sound.
        steps: Its steps by their place in the file's list, where unsound ones stand too.
        found: Where errors are noted.
    """
    players = scene.players
    _check_voices(scene, found)
    for name, player in scene.players.items():
        _check_hearing(player.hears, ("players", name, "hears"), name, players, found)
    for number, step in steps.items():
        if isinstance(step, Line):
            _check_to(step, ("lines", number, "to"), players, found)
        else:
            for name in step.prompt:
                _check_known(name, ("lines", number, "prompt", name), players, found, key=True)
    _check_ids(steps, found)


def _check_voices(scene: Scene, found: Findings) -> None:
    for name, player in scene.players.items():
        voice, endpoint = player.voice or scene.voice, player.endpoint or scene.endpoint
        voices = voices_of(endpoint)
        if voice is None or voices is None or voice in voices or voice.startswith(CUSTOM_PREFIX):
            continue
        path: Path = ("players", name, "voice") if player.voice else ("voice",)
        hint = f"{did_you_mean(voice, voices)} voices: {', '.join(voices)}, or your own: voice_..."
        found.add(path, f"there is no voice '{voice}' at {endpoint or 'openai'}", hint.strip())
        if not player.voice:
            return


def _check_known(name: str, path: Path, players: Mapping[str, Player], found: Findings, *, key: bool = False) -> bool:
    if name not in players:
        hint = did_you_mean(name, players, f"players: {listed(players)}")
        found.add(path, f"there is no player '{name}'", hint, key=key)
    return name in players


def _check_hearing(
    heard: str | tuple[str, ...], path: Path, owner: str, players: Mapping[str, Player], found: Findings
) -> list[str]:
    """Names of others that stand in ``hears`` or ``to``; the wrong ones are noted."""
    names = () if isinstance(heard, str) else heard
    good = []
    for number, name in enumerate(names):
        here = (*path, number)
        if name == owner:
            found.add(here, f"'{name}' always knows its own lines", "name the others only")
        elif _check_known(name, here, players, found):
            good.append(name)
    return good


def _check_to(line: Line, path: Path, players: Mapping[str, Player], found: Findings) -> None:
    if line.to is None:
        return
    for name in _check_hearing(line.to, path, line.speaker, players, found):
        if not players[name].listens_to(line.speaker):
            found.add(
                (*path, line.to.index(name)),
                f"'{name}' does not hear '{line.speaker}'",
                f"look at 'hears:' of player '{name}'",
            )


def _check_ids(steps: Mapping[int, Line | Prompt], found: Findings) -> None:
    ordinals: dict[str, int] = {}
    automatic: dict[str, Line] = {}
    written: dict[str, tuple[int, Line]] = {}
    for number, step in steps.items():
        if isinstance(step, Prompt):
            continue
        ordinals[step.speaker] = ordinals.get(step.speaker, 0) + 1
        if step.id is None:
            automatic[automatic_id(step.speaker, ordinals[step.speaker])] = step
        elif step.id.casefold() in written:
            first = written[step.id.casefold()][1].source_line
            found.add(("lines", number, "id"), f"the id '{step.id}' is taken by line {first}", "choose another")
        else:
            written[step.id.casefold()] = (number, step)
    for short in written.keys() & automatic.keys():
        number, line = written[short]
        other = automatic[short].source_line
        problem = f"the id '{line.id}' is what the line at {other} is called, as it has no id of its own"
        found.add(("lines", number, "id"), problem, "choose another, or give that line an id")
