"""``tau-stage doctor``: what a performance would find here, and what to do where it could not begin."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tau_stage.cli.printing import console, is_plain, say, say_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tau_stage.cli.checkup import Finding

MARKS = {"ok": ("✓", "green"), "absent": ("–", "dim"), "wrong": ("✗", "bold red")}
CANNOT = 2


def doctor(
    out: Annotated[Path, typer.Option(help="Where the takes would go.")] = Path("takes"),
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Look at keys, endpoints, devices, extras and limits, and say whether a scene can be performed.

    Of keys it only tells whether they are there; nothing is dialled.
    """
    from tau_stage.cli.checkup import of_this_process

    found = of_this_process(out)
    wrong = [finding for finding in found if finding.state == "wrong"]
    if as_json:
        say_json(_json(found))
    elif not is_plain(sys.stdout):
        console().print(_sheet(found))
    else:
        say("\n".join(_plain(found)))
    raise typer.Exit(CANNOT if wrong else 0)


def verdict(found: Sequence[Finding]) -> str:
    """Write one sentence over all."""
    wrong = [finding for finding in found if finding.state == "wrong"]
    if not wrong:
        return "A scene can be performed."
    todo = "; ".join(f"{finding.name}: {finding.remedy}" for finding in wrong)
    return f"No scene can be performed. What to do: {todo}"


def _json(found: Sequence[Finding]) -> str:
    import json
    from dataclasses import asdict

    ready = all(finding.state != "wrong" for finding in found)
    told = {"can_perform": ready, "verdict": verdict(found), "found": [asdict(finding) for finding in found]}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _plain(found: Sequence[Finding]) -> Iterator[str]:
    for section, findings in groupby(found, lambda finding: finding.section):
        yield section
        for finding in findings:
            yield f"  {finding.state:6}  {finding.name}: {finding.told}"
            if finding.remedy:
                yield f"          hint: {finding.remedy}"
    yield verdict(found)


def _sheet(found: Sequence[Finding]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    sheet = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    sheet.add_column()
    sheet.add_column(no_wrap=True)
    sheet.add_column(overflow="fold")
    for section, findings in groupby(found, lambda finding: finding.section):
        sheet.add_row("", Text(section, "bold"), "")
        for finding in findings:
            mark, style = MARKS[finding.state]
            told = Text(finding.told, "dim" if finding.state == "absent" else "")
            if finding.remedy:
                told.append(f"\n{finding.remedy}", "yellow" if finding.state == "wrong" else "dim italic")
            sheet.add_row(Text(mark, style), Text(finding.name), told)
    ready = all(finding.state != "wrong" for finding in found)
    return Group(sheet, Text(""), Text(verdict(found), "bold green" if ready else "bold red"))
