"""The command line's way in: the parser, the exit codes, the one place that turns any exception into a message.

The module of a verb is loaded when the verb is called. It imports what it needs when it runs, so that ``--help`` and
``validate`` load no voice, no socket and no numpy.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from tau_stage import errors
from tau_stage.cli.options import PLAIN, Verb
from tau_stage.cli.printing import open_missing_streams, say, warn
from tau_stage.cli.stopping import interruptible
from tau_stage.text import docstring, printable
from tau_stage.version import __version__

if TYPE_CHECKING:
    from tau_stage.protocol import Secrets

FINE, FAILED, SCENE_WRONG, PROVIDER_FAILED, OVER_BUDGET, OUR_BUG, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130

_CODES = (
    (errors.BudgetExceeded, OVER_BUDGET),
    (errors.CassetteDiffers, FAILED),
    ((errors.SessionError, errors.ProtocolError), PROVIDER_FAILED),
)
"""Exit codes by error, the first that fits; of any other, the scene or the command line is wrong."""

MOST_ERRORS_SHOWN = 20

MISUSED: type[typer.BadParameter] = typer.BadParameter.__bases__[0]
"""Everything that may be wrong with a command line; typer has no public name for it."""


VERBS = {
    "run": "Perform scenes and write a take of each.",
    "batch": "Perform many scenes and lines, in variants and languages.",
    "resume": "Resume a take that was stopped.",
    "retake": "Perform selected lines of a take again, or all failed lines.",
    "pick": "Choose a different take of a line.",
    "validate": "Check scene files and batch files, and explain how to fix each error.",
    "plan": "Estimate a scene's duration and cost.",
    "show": "Show the resolved settings of each player and line.",
    "fmt": "Write the lines of scene files as a list or as a script.",
    "tag": "Write each line's id into scene files.",
    "import": "Write a scene file for each scene, snippet or sheet in a table of lines.",
    "cast": "Write a cast file with all speakers in a table.",
    "schema": "Print the JSON schema of scenes, takes or batches.",
    "voices": "List the voices of an endpoint.",
    "understudy": "Serve a local Realtime API that needs no key.",
    "gate": "Share limits between scenes across multiple processes and machines.",
    "booth": "Open a page that shows every session on this machine.",
    "talk": "Talk to a model in the booth.",
    "compare": "Compare the words, length, loudness and cost of two takes.",
    "play": "Play the mix of a take, its lines in order, one line, or one take of a line.",
    "report": "Regenerate the files of a take.",
    "doctor": "Check keys, endpoints, devices, extras and limits.",
    "accept": "Save a take's words and measurements as the scene's snapshot.",
    "init": "Create a project.",
    "test": "Perform scenes and compare them with their expectations.",
    "cassette": "Show, verify and prune cassettes.",
}
"""Each verb, with what its own help says first; its function is in ``tau_stage.cli``, in a module of its own."""

_FUNCTIONS = {"test": "check_scenes", "import": "import_table"}
"""Verbs whose function has another name: pytest would take ``test`` for a test, and ``import`` is Python's own word."""


@cache
def _command(name: str) -> Any:
    """Load the module of a verb, and make a command of its function, or of its functions."""
    verb = getattr(import_module(f"tau_stage.cli.{name}_command"), _FUNCTIONS.get(name, name))
    if isinstance(verb, typer.Typer):
        return typer.main.get_command(verb)
    alone = typer.Typer(**PLAIN)
    alone.command(name, cls=Verb, help=docstring(verb))(verb)
    return typer.main.get_command(alone)


class _Verbs(TyperGroup):
    """Loads a verb when it is called, and lets an interruption out, so that it is said; typer leaves in silence."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": dict.fromkeys(VERBS)})

    def get_command(self, ctx: object, cmd_name: str) -> Any:  # noqa: ARG002 - its name is typer's
        """Return the command of a verb; None where there is none."""
        return _command(cmd_name) if cmd_name in VERBS else None

    def format_commands(self, ctx: object, formatter: Any) -> None:  # noqa: ARG002 - its name is typer's
        """Write the verbs into the help; none of them is loaded."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete a verb's name; none of them is loaded."""
        commands: dict[str, Any] = {name: TyperCommand(name, short_help=text) for name, text in VERBS.items()}
        ctx.command = TyperGroup(name=self.name, commands=commands, params=self.params)
        return ctx.command.shell_complete(ctx, incomplete)  # type: ignore[no-any-return]  # its item has no public name

    def invoke(self, ctx: object) -> object:
        """Perform the verb."""
        try:
            return super().invoke(ctx)  # type: ignore[arg-type]  # typer has no public name for its type
        except KeyboardInterrupt as interruption:
            raise typer.Abort from interruption


app = typer.Typer(
    name="tau-stage",
    cls=_Verbs,
    help="Perform scenes with ensembles of realtime voice models.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    **{**PLAIN, "add_completion": True},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"tau-stage {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@cache
def _parser() -> Callable[..., Any]:
    """Build the parser once: it takes longer than most commands that a process gives to ``main``."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``tau-stage`` and leave with an exit code of ``docs/takes.md``; no traceback ever reaches the user.

    ``arguments`` are the command line without the program's name; None takes the process's own.
    """
    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a title may hold what this terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    sys.exit(exit_code_of(lambda: _parser()(args=arguments, prog_name="tau-stage", standalone_mode=False)))


def exit_code_of(work: Callable[[], int | None]) -> int:
    """Do something, print what it means if it raises anything, and return the exit code."""
    try:
        with interruptible():
            return work() or FINE
    except MISUSED as misuse:
        return _misused(misuse)
    except (KeyboardInterrupt, Exception, BaseExceptionGroup) as failure:
        return told(failure)


def _misused(misuse: typer.BadParameter) -> int:
    """Print what is wrong with a command line; it may hold anything."""
    told = StringIO()
    misuse.show(told)
    warn(told.getvalue(), end="")
    return misuse.exit_code


def told(failure: BaseException) -> int:
    """Print what an exception means, and choose the exit code; of a group, our own first error speaks."""
    ours = [cause for cause in _leaves(failure) if isinstance(cause, errors.StageError)]
    if any(isinstance(cause, KeyboardInterrupt | typer.Abort) for cause in _leaves(failure)):
        warn("interrupted")
        return INTERRUPTED
    if not ours:
        warn(f"internal error in tau-stage: {type(failure).__name__}\n  {_logged(failure)}")
        return OUR_BUG
    if isinstance(ours[0], errors.SceneError):
        _list(ours[0])
    else:
        warn(ours[0])
    return next((code for kinds, code in _CODES if isinstance(ours[0], kinds)), SCENE_WRONG)


def _list(first: errors.SceneError) -> None:
    found = (first, *first.also)
    warn("\n\n".join(map(str, found[:MOST_ERRORS_SHOWN])))
    if len(found) > MOST_ERRORS_SHOWN:
        warn(f"\n... and {len(found) - MOST_ERRORS_SHOWN} more errors")


def _leaves(failure: BaseException) -> Iterator[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        for part in failure.exceptions:
            yield from _leaves(part)
    else:
        yield failure


def _logged(failure: BaseException) -> str:
    """Write the traceback where a bug report can take it from, and say where that is."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="tau-stage-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
        ) as log:
            log.write(f"tau-stage {__version__}, Python {sys.version}\n")
            log.write(printable(_secrets().strike("".join(traceback.format_exception(failure)))))
    except OSError as error:
        return f"could not write a log: {error.strerror}"
    return f"please report it with this log: {log.name}"


def _secrets() -> "Secrets":
    """Return every key of this process, also of the addresses on its command line."""
    from tau_stage.environment import known_keys
    from tau_stage.protocol import Secrets
    from tau_stage.text import keys_of

    return Secrets([*known_keys(), *(key for argument in sys.argv for key in keys_of(argument))])
