"""``tau-stage compare``: two takes side by side."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from tau_stage import audio
from tau_stage import report as reports
from tau_stage import take as takes
from tau_stage.cli.printing import say, say_json, show_report, warn
from tau_stage.errors import TakeError, UsageError

Takes = Annotated[
    list[Path],
    typer.Argument(
        metavar="TAKE...",
        help="Take folders, or links to them. A single take is compared with the take before it. "
        "Of more than two takes, the newest two are compared.",
        show_default=False,
    ),
]


def compare(
    paths: Takes,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page with the words and the audio.")
    ] = None,
) -> None:
    """Compare the words, length, loudness and cost of two takes, with the largest differences first."""
    loudness: tuple[dict[str, float], dict[str, float]] = ({}, {})
    sounds: tuple[dict[str, reports.PageSound], dict[str, reports.PageSound]] = ({}, {})
    notes: list[str] = []
    both = [*map(takes.read_take, _two(paths))]
    for place, (folder, take) in enumerate(both):
        for line, sound in _sounds(folder, take, notes):
            loudness[place][line.id] = audio.rms_dbfs(sound)
            if html:
                link = _link(folder.path / str(line.file), html)
                sounds[place][line.id] = reports.PageSound(reports.peaks(folder.sound(line), line.samples), link)
    comparison = reports.compare_takes(both[0][1], both[1][1], loudness)
    if html:
        page = reports.render_comparison(comparison, sounds, notes)
        takes.write_whole({html: page}, "choose another file with --html")
    _print(comparison, as_json=as_json)
    for note in notes:
        warn(f"warning: {note}")
    if html:
        say(html, to=sys.stderr if as_json else sys.stdout)


def _two(paths: Sequence[Path]) -> Sequence[Path]:
    """Return the takes that are compared, and which they are, where that was not said."""
    if len(paths) == len(("A", "B")):
        return paths
    if len(paths) == 1:
        chosen: Sequence[Path] = (_before(paths[0]), paths[0])
    else:
        begun = {
            folder.path.resolve(): (take.started, folder.path.name, path)
            for path in paths
            for folder, take in [takes.read_take(path)]
        }
        *_, one, other = sorted(begun.values()) if len(begun) > 1 else (*begun.values(), *begun.values())
        chosen = (one[-1], other[-1])
    warn(f"A is {chosen[0]}, B is {chosen[1]}")
    return chosen


def _before(path: Path) -> Path:
    """Return the take that a retake was made of, or the one before it of the same scene."""
    folder = takes.read_take(path)[0]
    former = Path(takes.read_beginning(folder.journal).former) if folder.journal.is_file() else Path()
    here = folder.path.resolve()
    if former != Path() and (former / takes.MANIFEST).is_file() and former.resolve() != here:
        return former
    beside = (found.parent for found in here.parent.glob(f"*/{takes.MANIFEST}"))
    older = [place.name for place in beside if place.name < here.name and not place.is_symlink()]
    if not older:
        raise UsageError(f"{path}: there is no earlier take to compare it with", "specify two takes")
    return (folder.path.parent if folder.path.name == here.name else path.parent) / max(older)


def _sounds(
    folder: takes.TakeFolder, take: takes.Take, notes: list[str]
) -> Iterator[tuple[takes.Performed, audio.Pcm]]:
    """Yield the lines that sound; what is wrong with the others is noted, and the rest is compared."""
    for line in take.lines:
        if line.file is not None:
            try:
                yield line, takes.audio_of(folder, line)
            except TakeError as error:
                notes.append(f"{error.path}: {error.problem}")


def _link(sound: Path, page: Path) -> str:
    """Tell where a page finds a sound, as long as both stay where they are to each other."""
    return quote(Path(os.path.relpath(sound.resolve(), page.parent.resolve())).as_posix())


def _print(comparison: reports.Comparison, *, as_json: bool) -> None:
    if as_json:
        say_json(json.dumps(reports.comparison_data(comparison), indent=2, ensure_ascii=False))
    else:
        show_report(reports.tabulate_comparison(comparison))
