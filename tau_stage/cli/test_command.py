"""``tau-stage test``: whether scenes are still performed as they were, and as they should be."""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from tau_stage import checks, runs, suite, take
from tau_stage.cli.options import AllowTools, Var
from tau_stage.cli.printing import console, is_plain, say, say_commands, say_json
from tau_stage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


STYLES = {"good": "green", "bad": "bold red", "quiet": "dim", "plain": "", "strong": "bold"}


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH", help="Scene files, or folders that contain them. Default: scenes.", show_default=False
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of processes. Default: one per processor, or one with --live.", show_default=False
    ),
]
Replay = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Use only the cassettes in DIR. A scene without a cassette is an error."),
]
Live = Annotated[bool, typer.Option("--live", help="Use the providers set in the scenes. This costs money.")]
Repeat = Annotated[int, typer.Option(min=1, max=1000, help="Number of times to perform each scene.")]
Failed = Annotated[bool, typer.Option("--failed", help="Test only the scenes that failed or broke in the last run.")]
Check = Annotated[bool, typer.Option("--check", help="Also check the speech with an independent recogniser.")]
Update = Annotated[bool, typer.Option("--update", help="Write the snapshots instead of comparing them.")]
JUnit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit XML report.")]
Summary = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a Markdown summary.")]
Format = Annotated[
    Literal["text", "github"],
    typer.Option("--format", help="Output format. With github, annotations are added to lines of the scene files."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of text.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Keep all takes in this folder. Default: keep failed takes in .tau-stage/takes.", show_default=False
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint", help="Run live with this endpoint (a name or a URL) instead of the endpoints set in the scenes."
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(help="Maximum cost of each scene in a live run, across all its performances, for example '$0.50'."),
]
Only = Annotated[list[str] | None, typer.Option(help="Test only this variant. You can repeat this option.")]
Strict = Annotated[
    bool | None,
    typer.Option(
        "--strict/--no-strict",
        help="Fail a scene if it has nothing to check, or if a required cassette or snapshot is missing. "
        "Default: on if the environment variable CI is set.",
        show_default=False,
    ),
]


def check_scenes(
    paths: Paths = None,
    jobs: Jobs = None,
    replay: Replay = None,
    live: Live = False,
    repeat: Repeat = 1,
    failed: Failed = False,
    check: Check = False,
    update: Update = False,
    junit: JUnit = None,
    summary: Summary = None,
    form: Format = "text",
    as_json: AsJson = False,
    out: Out = None,
    allow_tools: AllowTools = False,
    endpoint: EndpointOption = None,
    budget: Budget = None,
    var: Var = None,
    only: Only = None,
    strict: Strict = None,
) -> None:
    """Perform scenes and compare them with their expectations, snapshots and cassettes.

    Each scene is performed from its cassette in the cassettes/ folder next to the scene file, or by the understudy if
    there is no cassette. Both work without a key or a network, and cost nothing. Exit code 0: all tests passed; 1: a
    result differs from the expected one; 2: no scene was found, there is nothing to check, or a file is invalid; 3: a
    test broke, or a value could not be measured; 4: the run reached the budget.
    """
    from tau_stage.cli.options import dollars
    from tau_stage.cli.scene_files import named_values

    options = suite.SuiteOptions(
        endpoint=endpoint,
        budget=dollars(budget),
        strict=suite.is_strict() if strict is None else strict,
        cassettes=replay,
        live=live or endpoint is not None,
        repeat=repeat,
        update=update,
        recognise=check,
        allow_tools=allow_tools,
        keep=out is not None,
        out=out or suite.TAKES,
    )
    _refuse(options)
    named = paths or ["scenes"]
    try:
        found = suite.collect(named, named_values(var), options.cassettes if options.strict else None)
    except UsageError as error:
        _write([suite.nothing_found(named, error)], {}, junit, summary, as_json=as_json)
        raise
    broken, cases = _failed(found) if failed else (found.broken, found.cases)
    cases = _variants(cases, only) if only else cases
    if not options.keep and not failed:
        shutil.rmtree(options.out, ignore_errors=True)  # takes of the last test
    results = list(_shown(found.left_out, chain(broken, _results(cases, options, jobs)), quiet=as_json))
    suite.remember(results, whole=not (failed or var or only))
    _write(results, found.left_out, junit, summary, as_json=as_json)
    _sum_up(results, form, as_json=as_json)
    _leave(results)


def _leave(results: Sequence[suite.Result]) -> NoReturn:
    if all(result.state == "unchecked" for result in results):
        hint = "add 'expect' to a scene, accept a take with --update, or record a cassette: docs/ci.md"
        raise UsageError("no scene has expectations, so nothing was tested", hint)
    raise typer.Exit(suite.exit_code(results))


def _refuse(options: suite.SuiteOptions) -> None:

    recorded = ("--live cannot be combined with --replay or --update", "record a cassette, or accept a take")
    ceiling = f"set the maximum cost of each scene for all {options.repeat} performances: --budget '$2'"
    has_budget = options.budget is not None
    remedy = "add --live, or remove --budget: only live runs cost money"
    runs.refuse_together(
        {"live": options.live, "replay": options.cassettes is not None, "update": options.update, "budget": has_budget}
        | {"not live": not options.live, "repeat": options.repeat > 1, "no budget": not has_budget},
        ({"live", "replay"}, *recorded),
        ({"live", "update"}, *recorded),
        ({"budget", "not live"}, "--budget requires --live", remedy),
        ({"live", "repeat", "no budget"}, "--live with --repeat requires a budget", ceiling),
    )
    if options.recognise:
        checks.require_recogniser()


def _results(cases: Sequence[suite.Case], options: suite.SuiteOptions, jobs: int | None) -> Iterator[suite.Result]:
    """Yield what each scene comes to, in order; several at a time, where there are several processors."""
    at_once = 1 if options.live or len(cases) <= FEW else os.cpu_count() or 1
    processes = min(len(cases), jobs or at_once)
    if processes <= 1:
        yield from (suite.run_case(case, options) for case in cases)
        return
    yield from suite.run_in_processes(partial(suite.run_case, options=options), cases, processes, suite.killed_case)


FEW = 3  # so many scenes are tested sooner than a second process has started


def _failed(found: suite.Collected) -> tuple[Sequence[suite.Result], Sequence[suite.Case]]:
    """Choose what failed or broke last time."""
    wanted = suite.failed_ids(suite.remembered())
    if not wanted:
        raise UsageError("no failed scenes are recorded from the last run", "run without --failed")
    broken = [each for each in found.broken if each.path in {name.rpartition("[")[0] for name in wanted} | wanted]
    cases = [case for case in found.cases if {case.path, suite.case_id(case.path, case.variant)} & wanted]
    if not (broken or cases):
        raise UsageError(
            "none of these scenes failed in the last run", "specify the scenes that failed, or run without --failed"
        )
    return broken, cases


def _variants(cases: Sequence[suite.Case], names: Sequence[str]) -> Sequence[suite.Case]:
    """Choose variants by their names."""
    known = {case.variant for case in cases} - {""}
    for name in names:
        if name not in known:
            hint = f"known variants: {', '.join(sorted(known)) or 'none'}"
            raise UsageError(f"no scene has a variant '{name}'", hint)
    return [case for case in cases if case.variant in names]


def _shown(left_out: Mapping[str, str], results: Iterable[suite.Result], *, quiet: bool) -> Iterator[suite.Result]:
    """Yield results as they come, and print what was left out, and them."""
    for path, reason in left_out.items():
        if not quiet:
            say(f"skipped {path}: {reason}")
    for result in results:
        if not quiet:
            _show(result)
        yield result


def _show(result: suite.Result) -> None:

    rows = suite.render_result(result, suite.texts_of(result))
    if is_plain(sys.stdout):
        say(suite.plain_text(rows))
        return
    from rich.text import Text

    out = console(soft_wrap=True)
    for row in rows:
        out.print(Text.assemble(*((text, STYLES[style]) for style, text in row)))


def _write(
    results: Sequence[suite.Result],
    left_out: Mapping[str, str],
    junit: Path | None,
    summary: Path | None,
    *,
    as_json: bool,
) -> None:
    """Write what came of it, and what was left out, for programs and for pages."""
    if junit:
        take.write_whole({junit: suite.as_junit(results, left_out)}, "choose another file")
    if summary:
        take.write_whole({summary: suite.as_markdown(results, left_out)}, "choose another file")
    if as_json:
        say_json(suite.as_json(results, left_out), end="")


def _sum_up(results: Sequence[suite.Result], form: str, *, as_json: bool) -> None:

    if form == "github" and (lines := suite.as_annotations(results)):
        say_commands(lines, to=sys.stderr if as_json else sys.stdout)
    if not as_json:
        say(suite.total(results))
