"""``tau-stage resume``: a take that was stopped goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tau_stage.cli.options import AllowTools, Aloud, AsJson, Live, Quiet, StandIn, StreamTo
from tau_stage.cli.printing import say, warn

if TYPE_CHECKING:
    from tau_stage.scene.plan import Plan
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.records import Record
    from tau_stage.take.reuse import Former


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
    from tau_stage.cli.run_command import dollars
    from tau_stage.cli.settings import read_settings
    from tau_stage.take.fold import fold

    folder, journal = _opened(take)
    if fold(journal).ended in OVER:
        raise typer.Exit(tell_end(folder, anyway=anyway, quiet=quiet, as_json=as_json))
    plan, former = plan_of(folder, journal, anyway=anyway)
    wish = Wish(
        out=folder.path.parent,
        endpoint=endpoint,
        live=live,
        budget=dollars(budget),
        allow_tools=allow_tools or read_settings().allow_tools,
        stand_in=stand_in,
        aloud=False if aloud is None and stand_in else aloud,
        resumed={0: folder},
        former=former,
    )
    perform_plans([plan], wish, quiet=quiet, as_json=as_json, stream=stream)


def tell_end(folder: TakeFolder, *, anyway: bool = False, quiet: bool, as_json: bool) -> int:
    """Tell of a take whose scene came to its end; what was not made of it, or not judged, is made and judged now.

    Returns:
        The exit code, as of the run.
    """
    from tau_stage.cli.delivering import TAKE_SPOILED, finish
    from tau_stage.cli.performing import EXITS, tell, tell_how_to_go_on
    from tau_stage.cli.progress import open_status
    from tau_stage.errors import TakeError

    try:
        with open_status(quiet=quiet or as_json) as note:
            take, made, code = finish(folder, anyway=anyway, note=note)
        told = "" if anyway else _changed(folder)
    except TakeError as error:
        warn(error)
        return TAKE_SPOILED
    if not (quiet or as_json):
        say(f"the take is {take.ended}")
    if told:
        warn(told)
    tell(folder, take, made, quiet=quiet, as_json=as_json)
    tell_how_to_go_on(folder, take)
    return max(code, EXITS[take.ended])


def _changed(folder: TakeFolder) -> str:
    """Return what to say of a finished take whose scene is another by now, or none; empty: it is the same."""
    from tau_stage.errors import StageError
    from tau_stage.take.journal import read_journal

    try:
        plan_of(folder, read_journal(folder.journal), anyway=False)
    except StageError as error:
        problem = str(error).partition("\n")[0]
        return f"{problem}; what is there is left as it is: perform it again with tau-stage run"
    return ""


def _opened(path: Path) -> tuple[TakeFolder, Sequence[Record]]:
    """Open a take that can be resumed.

    Raises:
        TakeError: There is none.
    """
    from tau_stage.errors import TakeError
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.journal import JOURNAL, read_journal
    from tau_stage.take.reading import read_take

    found = read_take(path)[0].path
    folder = TakeFolder(found.resolve() if found.is_symlink() else found)
    if not folder.journal.is_file():
        raise TakeError(str(folder.path), f"has no {JOURNAL}, and so cannot go on", "perform the scene again")
    return folder, read_journal(folder.journal)


def plan_of(folder: TakeFolder, journal: Sequence[Record], *, anyway: bool) -> tuple[Plan, Former]:
    """Make the plan of a take, each model where it was played before.

    Raises:
        SceneError: The scene is wrong by now.
        TakeError: The take that it takes lines from cannot be read.
        UsageError: The scene has changed.
    """
    from tau_stage.cli.retake_command import plan_retake
    from tau_stage.errors import UsageError
    from tau_stage.scene.load import load_variants
    from tau_stage.scene.planner import make_plan
    from tau_stage.stage.replay import changes
    from tau_stage.take.fold import beginning
    from tau_stage.take.reading import read_take
    from tau_stage.take.reuse import NOTHING

    began, former = beginning(journal), NOTHING
    if began.retake:
        plan, former = plan_retake(*read_take(Path(began.former)), began.retake, anyway=True)
    else:
        (scene,) = load_variants(began.path, began.given, [began.variant] if began.variant else ())
        plan = make_plan(scene)
    if not anyway and (found := changes(journal, plan)):
        told = "\n".join(f"  {line}" for line in found)
        problem = f"{began.path}: the scene has changed since the take was performed\n{told}"
        raise UsageError(problem, f"go on with the scene as it is: tau-stage resume {folder.path} --anyway")
    places = {role.name: role.endpoint for role in began.roles if role.endpoint}
    players = tuple(replace(player, endpoint=places.get(player.name, player.endpoint)) for player in plan.players)
    return replace(plan, players=players), former


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of scenes already.

    Attributes:
        finished: Takes whose scenes came to their end; these are not performed again.
        plans: What is to be performed.
        resumed: Takes that go on, by the place of their plan.
    """

    finished: list[TakeFolder] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    resumed: dict[int, TakeFolder] = field(default_factory=dict)


def find_takes(out: Path, plans: Sequence[Plan], *, endpoint: str | None, live: bool) -> Found:
    """Find the newest take of each scene and variant: whether it is finished, goes on, or there is none.

    Args:
        out: Where takes go.
        plans: The scenes.
        endpoint: Where they are to be played, if not as they say.
        live: Whether they are to be played by real models.

    Raises:
        UsageError: A scene has changed since it was stopped.
    """
    from tau_stage.take.fold import fold

    found = Found()
    for plan in plans:
        folder, journal = _newest(out, plan)
        if folder is None:
            found.plans.append(plan)
        elif fold(journal).ended not in OVER:
            found.resumed[len(found.plans)] = folder
            found.plans.append(plan_of(folder, journal, anyway=False)[0])
        elif _is_the_same(journal, plan, endpoint, live=live):
            found.finished.append(folder)
        else:
            found.plans.append(plan)
    return found


def _is_the_same(journal: Sequence[Record], plan: Plan, endpoint: str | None, *, live: bool) -> bool:
    """Tell whether a take is of a scene as it is now, and was played where it is to be played."""
    from tau_stage.stage.replay import changes
    from tau_stage.take.fold import beginning

    began = beginning(journal)
    elsewhere = endpoint is not None and any(role.endpoint not in ("", endpoint) for role in began.roles)
    return not elsewhere and not (live and not began.spent) and not changes(journal, plan)


def _newest(out: Path, plan: Plan) -> tuple[TakeFolder | None, Sequence[Record]]:
    """Find the newest take of a scene and variant that is no retake, and that nobody writes now."""
    from tau_stage.errors import TakeError
    from tau_stage.take.fold import beginning
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.journal import read_journal
    from tau_stage.take.lock import is_locked

    for path in sorted((out / plan.slug).glob("*/journal.jsonl"), key=_when, reverse=True):
        try:
            journal = read_journal(path)
            began = beginning(journal)
        except TakeError:  # nothing that could go on
            continue
        is_ours = dict(began.given) == dict(plan.given) and began.variant == plan.variant and not began.former
        if is_ours and not path.parent.is_symlink() and not is_locked(path.parent):
            return TakeFolder(path.parent), journal
    return None, ()


def _when(journal: Path) -> tuple[str, int]:
    """Tell when a take began, as its folder says; of takes of one second, which was written to last."""
    return journal.parent.name.partition("-")[0], journal.stat().st_mtime_ns
