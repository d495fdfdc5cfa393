"""``tau-stage show``: what each player and each line of a scene resolves to."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tau_stage.scene.plan import LinePlan, Plan, PlayerPlan, PromptPlan

PLAYER_COLUMNS = ("player", "voice", "model", "endpoint", "speed", "output", "told before the first line")
STEP_COLUMNS = ("at", "id", "player", "direction", "words", "heard by", "then")


def show(
    scene: Annotated[str, typer.Argument(metavar="SCENE", help="A scene file.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole plan as JSON.")] = False,
) -> None:
    """Show what every line resolves to."""
    from tau_stage.scene.load import load_scene
    from tau_stage.scene.plan import make_plan

    plan = make_plan(load_scene(scene))
    if as_json:
        print(json.dumps(asdict(plan), default=str, indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_tables(plan)
    else:
        print("\n".join(_plain(plan)))


def _player(player: PlayerPlan) -> tuple[str, ...]:
    return (
        player.name,
        player.voice,
        player.model,
        player.endpoint or "any",
        "-" if player.speed is None else f"{player.speed:g}",
        player.output + (f", {player.max_output_tokens} tokens" if player.max_output_tokens else ""),
        player.instructions,
    )


def _step(step: LinePlan | PromptPlan) -> Iterator[tuple[str, ...]]:
    from tau_stage.scene.plan import LinePlan

    at = str(step.source_line)
    if isinstance(step, LinePlan):
        cap = f", {step.max_output_tokens} tokens" if step.max_output_tokens else ""
        hearers = ", ".join(step.hearers) or "nobody"
        yield (at, step.id, step.player, step.direction or "-", step.words, hearers, f"{step.pause_s:g}s{cap}")
    else:
        for name, words in step.prompts:
            yield (at, "prompt", name, "-", words, "-", "-")


def _summary(plan: Plan) -> str:
    budget = "no budget" if plan.budget is None else f"budget ${plan.budget}"
    return f"{plan.title} ({plan.path}): {budget}, sessions open {plan.opening_gap_s:g}s apart"


def _plain(plan: Plan) -> Iterator[str]:
    """Each fact on its own line, after the name of what it belongs to: for people, grep and diff."""
    yield _summary(plan)
    for player in plan.players:
        yield f"\nplayer {player.name}"
        yield from _facts(PLAYER_COLUMNS[1:], _player(player)[1:])
    for step in plan.steps:
        for at, name, *rest in _step(step):
            yield f"\nline {at}: {name}"
            yield from _facts(STEP_COLUMNS[2:], tuple(rest))


def _facts(names: tuple[str, ...], values: tuple[str, ...]) -> Iterator[str]:
    for name, value in zip(names, values, strict=True):
        if value not in ("", "-"):
            yield f"  {name}: " + value.replace("\n", "\n    ")


def _print_tables(plan: Plan) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(_summary(plan), style="bold"))
    players = [_player(player) for player in plan.players]
    steps = [row for step in plan.steps for row in _step(step)]
    for columns, rows in ((PLAYER_COLUMNS, players), (STEP_COLUMNS, steps)):
        table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
