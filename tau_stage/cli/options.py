"""Options that several verbs have, and the user's settings.

These are in ``settings.toml`` in ``$XDG_CONFIG_HOME/tau-stage``, by default ``~/.config/tau-stage``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from tau_stage.errors import UsageError, format_if
from tau_stage.text import docstring

Live = Annotated[bool, typer.Option("--live", help="Do not fall back to the understudy.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print each take as one line of JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only the path of each take.")]
AllowTools = Annotated[
    bool,
    typer.Option(
        "--allow-tools",
        callback=lambda wanted: wanted or read_settings().allow_tools,
        help="Allow the scene's tools to run programs.",
    ),
]
StandIn = Annotated[
    bool, typer.Option("--stand-in", help="Use recordings in place of people, even if the people are present.")
]
Aloud = Annotated[
    bool | None,
    typer.Option(
        "--aloud/--no-aloud",
        help="Play the scene on the loudspeaker in real time. Default: on if a person uses a microphone.",
        show_default=False,
    ),
]
StreamTo = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write words as they arrive, as JSON lines. Use - for standard output."),
]
Only = Annotated[
    list[str] | None, typer.Option(help="Use only this variant from the scene's matrix. You can repeat this option.")
]
Var = Annotated[list[str] | None, typer.Option(help="Set a scene variable, for example city=Oslo.")]
Elsewhere = Annotated[
    str | None,
    typer.Option("--endpoint", help="Use this endpoint (a name or a URL) instead of the endpoints set in the scene."),
]
Anyway = Annotated[bool, typer.Option("--anyway", help="Continue even if the scene file has changed.")]
Changed = Annotated[
    bool, typer.Option("--changed", help="Perform only what has changed since the newest take. Reuse the rest.")
]
Through = Annotated[
    bool, typer.Option("--through", help="With --changed: include lines whose player heard a changed line.")
]
MaxVariants = Annotated[int, typer.Option(min=1, metavar="N", help="Maximum number of variants in a scene's matrix.")]
GateAddress = Annotated[
    str | None,
    typer.Option(
        "--gate",
        metavar="HOST:PORT",
        envvar="TAU_STAGE_GATE",
        help="Use the gate at this address. To start a gate, run tau-stage gate.",
    ),
]
OneScene = Annotated[str, typer.Argument(metavar="SCENE", help="A scene file.", show_default=False)]
Scenes = Annotated[list[str], typer.Argument(metavar="SCENE...", help="Scene files.", show_default=False)]
TableFile = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A table of lines, for example CSV, TSV, xlsx, PO, SRT, VTT, or a transcript.",
        show_default=False,
    ),
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PART=HEADER", help="Set the column for a field, for example words=Text. You can repeat this option."
    ),
]
TableFormat = Annotated[
    str | None,
    typer.Option("--format", metavar="KIND", help="Format of the table. Default: detected from its name and header."),
]
TakePath = Annotated[Path, typer.Argument(metavar="TAKE", help="A take folder, or a link to it.", show_default=False)]

PLAIN: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}
"""How each parser prints: as text, whose errors ``tau_stage.cli.main`` says."""


class Verb(TyperCommand):
    """Takes no option for the value of another (``--record --quiet`` names no folder), and shows its usage plainly."""

    def parse_args(self, ctx: object, args: list[str]) -> list[str]:
        """Parse the words after the verb."""
        options = {name: option for option in self.params for name in option.opts if name.startswith("-")}
        wanting = {name for name, option in options.items() if not getattr(option, "is_flag", False)}
        for name, following in pairwise(args):
            if name in wanting and following in options:
                raise typer.BadParameter(f"{name} requires a value, but {following} is an option.")
        return super().parse_args(ctx, args)  # type: ignore[arg-type]

    def collect_usage_pieces(self, ctx: object) -> list[str]:
        """Return the words of the usage: ``SCENE...`` where typer has ``{SCENE...}...``."""
        pieces = super().collect_usage_pieces(ctx)  # type: ignore[arg-type]
        return [re.sub(r"^([{[]?)(.*?)(\.\.\.)?([}\]]?)(\.\.\.)?$", _usage, piece) for piece in pieces]


def add_verb(group: typer.Typer, verb: Callable[..., None]) -> None:
    """Add a verb to a group, by its function; the group's help has the whole first paragraph of its docstring."""
    told = docstring(verb)
    group.command(cls=Verb, help=told, short_help=" ".join(told.partition("\n\n")[0].split()))(verb)


def _usage(piece: re.Match[str]) -> str:
    opened, name, inside, _, behind = piece.groups("")
    several = inside or behind
    return f"[{name}{several}]" if opened == "[" else f"{name}{several}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user has settled once and for all: whether the tools of scenes of the command line may run programs."""

    allow_tools: bool = False


def settings_file(environment: Mapping[str, str]) -> Path | None:
    """Tell where the settings are; None where the user has no home.

    A relative path counts for nothing: it would let whatever folder one stands in grant code its trust.
    """
    configuration = Path(environment.get("XDG_CONFIG_HOME", ""))
    if not configuration.is_absolute():
        home = Path(environment.get("HOME", ""))
        home = home if home.is_absolute() else _home_of_the_account()
        if not home.is_absolute():
            return None
        configuration = home / ".config"
    return configuration / "tau-stage" / "settings.toml"


def _home_of_the_account() -> Path:
    try:
        import pwd

        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except ImportError:  # Windows
        return Path.home()
    except KeyError:  # a user without a name, as in a container
        return Path()


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the user's settings; where there is no file, the defaults."""
    import tomllib

    from tau_stage.scene import did_you_mean

    file = settings_file(os.environ if environment is None else environment)
    try:
        found = tomllib.loads(file.read_text("utf-8")) if file else {}
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot read the settings: {error}", "correct the file, or delete it") from None
    known = tuple(Settings.__dataclass_fields__)
    for name, value in found.items():
        if name not in known:
            hint = did_you_mean(name, known, "the only setting is allow_tools")
            raise UsageError(f"{file}: unknown setting '{name}'", hint)
        if not isinstance(value, bool):
            raise UsageError(f"{file}: {name} must be true or false", f"write: {name} = true")
    return Settings(**found)


def dollars(budget: str | None) -> Decimal | None:
    """Read what the command line says that something may cost."""
    from tau_stage.runs import dollars as read_dollars

    try:
        return read_dollars(budget, "--budget")
    except UsageError as error:
        if taken := _taken_by_shell(budget or ""):
            problem = f"--budget: the shell expanded the $ in your value to '{budget}'"
            raise UsageError(problem, taken) from None
        raise UsageError(error.problem, re.sub(r"\$\d[\d.]*", r"'\g<0>'", error.hint)) from None


def _taken_by_shell(budget: str) -> str:
    """Make a hint where a shell has read what stood behind a $; empty where it has not.

    It puts its own name, or that of its script, for ``$0``, and nothing for ``$1`` to ``$9``.
    """
    if name := re.fullmatch(r"[^\d.].*[A-Za-z]\w*(\.\d+)?|[A-Za-z/].*?(\.\d+)", budget):
        cents = name[1] or name[2] or ""
        return format_if("quote it: --budget $0{}", cents)
    if re.fullmatch(r"0\d+|", budget):
        return f"quote it: --budget $2{budget}"
    return ""


def per_minute(rate: str | None, option: str) -> float | None:
    """Read a rate of the command line, like ``30/min``."""
    from pydantic_core import PydanticCustomError

    from tau_stage.scene import rate as read_rate

    try:
        return None if rate is None else read_rate(rate)
    except PydanticCustomError as error:
        told = error.context or {}
        raise UsageError(f"{option}: {told.get('problem', error)}", str(told.get("hint", ""))) from None
