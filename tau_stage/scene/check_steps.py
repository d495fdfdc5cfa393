"""Whether the steps of a scene fit its players, its tools, its files and each other."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain

from tau_stage.scene.model import Scene
from tau_stage.scene.references import References
from tau_stage.scene.steps import AnyStep, Improvise, Line, Listen, Sound, Together, Told
from tau_stage.scene.text import Path
from tau_stage.scene.words import automatic_id, cue_id, did_you_mean, listed

MADE = re.compile(r"(improvise|listen)-\d+(-.*)?|cue-\d+(-.*\.\d+)?")
"""Ids that the stage gives to what is not written down, and to cues that start again."""

_HUMANS = "'human: mic', 'human: tty' or 'human: file.wav'"


class Checks(References):
    """Checks the steps of one scene; what is wrong is noted."""

    # ---- steps

    def steps(self) -> None:
        """Check every step, wherever it stands."""
        for steps in (self.scene.lines, *(cue.do for cue in self.scene.on)):
            sounding: AnyStep | None = None
            for step in steps:
                self.step(step)
                if isinstance(step, Line) and step.cut_in:
                    self.cut_in(step, step.cut_in.on, sounding)
                if not isinstance(step, Told):
                    sounding = step

    def step(self, step: AnyStep) -> None:
        """Check one step."""
        if not isinstance(step.when, bool | None):
            self.condition(step.when, (*step.path, "when"))
        match step:
            case Line():
                self.line(step)
            case Told():
                word = {"system": "prompt"}.get(step.role, step.role)
                for name in (*step.told, *step.wav):
                    self.model(name, (*step.path, word, name), "knows its own mind", key=True)
                for name, file in step.wav.items():
                    self.sound(file, (*step.path, word, name, "wav"))
            case Sound():
                self.sound(step.file, (*step.path, step.kind))
                if step.until not in (None, "end") and step.until not in self.line_ids:
                    hint = did_you_mean(str(step.until), self.line_ids, "write 'end', or the id of a line")
                    self.found.add((*step.path, "until"), f"there is no line '{step.until}'", hint)
            case Together():
                self.together(step)
            case Improvise():
                self.improvise(step)
            case Listen():
                self.listen(step)
            case _:
                pass

    def line(self, line: Line) -> None:
        """Check a line's hearers and tools."""
        player = self.scene.players[line.speaker]
        if line.to is not None:
            for name in self.hearing(line.to, (*line.path, "to"), line.speaker):
                if not self.scene.players[name].listens_to(line.speaker):
                    here = (*line.path, "to", line.to.index(name))
                    self.found.add(
                        here, f"'{name}' does not hear '{line.speaker}'", f"look at 'hears:' of player '{name}'"
                    )
        if line.pick and line.takes == 1:
            hint = "write 'takes: 3' beside it, or remove it"
            self.found.add((*line.path, "pick"), "there is nothing to pick from", hint, key=True)
        if line.expect:
            self.expect(line.expect, (*line.path, "expect"), line.speaker)
        self.tools(line.tools, (*line.path, "tools"))
        may = player.tools if line.tools is None else line.tools
        self.tool_choice(line.tool_choice, (*line.path, "tool_choice"), may)

    def together(self, step: Together) -> None:
        """Check that lines at once are of different players."""
        seen: set[str] = set()
        for part in step.together:
            self.step(part)
            if isinstance(part, Line):
                if part.speaker in seen:
                    problem = f"'{part.speaker}' cannot speak twice at once"
                    self.found.add((*part.path, part.speaker), problem, "give the line to another player", key=True)
                if part.cut_in:
                    hint = "'together' begins at once; a line that cuts in stands on its own"
                    self.found.add((*part.path, "cut_in"), "a line of 'together' cuts into nothing", hint, key=True)
                seen.add(part.speaker)

    def cut_in(self, line: Line, wanted: str | None, before: AnyStep | None) -> None:
        """Check that what a line cuts into is the line just before it, by another player with a model."""
        path = (*line.path, "cut_in")
        names = (before.speaker, self.ids_by_place[before.path]) if isinstance(before, Line) else ()
        if wanted is not None and wanted not in self.scene.players and wanted not in self.line_ids:
            hint = did_you_mean(
                wanted, chain(self.scene.players, self.line_ids), "name the player who speaks before it"
            )
            self.found.add((*path, "on"), f"there is no line of '{wanted}' to cut into", hint)
        elif not isinstance(before, Line) or wanted not in (None, *names):
            hint = "it cuts into the line that stands just before it"
            what = f"no line of '{wanted}'" if wanted else "no line"
            self.found.add(path, f"{what} sounds when this one cuts in", hint, key=True)
        elif before.speaker == line.speaker:
            self.found.add(
                path, f"'{line.speaker}' cannot cut into its own line", "cut into another player's line", key=True
            )
        elif self.scene.players[before.speaker].human:
            hint = "only a model's line can be cut"
            self.found.add(path, f"'{before.speaker}' is a human, and stops when it likes", hint, key=True)

    def improvise(self, step: Improvise) -> None:
        """Check who plays, and what ends it."""
        here = (*step.path, "improvise")
        named: set[str] = set()
        for number, name in enumerate(step.players):
            self.model(name, (*here, "players", number), "improvises on a line of its own")
            if name in named:
                self.found.add((*here, "players", number), f"'{name}' stands here twice", "name each player once")
            named.add(name)
        playing = step.players or [name for name, player in self.scene.players.items() if not player.human]
        if not isinstance(step.order, str):
            for number, name in enumerate(step.order):
                if self.known(name, (*here, "order", number)) and name not in playing:
                    self.found.add((*here, "order", number), f"'{name}' does not play here", "look at 'players:'")
            if len(set(step.order)) < 2 and not self.found.is_wrong((*here, "order")):
                hint = "nobody answers itself; name another, or write 'order: round'"
                self.found.add((*here, "order"), "an order names two different players or more", hint)
        if len(playing) < 2:
            self.found.add(here, "free play needs two players or more", "for one, write '- player:' with 'improvise:'")
        if not (step.turns or step.for_s or step.words or step.budget or self.found.is_wrong(here)):
            self.found.add(here, "this play never ends", "give it turns, for, words or a budget")
        if step.to is not None:
            self.hearing(step.to, (*here, "to"), "")

    def listen(self, step: Listen) -> None:
        """Check who listens to whom, and what ends it."""
        here = (*step.path, "listen")
        models = [name for name, player in self.scene.players.items() if not player.human]
        people = [name for name, player in self.scene.players.items() if player.human]
        if step.player is not None:
            self.model(step.player, (*here, "player"), "does not answer")
        elif len(models) != 1:
            self.found.add(here, "who listens?", f"name the player: {listed(models) or 'none has a model'}")
        if step.from_ is None and len(people) != 1:
            hint = f"name the human with 'from': {listed(people)}" if people else f"add a player with {_HUMANS}"
            self.found.add(here, "whom does it listen to?", hint)
        elif step.from_ is not None and self.known(step.from_, (*here, "from")) and step.from_ not in people:
            hint = f"give the player {_HUMANS}"
            self.found.add((*here, "from"), f"'{step.from_}' is no human, and has no microphone", hint)
        heard = [step.from_] if step.from_ in people else people
        ends = step.for_s or step.turns or step.until or step.key
        if (
            not ends
            and not self.found.is_wrong(here)
            and any(self.scene.players[name].human == "mic" for name in heard)
        ):
            self.found.add(here, "this microphone stays open for ever", "end it with for, turns, until or key")
        if step.to is not None:
            self.hearing(step.to, (*here, "to"), "")

    # ---- cues

    def cues(self) -> None:
        """Check what cues wait for."""
        for cue in self.scene.on:
            self.condition(cue.event, cue.path)

    # ---- ids

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
        written: dict[str, Line] = {}
        for _, line in written_lines(self.scene):
            if line.id is None:
                continue
            here, short = (*line.path, "id"), line.id.casefold()
            if short in written:
                first = written[short].source_line
                self.found.add(here, f"the id '{line.id}' is taken by line {first}", "choose another")
            elif short in automatic:
                other = automatic[short].source_line
                problem = f"the id '{line.id}' is what the line at {other} is called, as it has no id of its own"
                self.found.add(here, problem, "choose another, or give that line an id")
            elif MADE.fullmatch(short):
                self.found.add(here, f"the id '{line.id}' is one that the stage gives itself", "choose another")
            written.setdefault(short, line)


def written_lines(scene: Scene) -> Iterator[tuple[str, Line]]:
    """Yield every line that is written down, with the id it has without one of its own."""
    for number, steps in enumerate((scene.lines, *(cue.do for cue in scene.on))):
        ordinals: dict[str, int] = {}
        for line in spoken(steps):
            ordinals[line.speaker] = ordinals.get(line.speaker, 0) + 1
            made = automatic_id(line.speaker, ordinals[line.speaker])
            yield (f"{cue_id(number)}-{made}" if number else made), line


def spoken(steps: Sequence[AnyStep]) -> Iterator[Line]:
    """Yield the lines among steps, in order, those of groups too."""
    for step in steps:
        if isinstance(step, Line):
            yield step
        elif isinstance(step, Together):
            yield from (part for part in step.together if isinstance(part, Line))
