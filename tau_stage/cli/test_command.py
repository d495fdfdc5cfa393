"""``tau-stage test``: whether scenes are still performed as they were, and as they should be."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tau_stage.cli.printing import console, is_plain, say, say_commands, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tau_stage.suite import Case, Result, SuiteOptions

STYLES = {"good": "green", "bad": "bold red", "quiet": "dim", "plain": "", "strong": "bold"}


class SuiteFormat(StrEnum):
    """How results are told."""

    text = "text"
    github = "github"


Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Scenes, and folders of them. Default: scenes.", show_default=False),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Processes at work. Default: one per processor; live, one.", show_default=False),
]
Replay = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Only from cassettes in DIR: a scene without one is an error.")
]
Live = Annotated[bool, typer.Option("--live", help="With the scenes' own providers, for money.")]
Repeat = Annotated[int, typer.Option(min=1, max=1000, help="Perform each scene so often.")]
Failed = Annotated[bool, typer.Option("--failed", help="Only what failed or broke last time.")]
Check = Annotated[bool, typer.Option("--check", help="Let an independent recogniser listen, too.")]
Update = Annotated[
    bool, typer.Option("--update", help="Accept what is performed: snapshots are written, not compared.")
]
JUnit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")]
Summary = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page of Markdown.")]
Format = Annotated[SuiteFormat, typer.Option("--format", help="github adds annotations at the scenes' lines.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON instead.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Keep all takes here. Default: those not well, in .tau-stage/takes.", show_default=False),
]
EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", help="Play live here, whatever the scenes say: a name or a URL.")
]
Budget = Annotated[
    str | None, typer.Option(help="What each scene may cost live, in all its performances together, like '$0.50'.")
]
Var = Annotated[list[str] | None, typer.Option(help="A variable of the scenes, like city=Oslo.")]
Only = Annotated[list[str] | None, typer.Option(help="A variant to test, by name; may be given several times.")]
Strict = Annotated[
    bool | None,
    typer.Option(
        "--strict/--no-strict",
        help="A scene with nothing to check, or without a cassette or snapshot that it must have, is not green. "
        "Default: where CI is set.",
        show_default=False,
    ),
]
AllowTools = Annotated[bool, typer.Option("--allow-tools", help="Let the scenes' tools run the programs they name.")]


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
    form: Format = SuiteFormat.text,
    as_json: AsJson = False,
    out: Out = None,
    allow_tools: AllowTools = False,
    endpoint: EndpointOption = None,
    budget: Budget = None,
    var: Var = None,
    only: Only = None,
    strict: Strict = None,
) -> None:
    """Perform scenes, and hold them against their expectations, snapshots and cassettes.

    A scene that has a cassette in cassettes/ beside it is performed from that, any other by the understudy. Neither
    needs a key, a network, or money. Exit code 0: all is well; 1: something is not as expected; 2: no scene was found,
    nothing is expected, or a file is wrong; 3: something broke, or could not be measured; 4: stopped at the budget.
    """
    from tau_stage.cli.loading import named_values
    from tau_stage.cli.options import dollars, read_settings
    from tau_stage.suite import TAKES, SuiteOptions, is_strict, remember

    live = live or endpoint is not None
    _refuse(live=live, taped=bool(replay or update), repeat=repeat, budget=budget, check=check)
    options = SuiteOptions(
        endpoint=endpoint,
        budget=dollars(budget),
        strict=is_strict() if strict is None else strict,
        cassettes=replay,
        live=live,
        repeat=repeat,
        update=update,
        recognise=check,
        allow_tools=allow_tools or read_settings().allow_tools,
        keep=out is not None,
        out=out or TAKES,
    )
    results = []
    chosen = Choice(named_values(var or ()), tuple(only or ()), failed=failed)
    for result in _results(paths or ["scenes"], options, jobs, chosen, quiet=as_json):
        results.append(result)
        if not as_json:
            _show(result)
    remember(results, whole=not (failed or var or only))
    _write(results, junit, summary, form, as_json=as_json)
    _leave(results, as_json=as_json)


def _leave(results: Sequence[Result], *, as_json: bool) -> None:
    from tau_stage.errors import UsageError
    from tau_stage.suite import exit_code, total

    if not as_json:
        say(total(results))
    if all(result.state == "unchecked" for result in results):
        hint = "write expect: into it, accept a take of it (--update), or record it: docs/ci.md"
        raise UsageError("nothing is expected of any scene, so nothing was tested", hint)
    raise typer.Exit(exit_code(results))


def _refuse(*, live: bool, taped: bool, repeat: int, budget: str | None, check: bool) -> None:
    from tau_stage.checks import require_recogniser
    from tau_stage.errors import UsageError

    if live and taped:
        raise UsageError("--live goes neither with --replay nor with --update", "record a cassette, or accept a take")
    if budget and not live:
        raise UsageError("--budget is for what is played live", "add --live, or leave it out: nothing else costs money")
    if live and repeat > 1 and budget is None:
        hint = f"say what each scene may cost in all {repeat} performances together: --budget '$2'"
        raise UsageError("--live --repeat has no ceiling", hint)
    if check:
        require_recogniser()


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the scenes is tested: with which variables, which variants, and whether only what failed."""

    given: Mapping[str, str]
    only: tuple[str, ...]
    failed: bool


def _results(
    paths: Sequence[str], options: SuiteOptions, jobs: int | None, chosen: Choice, *, quiet: bool
) -> Iterator[Result]:
    """Yield what each scene comes to, in order; several at a time, where there are several processors."""
    import os
    import shutil

    from tau_stage.suite import run_case

    broken, cases, left_out = _cases(paths, chosen, options.cassettes if options.strict else None)
    for path, reason in left_out.items():
        if not quiet:
            say(f"left out: {path}: {reason}")
    yield from broken
    if not options.keep and not chosen.failed:
        shutil.rmtree(options.out, ignore_errors=True)  # takes of the last test
    processes = min(len(cases), jobs or (1 if options.live else os.cpu_count() or 1))
    if processes <= 1 or (jobs is None and len(cases) <= FEW):
        yield from (run_case(case, options) for case in cases)
        return
    from functools import partial

    from tau_stage.suite import killed_case, run_in_processes

    yield from run_in_processes(partial(run_case, options=options), cases, processes, killed_case)


FEW = 3
"""So many scenes are tested sooner than a second process has started."""


def _cases(
    paths: Sequence[str], chosen: Choice, tapes: Path | None
) -> tuple[list[Result], list[Case], Mapping[str, str]]:
    """Sort what cannot be tested, what can, and what is left out."""
    from tau_stage.errors import UsageError
    from tau_stage.suite import case_id, collect, failed_ids, remembered

    wanted = failed_ids(remembered()) if chosen.failed else set()
    if chosen.failed and not wanted:
        raise UsageError("nothing failed last time, or nobody knows", "leave out --failed")
    found = collect(paths, chosen.given, tapes)
    bad, cases = list(found.broken), list(found.cases)
    if chosen.failed:
        bad = [r for r in bad if any(name == r.path or name.startswith(f"{r.path}[") for name in wanted)]
        cases = [c for c in cases if {c.path, case_id(c.path, c.variant)} & wanted]
        if not (bad or cases):
            raise UsageError("what failed last time is not among these scenes", "name it, or leave out --failed")
    if chosen.only:
        known = {case.variant for case in cases} - {""}
        for name in chosen.only:
            if name not in known:
                hint = f"they have: {', '.join(sorted(known)) or 'none'}"
                raise UsageError(f"no scene here has a variant '{name}'", hint)
        cases = [case for case in cases if case.variant in chosen.only]
    return bad, cases, found.left_out


def _show(result: Result) -> None:
    from tau_stage.suite import plain_text, render_result, texts_of

    rows = render_result(result, texts_of(result))
    if is_plain(sys.stdout):
        say(plain_text(rows))
        return
    from rich.text import Text

    out = console(soft_wrap=True)
    for row in rows:
        out.print(Text.assemble(*((text, STYLES[style]) for style, text in row)))


def _write(
    results: Sequence[Result], junit: Path | None, summary: Path | None, form: SuiteFormat, *, as_json: bool
) -> None:
    from tau_stage.suite import as_annotations, as_junit, as_markdown
    from tau_stage.suite import as_json as told_as_json
    from tau_stage.take import write_whole

    if junit:
        write_whole({junit: as_junit(results)}, "choose another file")
    if summary:
        write_whole({summary: as_markdown(results)}, "choose another file")
    if as_json:
        say_json(told_as_json(results), end="")
    if form is SuiteFormat.github and (lines := as_annotations(results)):
        say_commands(lines, to=sys.stderr if as_json else sys.stdout)
