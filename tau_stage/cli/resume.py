"""``tau-stage resume``: a take that was stopped goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tau_stage.cli.options import AllowTools, Aloud, AsJson, Live, Quiet, StandIn, StreamTo
from tau_stage.cli.printing import say

if TYPE_CHECKING:
    from tau_stage.scene.plan import Plan
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.records import Record


OVER = ("complete", "incomplete")
"""How takes ended whose scene came to its end: there is nothing to go on with."""


def resume(
    take: Annotated[Path, typer.Argument(metavar="TAKE", help="A take's folder.", show_default=False)],
    anyway: Annotated[bool, typer.Option("--anyway", help="Though the scene has changed since.")] = False,
    budget: Annotated[
        str | None, typer.Option(help="What the take may cost in all, like '$2'. Default: as before.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Play here: a name or a URL. Default: where it was played before.")
    ] = None,
    live: Live = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    allow_tools: AllowTools = False,
    stand_in: StandIn = False,
    aloud: Aloud = None,
    stream: StreamTo = None,
) -> None:
    """Go on with a take that was stopped, in its own folder.

    Lines that are finished are neither performed nor paid again; a line that was cut is performed again.
    """
    from tau_stage.cli.performing import Wish, perform_plans
    from tau_stage.cli.run import dollars
    from tau_stage.cli.settings import read_settings

    folder, journal = _opened(take)
    if (code := tell_if_over(folder, quiet=quiet, as_json=as_json)) is not None:
        raise typer.Exit(code)
    wish = Wish(
        out=folder.path.parent,
        endpoint=endpoint,
        live=live,
        budget=dollars(budget),
        allow_tools=allow_tools or read_settings().allow_tools,
        stand_in=stand_in,
        aloud=False if aloud is None and stand_in else aloud,
        resumed={0: folder},
    )
    plan = plan_of(folder, journal, anyway=anyway)
    perform_plans([plan], wish, quiet=quiet, as_json=as_json, stream=stream)


def tell_if_over(folder: TakeFolder, *, quiet: bool, as_json: bool) -> int | None:
    """Say that a take's scene came to its end, if it did; what was still to be made of it is made now.

    Returns:
        The exit code; None where there is something to go on with.
    """
    from tau_stage.cli.performing import EXITS, tell, tell_how_to_go_on
    from tau_stage.report.rebuild import rebuild
    from tau_stage.take.beginning import beginning
    from tau_stage.take.fold import fold
    from tau_stage.take.folder import MANIFEST
    from tau_stage.take.journal import read_journal

    journal = read_journal(folder.journal)
    take, mix = fold(journal), beginning(journal).deliver.mix
    if take.ended not in OVER:
        return None
    made: list[str] = []
    if not all((folder.path / name).exists() for name in (MANIFEST, *([mix.file] if mix else []))):
        take, made = rebuild(folder)
        if take.ended == "complete":
            folder.make_latest()
    if not (quiet or as_json):
        say(*made, f"the take is {take.ended}", sep="\n")
    tell(folder, take, quiet=quiet, as_json=as_json)
    tell_how_to_go_on(folder, take)
    return EXITS[take.ended]


def _opened(path: Path) -> tuple[TakeFolder, Sequence[Record]]:
    """A take that can be resumed.

    Raises:
        TakeError: There is none.
        UsageError: It is a retake.
    """
    from tau_stage.errors import TakeError, UsageError
    from tau_stage.take.beginning import beginning
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.journal import NAME, read_journal
    from tau_stage.take.reading import read_take

    found = read_take(path)[0].path
    folder = TakeFolder(found.resolve() if found.is_symlink() else found)
    if not folder.journal.is_file():
        raise TakeError(str(folder.path), f"has no {NAME}, and so cannot go on", "perform the scene again")
    journal = read_journal(folder.journal)
    if former := beginning(journal).former:
        raise UsageError(f"{path}: the take is a retake, and those do not go on", f"retake the line of {former} again")
    return folder, journal


def plan_of(folder: TakeFolder, journal: Sequence[Record], *, anyway: bool) -> Plan:
    """The plan of a take, each model where it was played before.

    Raises:
        SceneError: The scene is wrong by now.
        UsageError: The scene has changed.
    """
    from tau_stage.errors import UsageError
    from tau_stage.scene.load import load_variants
    from tau_stage.scene.planning import make_plan
    from tau_stage.stage.resuming import changes
    from tau_stage.take.beginning import beginning

    began = beginning(journal)
    (scene,) = load_variants(began.path, began.given, began.variant or None)
    plan = make_plan(scene)
    if not anyway and (found := changes(journal, plan)):
        told = "\n".join(f"  {line}" for line in found)
        problem = f"{began.path}: the scene has changed since the take was performed\n{told}"
        raise UsageError(problem, f"go on with the scene as it is: tau-stage resume {folder.path} --anyway")
    places = {role.name: role.endpoint for role in began.roles if role.endpoint}
    players = tuple(replace(player, endpoint=places.get(player.name, player.endpoint)) for player in plan.players)
    return replace(plan, players=players)


def newest_unfinished(out: Path, plans: list[Plan]) -> dict[int, TakeFolder]:
    """The newest take of each scene that can go on, by the place of its plan, which is put in order for it.

    Raises:
        UsageError: A scene has changed since.
    """
    resumed: dict[int, TakeFolder] = {}
    for number, plan in enumerate(plans):
        if found := _newest_unfinished(out, plan):
            resumed[number], plans[number] = found
    return resumed


def _newest_unfinished(out: Path, plan: Plan) -> tuple[TakeFolder, Plan] | None:
    from tau_stage.errors import TakeError
    from tau_stage.take.beginning import beginning
    from tau_stage.take.fold import fold
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.journal import read_journal
    from tau_stage.take.lock import is_claimed

    for path in sorted((out / plan.slug).glob("*/journal.jsonl"), reverse=True):
        folder = TakeFolder(path.parent)
        try:
            journal = read_journal(path)
            began = beginning(journal)
            is_ours = dict(began.given) == dict(plan.given) and began.variant == plan.variant and not began.former
            if path.parent.is_symlink() or not is_ours or fold(journal).ended in OVER or is_claimed(path.parent):
                continue
        except TakeError:  # nothing that could go on
            continue
        return folder, plan_of(folder, journal, anyway=False)
    return None
