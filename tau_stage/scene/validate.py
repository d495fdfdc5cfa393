"""What no single field can know: whether names, ids, voices, hearers, tools and files fit together."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, cached_property, singledispatchmethod
from itertools import chain
from os import SEEK_END
from pathlib import Path as FilePath

from pydantic_core import PydanticCustomError

from tau_stage.errors import LFS_LARGEST, UsageError
from tau_stage.scene import model, names
from tau_stage.scene.delivery_options import MOST_KBPS, OF_KINDS, Deliver, LineFiles, Mix
from tau_stage.scene.diagnostics import Diagnostics
from tau_stage.scene.expect import Expect
from tau_stage.scene.fields import LIVE, line_id
from tau_stage.scene.units import facts_of
from tau_stage.scene.yaml_text import Path
from tau_stage.text import folded, hidden, never_pronounced, visible

CHOICES = ("auto", "none", "required")
MADE = re.compile(r"(improvise|listen)-\d+(-.*)?|cue-\d+(-.*\.\d+)?")
"""Ids that the stage gives to what is not written down, and to cues that start again."""

_HUMANS = "'human: mic', 'human: tty' or 'human: file.wav'"
NOBODY = ("no", "none", "nothing", "false", "null", "noone", "no one")
EVENT_WORDS: dict[type, str] = {kind: word for word, kind in model.EVENTS.items()}

_ADDRESS = re.compile(r"[a-z]+://", re.IGNORECASE)


def _problem_of(file: FilePath) -> tuple[str, str] | None:
    """Return what is wrong with a sound file, and what to do; it is read to its end."""
    from tau_stage.audio import survey

    try:
        survey(file)
    except UsageError as error:
        return error.problem, error.hint
    return None


class SceneChecks:
    """Checks one scene; what is wrong is noted."""

    def __init__(self, scene: model.Scene, errors: Diagnostics) -> None:
        self.scene = scene
        self.errors = errors
        self.add = errors.add
        self.people = [name for name, player in scene.players.items() if player.human]
        self.models = [name for name, player in scene.players.items() if not player.human]
        self._problem = cache(_problem_of)

    def known(self, name: str, path: Path, *, key: bool = False) -> bool:
        """Check that there is a player of that name."""
        players = self.scene.players
        if name not in players:
            hint = names.did_you_mean(name, players, f"players: {names.listed(players)}")
            several = [*map(str.strip, re.split(r"[,;&]| and ", name))]
            if not key and players.keys() >= {*several}:
                hint = f"write several names as a list: [{', '.join(several)}]"
            elif folded(name) in NOBODY and path[-2:-1] in (("to",), ("hears",)):
                hint = "did you mean 'nobody'?"
            self.add(path, f"unknown player '{name}'", hint, key=key)
        return name in players

    def has_model(self, name: str, path: Path, what: str, *, key: bool = False) -> None:
        """Check that a player is played by a model, as it must be for what it does."""
        if self.known(name, path, key=key) and name in self.people:
            self.add(path, f"'{name}' is a human and {what}", "choose a player with a model", key=key)

    def hearing(self, heard: str | tuple[str, ...] | None, path: Path, owner: str = "") -> list[str]:
        """Return names of others that stand in ``hears`` or ``to``; the wrong ones are noted."""
        others = []
        for number, name in enumerate(heard if isinstance(heard, tuple) else ()):
            if name == owner:
                self.add((*path, number), f"'{name}' always knows its own lines", "list only the other players")
            elif self.known(name, (*path, number)):
                others.append(name)
        return others

    def tools(self, wanted: tuple[str, ...] | None, path: Path) -> None:
        """Check that all these tools are defined."""
        for number, name in enumerate(wanted or ()):
            self.tool(name, (*path, number))

    def tool(self, name: str, path: Path) -> bool:
        """Check that a tool is defined."""
        tools = self.scene.tools
        if name not in tools:
            otherwise = f"define it under 'tools:'; known tools: {names.listed(tools) or 'none'}"
            self.add(path, f"unknown tool '{name}'", names.did_you_mean(name, tools, otherwise))
        return name in tools

    def tool_choice(self, choice: str | None, path: Path, may: Iterable[str]) -> None:
        """Check that a choice of tools can be made by whom may call some of them."""
        known = (*CHOICES, *self.scene.tools)
        if choice not in (None, *known):
            hint = names.did_you_mean(str(choice), known, "write 'auto', 'none', 'required', or a tool name")
            self.add(path, f"'tool_choice' must be 'auto', 'none', 'required', or a tool, not '{choice}'", hint)
        elif choice not in (None, *CHOICES, *may):
            self.add(path, f"the player may not call '{choice}'", "check 'tools:' of the player and of the line")

    def expect(self, expect: Expect | None, path: Path, speaker: str = "") -> None:
        """Check that the tools and the players that are expected are there."""
        if expect:
            for number, call in enumerate(expect.calls or ()):
                self.tool(call.tool, (*path, "calls", number, "tool"))
            self.hearing(expect.heard_by, (*path, "heard_by"), speaker)

    def sounds(self, name: str, path: Path, *, folder: bool = False) -> None:
        """Check that a sound, or a folder of them, that the scene names is there, and can be read to its end."""
        if self._is_there(name, path, folder=folder):
            file = names.resolve_path(self.scene.path, name)
            for problem in filter(None, map(self._problem, names.sounds_in(file) if folder else [file])):
                self.add(path, *problem)

    def picture(self, name: str, path: Path) -> None:
        """Check that a picture that the scene names is there, and is one."""
        if self._is_there(name, path):
            try:
                with names.resolve_path(self.scene.path, name).open("rb") as file:
                    names.picture_type(file.read(LFS_LARGEST), name, file.seek(0, SEEK_END))
            except UsageError as error:
                self.add(path, error.problem, error.hint)
            except OSError as error:
                self.add(path, f"'{name}' cannot be read: {error.strerror}", "check the permissions of the file")

    def _is_there(self, name: str, path: Path, *, folder: bool = False) -> bool:
        file = names.resolve_path(self.scene.path, name)
        what, other, is_one = ("folder", "file", FilePath.is_dir) if folder else ("file", "folder", FilePath.is_file)
        try:
            if is_one(file):
                return True
            is_other, is_lost = file.exists(), file.is_symlink()
            neighbours = [near.name for near in sorted(file.parent.iterdir()) if is_one(near)]
        except (OSError, ValueError):
            is_other, is_lost, neighbours = False, False, []
        if is_other:
            within = names.sounds_in(file) if file.is_dir() else []
            hint = f"did you mean '{name.rstrip('/')}/{within[0].name}'?" if within else f"choose a {what}"
            self.add(path, f"'{name}' is a {other}, but a {what} is expected", hint)
        elif is_lost:
            self.add(path, f"'{name}' is a link to a {what} that does not exist", "fix the link, or delete it")
        else:
            near, folder_name = names.did_you_mean(file.name, neighbours), file.parent.as_posix()
            place = "the current folder" if folder_name == "." else folder_name
            hint = f"{near} tau-stage looks in {place}" if near else f"tau-stage looks for {file.as_posix()}"
            if _ADDRESS.match(name):
                hint = f"a scene cannot use a web address: download the {what} and write its path"
            self.add(path, f"there is no {what} '{name}'", hint)
        return False

    def steps(self) -> None:
        """Check every step, wherever it stands."""
        for steps in self.scene.step_lists:
            sounding: model.AnyStep | None = None
            for step in steps:
                self.step(step)
                if isinstance(step, model.Line) and step.cut_in:
                    self.cut_in(step, step.cut_in.on, sounding)
                sounding = sounding if isinstance(step, model.ItemStep) else step

    def step(self, step: model.AnyStep) -> None:
        """Check one step."""
        if isinstance(step.when, model.When):
            self.condition(step.when.condition, (*step.path, "when"))
        self.step_itself(step)

    @singledispatchmethod
    def step_itself(self, step: model.AnyStep) -> None:
        """Check what only such a step has; of a pause it is nothing."""

    @step_itself.register
    def line(self, line: model.Line) -> None:
        """Check whom a line is said to, and what it may call."""
        path, player = line.path, self.scene.players[line.speaker]
        for name in self.hearing(line.to, (*path, "to"), line.speaker):
            if not self.scene.players[name].listens_to(line.speaker):
                here = (*path, "to", (line.to or ()).index(name))
                self.add(here, f"'{name}' does not hear '{line.speaker}'", f"check 'hears:' of player '{name}'")
        if line.words == "exact" and line.improvise is not None:
            hint = "write the words after the speaker, or remove this key"
            self.add((*path, "words"), "an improvised line has no exact words", hint, key=True)
        if line.pick and self.scene.takes_of(line) == 1:
            hint = "add 'takes: 3', or remove this key"
            self.add((*path, "pick"), "'pick' needs more than one take", hint, key=True)
        self.expect(line.expect, (*path, "expect"), line.speaker)
        self.tools(line.tools, (*path, "tools"))
        self.tool_choice(line.tool_choice, (*path, "tool_choice"), self.scene.tools_of(line, player))

    @step_itself.register
    def items(self, step: model.ItemStep) -> None:
        """Check into whose conversations items are put, and which sounds."""
        path = (*step.path, {"system": "prompt"}.get(step.role, step.role))
        for name in (*step.words, *step.wav):
            self.has_model(name, (*path, name), "has no model conversation", key=True)
        for name, file in step.wav.items():
            self.sounds(file, (*path, name, "wav"))

    @step_itself.register
    def sound_step(self, step: model.SoundStep) -> None:
        """Check a sound's file, and what ends it."""
        self.sounds(step.file, (*step.path, step.kind))
        if step.until not in (None, "end") and step.until not in self.line_ids:
            hint = names.did_you_mean(str(step.until), self.line_ids, "write 'end', or the id of a line")
            self.add((*step.path, "until"), f"unknown line '{step.until}'", hint)

    @step_itself.register
    def together(self, step: model.Together) -> None:
        """Check that lines at once are of different players."""
        seen: set[str] = set()
        for part in step.together:
            self.step(part)
            if isinstance(part, model.Line):
                if part.speaker in seen:
                    problem = f"'{part.speaker}' cannot speak twice at the same time"
                    self.add((*part.path, part.speaker), problem, "give the line to another player", key=True)
                if part.cut_in:
                    hint = "move the line out of 'together'"
                    self.add((*part.path, "cut_in"), "a line in 'together' cannot cut in", hint, key=True)
                seen.add(part.speaker)

    def cut_in(self, line: model.Line, wanted: str | None, before: model.AnyStep | None) -> None:
        """Check that what a line cuts into is the line just before it, by another player with a model."""
        path = (*line.path, "cut_in")
        named = (before.speaker, self.ids_by_place[before.path]) if isinstance(before, model.Line) else ()
        known = (*self.scene.players, *self.line_ids)
        if wanted not in (None, *known):
            hint = names.did_you_mean(str(wanted), known, "write the player who speaks just before this line")
            self.add((*path, "on"), f"'{wanted}' has no line to cut into", hint)
        elif not isinstance(before, model.Line) or wanted not in (None, *named):
            what = f"no line by '{wanted}'" if wanted else "no line"
            hint = "a line can cut in only on the line just before it"
            self.add(path, f"{what} is playing when this line cuts in", hint, key=True)
        elif before.speaker == line.speaker:
            self.add(path, f"'{line.speaker}' cannot cut into its own line", "cut into another player's line", key=True)
        elif before.speaker in self.people:
            hint = "only a model's line can be cut off"
            self.add(path, f"'{before.speaker}' is a human, and a human's line cannot be cut off", hint, key=True)

    @step_itself.register
    def improvise(self, step: model.Improvise) -> None:
        """Check who plays, and what ends it."""
        play, path = step.improvise, (*step.path, "improvise")
        for number, name in enumerate(play.players):
            self.has_model(name, (*path, "players", number), "cannot take part in an improvisation")
            if name in play.players[:number]:
                self.add((*path, "players", number), f"'{name}' is listed twice", "list each player once")
        playing = play.players or self.models
        if not isinstance(play.order, str):
            self.order(play.order, playing, (*path, "order"))
        if len(playing) < 2:
            self.add(
                path,
                "an improvisation needs at least two players",
                "for one player, write '- player:' with 'improvise:'",
            )
        if not any((play.turns, play.for_s, play.words, play.budget, self.errors.is_wrong(path))):
            self.add(path, "this improvisation never ends", "set one of these keys: 'turns', 'for', 'words', 'budget'")
        self.hearing(play.to, (*path, "to"))

    def order(self, order: tuple[str, ...], playing: Collection[str], path: Path) -> None:
        """Check that players who play take turns."""
        for number, name in enumerate(order):
            if self.known(name, (*path, number)) and name not in playing:
                self.add((*path, number), f"'{name}' does not take part in this improvisation", "check 'players:'")
        if len(set(order)) < 2 and not self.errors.is_wrong(path):
            hint = "a player cannot answer itself; add another player, or write 'order: round'"
            self.add(path, "'order' must list at least two different players", hint)

    @step_itself.register
    def listen(self, step: model.Listen) -> None:
        """Check who listens to whom, and what ends it."""
        mic, path = step.listen, (*step.path, "listen")
        if mic.player is not None:
            self.has_model(mic.player, (*path, "player"), "does not answer")
        elif len(self.models) != 1:
            several = f"set 'player' to one of: {names.listed(self.models)}"
            self.add(path, "'listen' needs a player", several if self.models else "add a player with a model")
        self.person(mic.from_, path)
        heard = [mic.from_] if mic.from_ in self.people else self.people
        is_live = any(self.scene.players[name].human in ("mic", "booth") for name in heard)
        if is_live and not any((mic.for_s, mic.turns, mic.until, mic.key, self.errors.is_wrong(path))):
            self.add(
                path, "this microphone stays open forever", "set one of these keys: 'for', 'turns', 'until', 'key'"
            )
        self.hearing(mic.to, (*path, "to"))
        self.listener(mic.player or next(iter(self.models), ""), path)

    def listener(self, name: str, path: Path) -> None:
        """Check that turns are not detected in what other players say."""
        player = self.scene.players.get(name, model.Player())
        ways = self.scene.said(player, "hearing"), self.scene.said(player, "hears_as", "audio")
        if ways == ("stream", "audio"):
            told = "listens to a microphone, so 'hearing: stream' cannot be used: each line would count as a turn"
            self.add(path, f"'{name}' {told}", f"write 'hearing: create_audio' for player '{name}'")

    def person(self, name: str | None, path: Path) -> None:
        """Check that it is clear who speaks into a microphone."""
        if name is None and len(self.people) != 1:
            several = f"set 'from' to one of: {names.listed(self.people)}"
            self.add(path, "'listen' needs a human player", several if self.people else f"add a player with {_HUMANS}")
        elif name not in (None, *self.people) and self.known(str(name), (*path, "from")):
            self.add((*path, "from"), f"'{name}' is not a human and has no microphone", f"add {_HUMANS} to the player")

    def condition(self, condition: model.Event | model.Not, path: Path) -> None:
        """Check that what is waited for, below a path, can happen."""
        if isinstance(condition, model.Not):
            self.condition(condition.condition, (*path, "not"))
        elif not isinstance(condition, model.SilenceEvent):
            here = (*path, EVENT_WORDS[type(condition)])
            known = condition.player is None or self.known(condition.player, (*here, "player"))
            tool = condition.tool if isinstance(condition, model.CallEvent) else None
            if tool is not None and self.tool(tool, (*here, "tool")) and known:
                self.may_call(condition.player or "", tool, (*here, "tool"))

    def may_call(self, name: str, tool: str, path: Path) -> None:
        """Check that the player that is to call a tool has it; no name is anybody."""
        player = self.scene.players.get(name, model.Player())
        if player.human:
            self.add(path, f"'{name}' is a human and cannot call a tool", "choose a player with a model")
        elif tool not in self.scene.tools_of(player):
            self.add(path, f"'{name}' has no tool '{tool}'", f"check 'tools:' of player '{name}'")

    @cached_property
    def ids_by_place(self) -> dict[Path, str]:
        """The ids of all lines, by where each stands."""
        return {line.path: line.id or made for made, line in written_lines(self.scene)}

    @cached_property
    def line_ids(self) -> dict[str, None]:
        """The ids of all lines, in order."""
        return dict.fromkeys(self.ids_by_place.values())

    def ids(self) -> None:
        """Check that no two lines have the same id."""
        automatic = {made: line for made, line in written_lines(self.scene) if line.id is None}
        written: dict[str, model.Line] = {}
        for line in [line for _, line in written_lines(self.scene) if line.id is not None]:
            here, short = (*line.path, "id"), str(line.id).casefold()
            if short in written:
                first = written[short].source_line
                self.add(here, f"the id '{line.id}' is already used on line {first} of the file", "choose another id")
            elif short in automatic:
                other = automatic[short].source_line
                problem = f"the id '{line.id}' is assigned automatically on line {other} of the file"
                self.add(here, problem, "choose another id, or give that line an id")
            elif MADE.fullmatch(short):
                self.add(here, f"the id '{line.id}' is reserved for the stage", "choose another id")
            written.setdefault(short, line)


def written_lines(scene: model.Scene) -> Iterator[tuple[str, model.Line]]:
    """Yield every line that is written down, with the id it has without one of its own."""
    for number, steps in enumerate(scene.step_lists):
        ordinals = Counter[str]()
        for line in (part for part in model.parts_of(steps) if isinstance(part, model.Line)):
            ordinals[line.speaker] += 1
            made = names.automatic_id(line.speaker, ordinals[line.speaker])
            yield (f"{names.cue_id(number)}-{made}" if number else made), line


def unfit_id(name: str) -> tuple[str, str] | None:
    """Return what is wrong with an id of a line, and what to do; None where nothing is.

    >>> unfit_id("keeper-3"), unfit_id("cue-1")
    (None, ("the id 'cue-1' is reserved for the stage", 'choose another id'))
    """
    try:
        line_id(name)
    except PydanticCustomError as error:
        facts = facts_of(error)
        unseen = hidden(name)
        return facts["problem"], f"remove the invisible {', '.join(unseen)}" if unseen else facts["hint"]
    if names.is_device(name):
        return f"the id '{name}' is the name of a Windows device and cannot be a file name", "choose another id"
    is_made = MADE.fullmatch(name.casefold())
    return (f"the id '{name}' is reserved for the stage", "choose another id") if is_made else None


LONGEST_NAME = 64

OF_PEOPLE = ("direction", "persona", "accent", "pace", "human", "pan", "stand_in")  # options of who may be a person

_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*]')


def check_names(players: Iterable[str], errors: Diagnostics) -> None:
    """Check that players' names can name files, and are no words of the language."""
    taken: dict[str, str] = {}
    for name in players:
        if wrong := unfit_name(name, taken):
            errors.add(("players", name), *wrong, key=True)
        taken.setdefault(names.slug(name), name)


def unfit_name(name: str, taken: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what is wrong with a player's name, and what to do; ``taken`` are the names before it, by file name."""
    short = names.slug(name)
    if name in model.RESERVED:
        return f"'{name}' is a reserved word and cannot be a player's name", "choose another name"
    if not re.search(r"[^\W_]", name) or len(name) > LONGEST_NAME or _UNFIT.search(name) or name != name.strip():
        hint = f"use letters, digits, spaces, '-' and similar characters, at most {LONGEST_NAME}, without / \\ : ? *"
        return f"'{name[:LONGEST_NAME]}' is not a valid player name, because names are used in file names", hint
    if unseen := hidden(name):
        return (
            f"the name '{name}' contains invisible characters: {', '.join(unseen)}",
            f"type it again: {visible(name)}",
        )
    if short.startswith(names.SOUND_STEMS):
        return f"'{name}' would have the same stem file name as a sound", "choose another name"
    if MADE.fullmatch(short):
        return f"'{name}' would have line ids that are reserved for the stage", "choose another name"
    if short in taken:
        return f"players '{taken[short]}' and '{name}' would have the same file name '{short}'", "rename one of them"
    return None


def check_scene(scene: model.Scene, errors: Diagnostics) -> None:
    """Check everything that reaches from one part of a scene to another."""
    checks = SceneChecks(scene, errors)
    for name, player in scene.players.items():
        path: Path = ("players", name)
        _check_voice(name, player, scene, errors)
        checks.hearing(player.hears, (*path, "hears"), name)
        _check_person(name, player, path, checks)
        checks.tools(player.tools, (*path, "tools"))
        checks.tool_choice(player.tool_choice, (*path, "tool_choice"), scene.tools_of(player))
    checks.tool_choice(scene.tool_choice, ("tool_choice",), scene.tools)
    for name, tool in scene.tools.items():
        _check_tool(name, tool, errors)
    checks.expect(scene.expect, ("expect",))
    _check_files(scene.deliver, checks)
    panned = [name for name, player in scene.players.items() if player.pan]
    if panned and not scene.deliver.stereo:
        problem = f"'pan' of player '{panned[0]}' has no effect in a mono mix"
        errors.remark(("players", panned[0], "pan"), problem, "write 'deliver: {stereo: true}', or remove this key")
    checks.steps()
    for cue in scene.on:
        checks.condition(cue.event, cue.path)
    checks.ids()
    if not scene.variant:  # the word may be in another variant
        _remark_unused_words(scene, errors)


def _remark_unused_words(scene: model.Scene, errors: Diagnostics) -> None:
    """Note words of ``pronounce`` that are in no line; those of a file that is included may be in other scenes."""
    if not (scene.pronounce or any(player.pronounce for player in scene.players.values())):
        return
    lines = [part for part in model.parts_of(chain(*scene.step_lists)) if isinstance(part, model.Line)]
    for name in ("", *scene.players):
        sounds, path = (scene.players[name].pronounce, ("players", name)) if name else (scene.pronounce, ())
        texts = [line.text for line in lines if name in ("", line.speaker)]
        for word in never_pronounced(texts, tuple(sounds.items())):
            place: Path = (*path, "pronounce", word)
            if errors.document.source_of(place) is errors.document.source:
                problem = f"'{word}' in 'pronounce' does not occur in any line" + (f" by {name}" if name else "")
                hint = "check its spelling, or remove it. A word in lowercase matches any case"
                errors.remark(place, problem, hint)


_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def _check_tool(name: str, tool: model.ToolDefinition, errors: Diagnostics) -> None:
    """Check that a tool's options fit each other and its name."""
    path: Path = ("tools", name)
    results = [*filter(tool.model_fields_set.__contains__, ("returns", "run", "command"))]
    if not _TOOL_NAME.fullmatch(name):
        hint = "use letters, digits, '_' and '-', at most 64"
        errors.add(path, f"'{name[:64]}' is not a valid tool name", hint, key=True)
    elif len(results) > 1:
        problem = f"tool '{name}' has both '{results[0]}' and '{results[1]}'"
        errors.add((*path, results[1]), problem, "remove one of them", key=True)
    elif "env" in tool.model_fields_set and not tool.is_code and not errors.is_wrong(path):
        errors.add(
            (*path, "env"), f"tool '{name}' does not run any code, so 'env' has no effect", "remove it", key=True
        )
    elif path in errors.document.sources and tool.is_code:
        problem = "a tool that runs code must be in the scene itself, not in an included file"
        errors.add(path, problem, "move it into the scene", key=True)
    if not any((results, errors.is_wrong(path))):
        hint = "write 'returns: {ok: true}', 'run: module:function', or 'command: [program]'"
        errors.add(path, f"tool '{name}' has no result", hint, key=True)


def _check_files(deliver: Deliver, checks: SceneChecks) -> None:
    """Check that no file has an option that its kind has not, nor a higher bit rate than its sample rate allows."""
    for name, files in (("mix", deliver.mix), ("lines", deliver.lines)):
        if files is not None:
            _check_file(files, ("deliver", name), files.rate or deliver.rate, checks)
    if deliver.mix and deliver.mix.cover:
        checks.picture(deliver.mix.cover, ("deliver", "mix", "cover"))


def _check_file(files: Mix | LineFiles, path: Path, rate: int, checks: SceneChecks) -> None:
    """Check one kind of file."""
    kind, wording = files.kind, "file: mix.{}" if isinstance(files, Mix) else "format: {}"
    for option, kinds in OF_KINDS.items():
        if getattr(files, option, None) is not None and kind not in kinds:
            problem = f"'{option}' is for {' and '.join(map(str.upper, kinds))} files, not for {kind.upper()}"
            hint = f"write {wording.format(kinds[-1])}, or remove this key"
            checks.errors.add((*path, option), problem, hint, key=True)
    if kind == "flac" and files.bits == "32f":
        checks.errors.add((*path, "bits"), "a FLAC file must have 16 or 24 bits", "write bits: 24, or use a WAV file")
    most = MOST_KBPS[rate]
    if kind == "mp3" and files.bitrate is not None and files.bitrate > most:
        problem = f"an MP3 at {rate / 1000:g} kHz can have at most {most} kbps, not {files.bitrate}"
        checks.errors.add((*path, "bitrate"), problem, f"write {most} kbps, or add 'rate: 48 kHz'")


def _check_voice(name: str, player: model.Player, scene: model.Scene, errors: Diagnostics) -> None:
    path: Path = ("players", name, "voice") if player.voice else ("voice",)
    voice, endpoint = scene.said(player, "voice"), scene.said(player, "endpoint")
    if endpoint is None and voice and names.endpoints_with(voice):
        return  # whoever performs the scene may choose that endpoint
    endpoint = endpoint or "openai"
    if voice and not player.human and not errors.is_wrong(path) and names.is_wrong_voice(voice, endpoint):
        voices = names.voices_of(endpoint) or ()
        hint = f"{names.did_you_mean(voice, voices)} voices: {', '.join(voices)}, or your own: voice_..."
        errors.add(path, f"{endpoint} has no voice '{voice}'", hint.strip())


def _check_person(name: str, player: model.Player, path: Path, checks: SceneChecks) -> None:
    """Check that a person has no voice of a model's, and a model no stand-in."""
    errors = checks.errors
    if player.human is None:
        if player.stand_in is not None:
            hint = "add 'human: mic', or remove this key"
            errors.add(
                (*path, "stand_in"), f"player '{name}' is not a human and does not need a stand-in", hint, key=True
            )
        return
    for key in sorted(player.model_fields_set.difference(OF_PEOPLE)):
        hint = "remove this key, or remove 'human:'"
        errors.add((*path, key), f"player '{name}' is a human and cannot have '{key}'", hint, key=True)
    if player.human not in LIVE:
        checks.sounds(player.human, (*path, "human"))
    if player.stand_in is not None:
        checks.sounds(player.stand_in, (*path, "stand_in"), folder=True)
