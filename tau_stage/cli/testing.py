"""``tau-stage test``: whether scenes are still performed as they were, and as they should be."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tau_stage.cli.printing import console, say, say_commands, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tau_stage.regression.cases import Case
    from tau_stage.regression.suite import Result
    from tau_stage.regression.testing import Wish

STYLES = {"good": "green", "bad": "bold red", "quiet": "dim", "plain": "", "strong": "bold"}


class Form(StrEnum):
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
Update = Annotated[bool, typer.Option("--update", help="Bless what is performed: snapshots are written, not compared.")]
JUnit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")]
Summary = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page of Markdown.")]
Format = Annotated[Form, typer.Option("--format", help="github adds annotations at the scenes' lines.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON instead.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Keep all takes here. Default: those not well, in .tau-stage/takes.", show_default=False),
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
    form: Format = Form.text,
    as_json: AsJson = False,
    out: Out = None,
    allow_tools: AllowTools = False,
) -> None:
    """Perform scenes, and hold them against their expectations, snapshots and cassettes.

    A scene that has a cassette in cassettes/ beside it is performed from that, any other by the understudy. Neither
    needs a key, a network, or money. Exit code 0: all is well; 1: something is not as expected; 2: no scene was found,
    or nothing is expected; 3: a scene or a cassette is broken, or something could not be measured.
    """
    from tau_stage.cli.settings import read_settings
    from tau_stage.errors import UsageError
    from tau_stage.regression.cases import remember
    from tau_stage.regression.suite import NOTHING_CHECKED, exit_code, total
    from tau_stage.regression.testing import TAKES, Wish

    if live and (replay or update):
        raise UsageError("--live goes neither with --replay nor with --update", "record a cassette, or bless a take")
    wish = Wish(
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
    for result in _results(paths or ["scenes"], wish, jobs, failed=failed):
        results.append(result)
        if not as_json:
            _show(result)
    remember(results, whole=not failed)
    _write(results, junit, summary, form, as_json=as_json)
    code = exit_code(results)
    if not as_json:
        say(total(results))
    if code == NOTHING_CHECKED:
        hint = "write expect: into it, bless a take of it (--update), or record it: docs/ci.md"
        raise UsageError("nothing is expected of any scene, so nothing was tested", hint)
    raise typer.Exit(code)


def _results(paths: Sequence[str], wish: Wish, jobs: int | None, *, failed: bool) -> Iterator[Result]:
    """What each scene comes to, in order; several at a time, where there are several processors."""
    import os

    from tau_stage.regression.testing import tested

    broken, cases = _cases(paths, failed=failed)
    yield from broken
    if not wish.keep and not failed:
        _tidy(wish.out)
    processes = min(len(cases), jobs or (1 if wish.live else os.cpu_count() or 1))
    if processes <= 1 or (jobs is None and len(cases) <= FEW):
        yield from (tested(case, wish) for case in cases)
        return
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(partial(tested, wish=wish), cases)


FEW = 3
"""So many scenes are tested sooner than a second process has started."""


def _cases(paths: Sequence[str], *, failed: bool) -> tuple[list[Result], list[Case]]:
    """Scenes that cannot be read, and those that can."""
    from tau_stage.errors import SceneError, UsageError
    from tau_stage.regression.cases import cases_of, not_well, remembered, scenes_in
    from tau_stage.regression.suite import Result, case_id
    from tau_stage.regression.testing import broken

    wanted = not_well(remembered()) if failed else set()
    if failed and not wanted:
        raise UsageError("nothing failed last time, or nobody knows", "leave out --failed")
    bad: list[Result] = []
    cases: list[Case] = []
    for path in scenes_in(paths):
        try:
            found = cases_of(path)
        except SceneError as error:
            if not failed or any(name == path or name.startswith(f"{path}[") for name in wanted):
                bad.append(Result(path, broken=broken(error, path)))
        else:
            cases += [c for c in found if not failed or {path, case_id(path, c.variant)} & wanted]
    if failed and not (bad or cases):
        raise UsageError("what failed last time is not among these scenes", "name it, or leave out --failed")
    return bad, cases


def _tidy(takes: Path) -> None:
    """Takes of the last test are not kept for longer."""
    import shutil

    shutil.rmtree(takes, ignore_errors=True)


def _show(result: Result) -> None:
    from tau_stage.regression.cases import texts_of
    from tau_stage.regression.told import plain, told

    rows = told(result, texts_of(result))
    if not sys.stdout.isatty():
        say(plain(rows))
        return
    from rich.text import Text

    out = console(soft_wrap=True)
    for row in rows:
        out.print(Text.assemble(*((text, STYLES[style]) for style, text in row)))


def _write(results: Sequence[Result], junit: Path | None, summary: Path | None, form: Form, *, as_json: bool) -> None:
    from tau_stage.regression.digest import as_annotations, as_markdown
    from tau_stage.regression.digest import as_json as told_as_json
    from tau_stage.regression.junit import as_junit
    from tau_stage.take.folder import write_whole

    if junit:
        write_whole({junit: as_junit(results)}, "choose another file")
    if summary:
        write_whole({summary: as_markdown(results)}, "choose another file")
    if as_json:
        say_json(told_as_json(results), end="")
    if form is Form.github and (lines := as_annotations(results)):
        say_commands(lines, to=sys.stderr if as_json else sys.stdout)
