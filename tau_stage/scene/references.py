"""Whether what a scene names is there: its players, its tools, its files, and what it waits for."""

import re
from functools import cache
from itertools import chain
from os import SEEK_END
from pathlib import Path as FilePath

from tau_stage.errors import LFS_LARGEST, UsageError
from tau_stage.scene.conditions import EVENTS, Call, Failed, Not, Said, Silence
from tau_stage.scene.expect import Expect
from tau_stage.scene.files import beside, picture_type, sounds_in
from tau_stage.scene.findings import Findings
from tau_stage.scene.model import Scene
from tau_stage.scene.text import Path
from tau_stage.scene.words import did_you_mean, listed
from tau_stage.text import folded

CHOICES = ("auto", "none", "required")
NOBODY = ("no", "none", "nothing", "false", "null", "noone", "no one")
EVENT_WORDS: dict[type, str] = {model: word for word, model in EVENTS.items()}


def _problem_of(file: FilePath) -> tuple[str, str] | None:
    """Return what is wrong with a sound file, and what to do; it is read to its end."""
    from tau_stage.audio.files import survey

    try:
        survey(file)
    except UsageError as error:
        return error.problem, error.hint
    return None


class References:
    """Looks up what one scene names; what is not there is noted."""

    def __init__(self, scene: Scene, found: Findings) -> None:
        self.scene = scene
        self.found = found
        self._problem = cache(_problem_of)

    def known(self, name: str, path: Path, *, key: bool = False) -> bool:
        """Check that there is a player of that name."""
        if name not in self.scene.players:
            hint = did_you_mean(name, self.scene.players, f"players: {listed(self.scene.players)}")
            several = [part.strip() for part in re.split(r"[,;&]| and ", name)]
            if len(several) > 1 and not key and all(part in self.scene.players for part in several):
                hint = f"several names stand in a list: [{', '.join(several)}]"
            elif folded(name) in NOBODY and path[-2:-1] in (("to",), ("hears",)):
                hint = "did you mean 'nobody'?"
            self.found.add(path, f"there is no player '{name}'", hint, key=key)
        return name in self.scene.players

    def model(self, name: str, path: Path, what: str, *, key: bool = False) -> bool:
        """Check that a player is played by a model, as it must be for what it does."""
        if not self.known(name, path, key=key):
            return False
        if self.scene.players[name].human:
            self.found.add(path, f"'{name}' is a human, and {what}", "name a player with a model", key=key)
            return False
        return True

    def hearing(self, heard: str | tuple[str, ...], path: Path, owner: str) -> list[str]:
        """Return names of others that stand in ``hears`` or ``to``; the wrong ones are noted."""
        names = () if isinstance(heard, str) else heard
        good = []
        for number, name in enumerate(names):
            here = (*path, number)
            if name == owner:
                self.found.add(here, f"'{name}' always knows its own lines", "name the others only")
            elif self.known(name, here):
                good.append(name)
        return good

    def tools(self, names: tuple[str, ...] | None, path: Path) -> None:
        """Check that all these tools are defined."""
        for number, name in enumerate(names or ()):
            self.tool(name, (*path, number))

    def tool(self, name: str, path: Path) -> bool:
        """Check that a tool is defined."""
        if name not in self.scene.tools:
            otherwise = f"define it under 'tools:'; there is {listed(self.scene.tools) or 'none'}"
            hint = did_you_mean(name, self.scene.tools, otherwise)
            self.found.add(path, f"there is no tool '{name}'", hint)
        return name in self.scene.tools

    def tool_choice(self, choice: str | None, path: Path, may: tuple[str, ...] | None) -> None:
        """Check that a choice of tools can be made by whom may call some of them; None is all."""
        if choice is None or choice in CHOICES:
            return
        if choice not in self.scene.tools:
            hint = did_you_mean(
                choice, chain(CHOICES, self.scene.tools), "write auto, none, required, or a tool's name"
            )
            self.found.add(path, f"tool_choice is auto, none, required, or a tool, not '{choice}'", hint)
        elif may is not None and choice not in may:
            self.found.add(path, f"the player may not call '{choice}'", "look at its 'tools:', or the line's")

    def expect(self, expect: Expect, path: Path, speaker: str) -> None:
        """Check that the tools and the players that are expected are there."""
        for number, call in enumerate(expect.calls or ()):
            self.tool(call.tool, (*path, "calls", number, "tool"))
        if expect.heard_by is not None:
            self.hearing(expect.heard_by, (*path, "heard_by"), speaker)

    def sound(self, name: str, path: Path) -> None:
        """Check that a sound that the scene names is there, and can be read to its end."""
        if self._is_there(name, path):
            self._readable(beside(self.scene.path, name), path)

    def picture(self, name: str, path: Path) -> None:
        """Check that a picture that the scene names is there, and is one."""
        if self._is_there(name, path):
            try:
                with beside(self.scene.path, name).open("rb") as file:
                    picture_type(file.read(LFS_LARGEST), name, file.seek(0, SEEK_END))
            except UsageError as error:
                self.found.add(path, error.problem, error.hint)
            except OSError as error:
                self.found.add(path, f"'{name}' cannot be read: {error.strerror}", "name a file that you may read")

    def sounds(self, folder: str, path: Path) -> None:
        """Check that a folder that the scene names is there, and that every sound in it can be read to its end."""
        if self._is_there(folder, path, folder=True):
            for file in sounds_in(beside(self.scene.path, folder)):
                self._readable(file, path)

    def _readable(self, file: FilePath, path: Path) -> None:
        if told := self._problem(file):
            self.found.add(path, *told)

    def _is_there(self, name: str, path: Path, *, folder: bool = False) -> bool:
        file = beside(self.scene.path, name)
        what = "folder" if folder else "file"
        try:
            there = file.is_dir() if folder else file.is_file()
            is_other = not there and file.exists()
            neighbours = (
                [] if there else [other.name for other in sorted(file.parent.iterdir()) if other.is_dir() is folder]
            )
        except (OSError, ValueError):
            there, is_other, neighbours = False, False, []
        if is_other:
            other = "file" if folder else "folder"
            self.found.add(path, f"'{name}' is a {other}, and a {what} belongs here", _inside(name, file, what))
        elif not there:
            hint = did_you_mean(file.name, neighbours, f"it is looked for at {file.as_posix()}")
            self.found.add(path, f"there is no {what} '{name}'", hint)
        return there

    def condition(self, condition: Call | Said | Silence | Failed | Not, path: Path) -> None:
        """Check that what is waited for, below a path, can happen."""
        if isinstance(condition, Not):
            self.condition(condition.condition, (*path, "not"))
        elif not isinstance(condition, Silence):
            here = (*path, EVENT_WORDS[type(condition)])
            known = condition.player is None or self.known(condition.player, (*here, "player"))
            tool = condition.tool if isinstance(condition, Call) else None
            if tool is not None and self.tool(tool, (*here, "tool")) and known:
                self.may_call(condition.player or "", tool, (*here, "tool"))

    def may_call(self, name: str, tool: str, path: Path) -> None:
        """Check that the player that is to call a tool has it; no name is anybody."""
        player = self.scene.players.get(name)
        if player and player.human:
            self.found.add(path, f"'{name}' is a human, and calls no tool", "name a player with a model")
        elif player and player.tools is not None and tool not in player.tools:
            self.found.add(path, f"'{name}' has no tool '{tool}'", f"look at 'tools:' of player '{name}'")


def _inside(name: str, file: FilePath, what: str) -> str:
    """Return a hint for a folder that stands for a file, or a file for a folder."""
    within = sounds_in(file) if file.is_dir() else []
    return f"did you mean '{name.rstrip('/')}/{within[0].name}'?" if within else f"name a {what}"
