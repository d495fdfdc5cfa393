"""``tau-stage compare``: two takes side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from tau_stage.cli.printing import console, say, say_json, warn

if TYPE_CHECKING:
    from tau_stage.audio.pcm import Pcm
    from tau_stage.report.compare import Comparison
    from tau_stage.report.facing import Sound
    from tau_stage.take.folder import TakeFolder
    from tau_stage.take.model import Performed, Take

NAMED = "A take's folder, or a link to it."


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help=NAMED, show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", help=NAMED, show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to read and to hear.")] = None,
) -> None:
    """Put two takes side by side: words, length, loudness, cost, and what is worth a look first."""
    from tau_stage.audio.level import rms_dbfs
    from tau_stage.report.compare import compare as compared
    from tau_stage.report.facing import Sound, outline
    from tau_stage.take.reading import read_take

    loudness: tuple[dict[str, float], dict[str, float]] = ({}, {})
    sounds: tuple[dict[str, Sound], dict[str, Sound]] = ({}, {})
    notes: list[str] = []
    takes = [read_take(path) for path in (a, b)]
    for place, (folder, take) in enumerate(takes):
        for line, audio in _sounds(folder, take, notes):
            loudness[place][line.id] = rms_dbfs(audio)
            if html:
                sounds[place][line.id] = Sound(outline(audio), _link(folder.path / str(line.file), html))
    told = compared(takes[0][1], takes[1][1], loudness)
    if html:
        _write(html, told, sounds, notes)
    _print(told, as_json=as_json)
    for note in notes:
        warn(f"warning: {note}")
    if html:
        say(html, to=sys.stderr if as_json else sys.stdout)


def _sounds(folder: TakeFolder, take: Take, notes: list[str]) -> Iterator[tuple[Performed, Pcm]]:
    """The lines that sound; what is wrong with the others is noted, and the rest is compared."""
    from tau_stage.errors import TakeError
    from tau_stage.take.reading import audio_of

    for line in take.lines:
        if line.file is not None:
            try:
                yield line, audio_of(folder, line)
            except TakeError as error:
                notes.append(f"{error.path}: {error.problem}")


def _link(sound: Path, page: Path) -> str:
    """Where a page finds a sound, as long as both stay where they are to each other."""
    return quote(Path(os.path.relpath(sound.resolve(), page.parent.resolve())).as_posix())


def _write(path: Path, told: Comparison, sounds: tuple[dict[str, Sound], dict[str, Sound]], notes: list[str]) -> None:
    from tau_stage.report.facing import page
    from tau_stage.take.folder import write_whole

    write_whole({path: page(told, sounds, notes)}, "choose another file with --html")


def _print(told: Comparison, *, as_json: bool) -> None:
    if as_json:
        from tau_stage.report.comparison import as_json as written

        say_json(written(told))
        return
    from tau_stage.report import beside

    if sys.stdout.isatty():
        console().print(beside.tables(told))
    else:
        say(beside.plain(told))
