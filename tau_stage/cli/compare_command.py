"""``tau-stage compare``: two takes side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from tau_stage.cli.printing import say, say_json, show_report, warn
from tau_stage.errors import TakeError, UsageError

if TYPE_CHECKING:
    from tau_stage.audio import Pcm
    from tau_stage.report import Comparison
    from tau_stage.take import Performed, Take, TakeFolder

Takes = Annotated[
    list[Path],
    typer.Argument(
        metavar="TAKE...",
        help="Folders of two takes, or links to them. Of one: beside the take before it; of more: the newest two.",
        show_default=False,
    ),
]


def compare(
    takes: Takes,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to read and to hear.")] = None,
) -> None:
    """Put two takes side by side: words, length, loudness, cost, and what is worth a look first."""
    from tau_stage.audio import rms_dbfs
    from tau_stage.report import LineSound, compare_takes, outline, render_comparison
    from tau_stage.take import read_take, write_whole

    loudness: tuple[dict[str, float], dict[str, float]] = ({}, {})
    sounds: tuple[dict[str, LineSound], dict[str, LineSound]] = ({}, {})
    notes: list[str] = []
    both = [*map(read_take, _two(takes))]
    for place, (folder, take) in enumerate(both):
        for line, audio in _sounds(folder, take, notes):
            loudness[place][line.id] = rms_dbfs(audio)
            if html:
                sounds[place][line.id] = LineSound(outline(audio), _link(folder.path / str(line.file), html))
    comparison = compare_takes(both[0][1], both[1][1], loudness)
    if html:
        write_whole({html: render_comparison(comparison, sounds, notes)}, "choose another file with --html")
    _print(comparison, as_json=as_json)
    for note in notes:
        warn(f"warning: {note}")
    if html:
        say(html, to=sys.stderr if as_json else sys.stdout)


def _two(paths: Sequence[Path]) -> Sequence[Path]:
    """Return the takes that are compared, and which they are, where that was not said."""
    from tau_stage.take import read_take

    if len(paths) == len(("A", "B")):
        return paths
    if len(paths) == 1:
        chosen: Sequence[Path] = (_before(paths[0]), paths[0])
    else:
        begun = {
            folder.path.resolve(): (take.started, folder.path.name, path)
            for path in paths
            for folder, take in [read_take(path)]
        }
        *_, one, other = sorted(begun.values()) if len(begun) > 1 else (*begun.values(), *begun.values())
        chosen = (one[-1], other[-1])
    warn(f"A is {chosen[0]}, B is {chosen[1]}")
    return chosen


def _before(path: Path) -> Path:
    """Return the take that a retake was made of, or the one before it of the same scene."""
    from tau_stage.take import MANIFEST, read_beginning, read_take

    folder = read_take(path)[0]
    former = Path(read_beginning(folder.journal).former) if folder.journal.is_file() else Path()
    here = folder.path.resolve()
    if former != Path() and (former / MANIFEST).is_file() and former.resolve() != here:
        return former
    beside = sorted(found.parent.name for found in here.parent.glob(f"*/{MANIFEST}") if not found.parent.is_symlink())
    older = [name for name in beside if name < here.name]
    if not older:
        raise UsageError(f"{path}: there is no take before it to compare it with", "name two takes")
    return (folder.path.parent if folder.path.name == here.name else path.parent) / older[-1]


def _sounds(folder: TakeFolder, take: Take, notes: list[str]) -> Iterator[tuple[Performed, Pcm]]:
    """Yield the lines that sound; what is wrong with the others is noted, and the rest is compared."""
    from tau_stage.take import audio_of

    for line in take.lines:
        if line.file is not None:
            try:
                yield line, audio_of(folder, line)
            except TakeError as error:
                notes.append(f"{error.path}: {error.problem}")


def _link(sound: Path, page: Path) -> str:
    """Tell where a page finds a sound, as long as both stay where they are to each other."""
    return quote(Path(os.path.relpath(sound.resolve(), page.parent.resolve())).as_posix())


def _print(comparison: Comparison, *, as_json: bool) -> None:
    if as_json:
        import json

        from tau_stage.report import comparison_data

        say_json(json.dumps(comparison_data(comparison), indent=2, ensure_ascii=False))
    else:
        from tau_stage.report import tabulate_comparison

        show_report(tabulate_comparison(comparison))
