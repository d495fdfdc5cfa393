"""The command line's way in: the parser, the exit codes, the one place that turns any exception into a message.

A verb imports what it needs when it runs, so that ``--help`` and ``validate`` load no voice, no socket and no numpy.
"""

import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from io import StringIO, TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from tau_stage import errors
from tau_stage.cli.accept_command import accept
from tau_stage.cli.cassette_command import cassette
from tau_stage.cli.compare_command import compare
from tau_stage.cli.doctor_command import doctor
from tau_stage.cli.fmt_command import fmt
from tau_stage.cli.init_command import init
from tau_stage.cli.options import Verb
from tau_stage.cli.pick_command import pick
from tau_stage.cli.plan_command import plan
from tau_stage.cli.play_command import play
from tau_stage.cli.printing import open_missing_streams, say, warn
from tau_stage.cli.report_command import report
from tau_stage.cli.resume_command import resume
from tau_stage.cli.retake_command import retake
from tau_stage.cli.run_command import run
from tau_stage.cli.schema_command import schema
from tau_stage.cli.show_command import show
from tau_stage.cli.stopping import interruptible
from tau_stage.cli.tag_command import tag
from tau_stage.cli.test_command import check_scenes
from tau_stage.cli.understudy_command import understudy
from tau_stage.cli.validate_command import validate
from tau_stage.cli.voices_command import voices
from tau_stage.text import docstring, printable
from tau_stage.version import __version__

if TYPE_CHECKING:
    from tau_stage.protocol import Secrets

FINE, FAILED, SCENE_WRONG, PROVIDER_FAILED, OVER_BUDGET, OUR_BUG, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130

MOST_ERRORS_SHOWN = 20

MISUSED: type[typer.BadParameter] = typer.BadParameter.__bases__[0]
"""Everything that may be wrong with a command line; typer has no public name for it."""


class _Verbs(TyperGroup):
    """Lets an interruption out, so that it is said; typer itself leaves in silence."""

    def invoke(self, ctx: object) -> object:
        try:
            return super().invoke(ctx)  # type: ignore[arg-type]  # typer has no public name for its type
        except KeyboardInterrupt as interruption:
            raise typer.Abort from interruption


app = typer.Typer(
    name="tau-stage",
    cls=_Verbs,
    help="Performs scenes with ensembles of realtime voice models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)

VERBS = (
    run, resume, retake, pick, validate, plan, show, fmt, tag, schema, voices, understudy, compare, play, report,
    doctor, accept, init,
)  # fmt: skip

for verb in VERBS:
    app.command(cls=Verb, help=docstring(verb))(verb)
app.command("test", cls=Verb, help=docstring(check_scenes))(check_scenes)

app.add_typer(cassette)


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
    """Run ``tau-stage`` and leave with its exit code; no traceback ever reaches the user.

    Args:
        arguments: The command line without the program's name; None takes the process's own.

    Raises:
        SystemExit: Always, with an exit code of the README.
    """
    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a title may hold what this terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        with interruptible():
            sys.exit(_parser()(args=arguments, prog_name="tau-stage", standalone_mode=False) or FINE)
    except MISUSED as misuse:
        sys.exit(_misused(misuse))
    except (KeyboardInterrupt, Exception, BaseExceptionGroup) as failure:
        sys.exit(told(failure))


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
        warn(f"tau-stage made a mistake of its own: {type(failure).__name__}\n  {_logged(failure)}")
        return OUR_BUG
    if isinstance(ours[0], errors.SceneError):
        _list(ours[0])
    else:
        warn(ours[0])
    return _exit_code(ours[0])


def _exit_code(failure: errors.StageError) -> int:
    match failure:
        case errors.BudgetExceeded():
            return OVER_BUDGET
        case errors.CassetteDiffers():
            return FAILED
        case errors.SessionError() | errors.ProtocolError():
            return PROVIDER_FAILED
        case _:
            return SCENE_WRONG


def _list(first: errors.SceneError) -> None:
    found = (first, *first.also)
    warn("\n\n".join(str(error) for error in found[:MOST_ERRORS_SHOWN]))
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
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="tau-stage-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
        ) as log:
            log.write(f"tau-stage {__version__}, Python {sys.version}\n")
            log.write(printable(_secrets().strike("".join(traceback.format_exception(failure)))))
    except OSError as error:
        return f"its log could not be written: {error.strerror}"
    return f"please report it with this log: {log.name}"


def _secrets() -> "Secrets":
    """Return every key of this process, also of the addresses on its command line."""
    from tau_stage.environment import known_keys
    from tau_stage.protocol import Secrets
    from tau_stage.text import keys_of

    return Secrets([*known_keys(), *(key for argument in sys.argv for key in keys_of(argument))])
