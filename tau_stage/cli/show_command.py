"""``tau-stage show``: what each player and each line of a scene resolves to."""

from __future__ import annotations

import sys
from itertools import starmap
from typing import TYPE_CHECKING, Annotated, assert_never

import typer

from tau_stage import report
from tau_stage import scene as scenes
from tau_stage.cli.options import OneScene, Only, Var
from tau_stage.cli.printing import console, is_plain, say, say_json, show_report
from tau_stage.errors import format_if
from tau_stage.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator


Row = tuple[str, ...]

PLAYER_COLUMNS: Row = ("player", "voice", "model", "endpoint", "speed", "output", "pan", "instructions and setup")
STEP_COLUMNS: Row = ("at", "id", "player", "direction", "words", "heard by", "settings")

WIDE = 100  # columns that the tables need; in a narrower window each fact has its line


def show(
    scene: OneScene,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole plan as JSON.")] = False,
    var: Var = None,
    only: Only = None,
) -> None:
    """Show the resolved settings of each player and line."""
    from tau_stage.cli.scene_files import load_plans

    for plan in load_plans([scene], variables=var, only=only):
        if as_json:
            say_json(scenes.plan_json(plan))
        elif not is_plain(sys.stdout) and console().width >= WIDE:
            show_report(_tabulate(plan))
        else:
            say("\n".join(_plain(plan)))


def _player(player: scenes.PlayerPlan) -> tuple[str, ...]:
    if player.human:
        told = format_if("recordings in {} when the person is absent", player.stand_in)
        return (player.name, "-", "-", f"human: {player.human}", "-", "-", _pan(player), told)
    setup = (f"{role}: {words}" for role, words in player.setup)
    as_text = player.hears_as == "text"
    names = format_if(" with speaker names", player.label_speakers)
    further = _known(
        ("may call {}", ", ".join(player.tools)),
        (f"hears {player.hears_as}{names}", names or as_text),
        ("hears lines as they are spoken", player.hearing == "stream" and not as_text),
        ("pronounces {}", ", ".join(f"{word} as {sound}" for word, sound in player.pronounce)),
    )
    return (
        player.name,
        player.voice,
        player.model,
        player.endpoint or "any",
        "-" if player.speed is None else f"{player.speed:g}",
        ", ".join([player.output, *_known(("at most {} tokens", player.max_output_tokens))]),
        _pan(player),
        "\n".join([*_known(("{}", player.instructions)), *setup, *further]),
    )


def _known(*facts: tuple[str, object]) -> list[str]:
    """Write those of some facts that there are, each by its format."""
    return [*filter(None, starmap(format_if, facts))]


def _pan(player: scenes.PlayerPlan) -> str:
    return format_if("{:g}", player.pan) or "-"


def _step(step: scenes.Step) -> Iterator[Row]:

    at = str(step.source_line)
    match step:
        case scenes.plan.LinePlan():
            yield _line(step)
        case scenes.plan.ItemPlan():
            yield from _items(step)
        case scenes.plan.PausePlan():
            yield (at, "pause", "-", "-", "-", "-", f"{step.seconds:g}s")
        case scenes.plan.ChapterPlan():
            yield (at, "chapter", "-", "-", step.title, "-", "-")
        case scenes.plan.SoundPlan():
            yield _sound(step)
        case scenes.plan.TogetherPlan():
            yield from ((*row[:-1], "together") for part in step.parts for row in _step(part))
        case scenes.plan.ImprovisePlan():
            order = step.order if isinstance(step.order, str) else ", ".join(step.order)
            yield (at, step.id, ", ".join(step.players), order, "improvisation", "all listeners", _ends(step))
        case scenes.plan.ListenPlan():
            yield (at, step.id, step.player, "-", _microphone(step), "-", _ends(step))
        case _:
            assert_never(step)


def _items(step: scenes.ItemPlan) -> Iterator[Row]:
    kind = "prompt" if step.role == "system" else step.role
    for name, words in (*step.words, *((name, f"[{file}]") for name, file in step.sounds)):
        yield (str(step.source_line), kind, name, "-", words, "-", "-")


def _sound(step: scenes.SoundPlan) -> Row:
    until = f"until {step.until or 'the scene ends'}" if step.kind == "bed" else f"{step.pause_s:g}s pause"
    facts = (step.id, "-", f"{step.gain_db:+g} dB", f"[{step.file}]", _names(step.hearers), until)
    return (str(step.source_line), *facts)


def _microphone(step: scenes.ListenPlan) -> str:
    """Tell whose voice it is, and who writes down what it says."""
    asked = dict(step.transcription or ())
    writer = "nobody" if step.transcription == () else asked.pop("model", "the server's default model")
    further = format_if(" ({})", ", ".join(f"{key} {value}" for key, value in asked.items()))
    return f"open microphone for {step.person}, transcribed by {writer}{further}"


def _line(step: scenes.LinePlan) -> Row:
    further = _known(
        ("at most {} tokens", step.max_output_tokens),
        ("cut off after {0.heard_s:g}s", step.cut),
        ("cuts into {}", step.cuts),
        ("at most {:g}s", step.timeout_s),
        ("not remembered", step.apart),
        ("exact words, at most {} takes", step.exact and step.takes),
        ("{} takes", not step.exact and step.takes > 1 and step.takes),
        ("only if its condition is met", step.when),
    )
    words = f"(improvises) {step.prompt}".strip() if step.improvised else step.words
    facts = (str(step.source_line), step.id, step.player, step.direction or "-", words, _names(step.hearers))
    return (*facts, ", ".join([f"{step.pause_s:g}s pause", *further]))


def _names(hearers: tuple[str, ...]) -> str:
    return ", ".join(hearers) or "nobody"


def _ends(step: scenes.ImprovisePlan | scenes.ListenPlan) -> str:
    """Say what ends a step that has no fixed length."""
    own = {"key {}": "key", "{} words": "words", "${}": "budget"}
    ends = _known(
        ("{} turns", step.turns),
        ("{:g}s", step.for_s),
        ("'{}' is said", step.until),
        *((form, getattr(step, name, None)) for form, name in own.items()),
    )
    return "until " + (" or ".join(ends) or "the scene ends")


def _summary(plan: scenes.Plan) -> str:
    budget = "no budget" if plan.budget is None else f"budget ${plan.budget}"
    apart = "one at a time" if plan.opening_gap_s is None else f"{plan.opening_gap_s:g}s apart"
    return f"{plan.title} ({plan.path}): {budget}, sessions open {apart}"


def _delivered(plan: scenes.Plan) -> str:
    """Say what is made of the take."""
    wanted = plan.deliver
    mix = wanted.mix
    made = [f"{mix.file} at {_file(mix)}" if mix else "no mix"]
    made += _known(("packed stems", wanted.stems == "packed"))
    if lines := wanted.lines:
        form = format_if(" at {}", _file(lines))
        made.append(f"{format_if('trimmed ', lines.trim)}lines as {lines.names}.{lines.kind}{form}")
    return f"delivers {', '.join(made)}; {wanted.rate // 1000} kHz, {'stereo' if wanted.stereo else 'mono'}"


def _file(wanted: scenes.FileOptions) -> str:
    """Say how loud a file is to be, and what else is asked for."""
    return ", ".join(
        _known(
            ("{}", wanted.level),
            ("at most {:g} dBTP", wanted.ceiling),
            ("{:g} kHz", wanted.rate and wanted.rate / 1000),
            ("{} bit", wanted.bits),
            ("{} kbps", wanted.bitrate),
            ("{:g} s of silence before it", wanted.head),
            ("{:g} s of silence after it", wanted.tail),
        )
    )


def _plain(plan: scenes.Plan) -> Iterator[str]:
    """Yield each fact on its own line, after the name of what it belongs to: for people, grep and diff."""
    yield _summary(plan)
    yield _delivered(plan)
    for player in plan.players:
        yield f"\nplayer {player.name}"
        yield from _facts(PLAYER_COLUMNS[1:], _player(player)[1:])
    for steps, about in _strands(plan):
        if about:
            yield f"\n{about}"
        for step in steps:
            if isinstance(step, scenes.ChapterPlan):
                yield f"\nchapter at line {step.source_line}: {step.title}"
                continue
            for at, name, *rest in _step(step):
                yield f"\nline {at}: {name}"
                yield from _facts(STEP_COLUMNS[2:], tuple(rest))


def _strands(plan: scenes.Plan) -> Iterator[tuple[tuple[scenes.Step, ...], str]]:
    """Yield the scene's own steps, then those of each cue, with what it waits for."""
    words = {model: word for word, model in scenes.EVENTS.items()}
    yield plan.steps, ""
    for cue in plan.cues:
        facts = ", ".join(f"{name} {value}" for name, value in cue.event.model_dump(exclude_none=True).items())
        times = format_if(", at most {}", cue.times and counted(cue.times, "time"))
        yield cue.steps, f"{cue.id}: on {words[type(cue.event)]} ({facts or 'any'}){times}"


def _facts(names: tuple[str, ...], values: tuple[str, ...]) -> Iterator[str]:
    for name, value in zip(names, values, strict=True):
        if value not in ("", "-"):
            yield f"  {name}: " + value.replace("\n", "\n    ")


def _tabulate(plan: scenes.Plan) -> report.TextReport:

    tables = [
        report.TextTable(PLAYER_COLUMNS, [_player(player) for player in plan.players], range(len(PLAYER_COLUMNS)))
    ]
    for steps, about in _strands(plan):
        rows = [row for step in steps for row in _step(step)]
        tables.append(report.TextTable(STEP_COLUMNS, rows, range(len(STEP_COLUMNS)), title=about))
    return report.TextReport((_summary(plan), _delivered(plan)), tables)
