"""``tau-stage report``: a take as a page, and its other files, once more from its journal."""

from __future__ import annotations

from typing import Annotated

import typer

from tau_stage import report as reports
from tau_stage import runs
from tau_stage import take as takes
from tau_stage.cli.options import TakePath
from tau_stage.cli.printing import say_path, warn


def report(
    take: TakePath,
    embed: Annotated[bool, typer.Option("--embed", help="Embed the audio so that the page is a single file.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Regenerate the files of a take from its journal and its audio files.

    This includes take.json, cost.json, the mix, subtitles, transcript, labels, recording sheet, editor sessions,
    markers and the page. The path of the page is printed last.
    """
    from tau_stage.cli.progress import open_status

    folder = takes.TakeFolder(takes.followed(take))
    with open_status(quiet=False) as note:
        performed, made = reports.rebuild(folder, embed=embed, note=note)
    warn(*made.told, sep="\n", end="\n" if made.told else "")
    warn(*made.missed, sep="\n", end="\n" if made.missed else "")
    if performed.problem:
        warn(f"{performed.ended}: {performed.problem}")
    path = folder.report
    say_path(path)
    if show:
        import webbrowser

        if not webbrowser.open(path.resolve().as_uri()):
            warn("no browser found")
    if made.missed:
        raise typer.Exit(runs.TAKE_SPOILED)
