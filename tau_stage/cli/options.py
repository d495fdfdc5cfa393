"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Live = Annotated[bool, typer.Option("--live", help="Never fall back to the understudy.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print each take as one line of JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the path of each take only.")]
AllowTools = Annotated[bool, typer.Option("--allow-tools", help="Let the scene's tools run the programs they name.")]
StandIn = Annotated[bool, typer.Option("--stand-in", help="Play the recordings of people, though they may be there.")]
Aloud = Annotated[
    bool | None,
    typer.Option(
        "--aloud/--no-aloud",
        help="Play it on the loudspeaker, at its pace; by itself where somebody speaks into a microphone.",
        show_default=False,
    ),
]
StreamTo = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write words while they arrive, as JSON lines; - is standard output."),
]
Only = Annotated[
    list[str] | None, typer.Option(help="One variant of the scene's matrix, by name; may be given several times.")
]
