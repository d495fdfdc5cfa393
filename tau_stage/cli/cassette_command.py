"""``tau-stage cassette``: what is on cassettes, whether they are whole, and what nobody needs."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tau_stage import cassette as cassettes
from tau_stage import take as takes
from tau_stage.cli.options import PLAIN, add_verb
from tau_stage.cli.printing import say, warn
from tau_stage.errors import CassetteError

cassette = typer.Typer(name="cassette", help="Show, verify and prune cassettes.", no_args_is_help=True, **PLAIN)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A cassette, or a folder of cassettes.", show_default=False)
]


def show(folder: Folder) -> None:
    """Show the players, events, lines and audio clips of each cassette."""
    for path in cassettes.cassettes_in(folder):
        _tell(cassettes.load_cassette(path))


def verify(folder: Folder) -> None:
    """Verify that each cassette is complete, down to the last audio sample.

    The exit code is 2 if a cassette is damaged or incomplete.
    """
    broken = 0
    for path in cassettes.cassettes_in(folder):
        try:
            tape = cassettes.verify_cassette(path)
        except CassetteError as error:
            warn(error)
            broken += 1
        else:
            say(f"{path}: complete, {len(tape.entries)} events, {len(tape.wanted_clips)} clips")
    raise typer.Exit(2 if broken else 0)


def prune(folder: Folder) -> None:
    """Delete clips and events that no cassette uses.

    This also deletes incomplete recordings whose process was killed. It never deletes a complete recording.
    """
    unfinished, deleted = cassettes.unfinished_in(folder), 0
    for path in cassettes.cassettes_in(folder):
        if path in unfinished:
            continue
        cassettes.refuse_linked_cassette(path)
        for file in cassettes.spare_files(cassettes.load_cassette(path)):
            file.unlink()
            deleted += 1
            say(f"deleted {file}")
        for place in (path, path / "audio"):
            takes.clear_drafts(place)
    for path in unfinished:
        if cassettes.is_whole(path):
            say(f"kept {path}: a complete recording with a temporary name; rename it, or delete it")
        else:
            shutil.rmtree(path)
            say(f"deleted {path}")
    takes.clear_drafts(folder)
    if not (deleted or unfinished):
        say("nothing to delete")


for verb in (show, verify, prune):
    add_verb(cassette, verb)


def _tell(tape: cassettes.Cassette) -> None:
    names = tape.wanted_clips
    seconds, stored = (sum(each) for each in zip((0.0, 0), *map(tape.clips.measure, names), strict=True))
    say(f"{tape.path}: {tape.manifest.title} ({len(tape.manifest.lines)} lines)")
    for player, reel in tape.manifest.players.items():
        kinds = Counter(entry.kind for entry in tape.entries if entry.player == player)
        say(f"  {player} at {reel.endpoint}: {kinds['ask']} events sent, {kinds['told']} received")
    say(f"  {len(names)} clips, {seconds:.1f} s of audio in {stored / 1024:.0f} KB")
