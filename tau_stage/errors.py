"""Every exception of tau-stage. Each carries facts and builds its sentence in ``__str__``."""

import copyreg
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar, Literal, Self


def format_if(form: str, fact: object) -> str:
    """Write a fact into a piece of a sentence; of no fact, no piece.

    >>> "refused" + format_if(" ({})", "busy") + format_if(": {}", "")
    'refused (busy)'
    """
    return form.format(fact) if fact else ""


def _with_hint(text: str, hint: str) -> str:
    return text + format_if("\n  hint: {}", hint)


class StageError(Exception):
    """The base class: ``except StageError`` catches every error that tau-stage raises deliberately.

    >>> all(issubclass(kind, StageError) for kind in (SceneError, SessionError, UsageError, TakeError))
    True
    """

    def __reduce__(self) -> tuple[object, ...]:
        """Copy the error by its facts, which are given by name, and not by its call."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


@dataclass(eq=False)
class SceneError(StageError):
    """A scene file cannot be performed. ``line`` and ``column`` are the position, counted from 1.

    Attributes:
        path: The file, as the user specified it.
        problem: What is wrong, as a sentence without a full stop.
        hint: What to do about it, or empty.
        source: The source line itself, or empty if there is none to show.
        also: Further errors, in the order of their lines.
        caret: Where the caret is under ``source``, from 1; 0 means at ``column``. They differ if a long line is
            shortened, or if its characters are wide.

    >>> print(SceneError("duel.yaml", 6, 5, "player 'bob' has unknown key 'voise'", hint="did you mean 'voice'?"))
    duel.yaml:6:5: player 'bob' has unknown key 'voise'
      hint: did you mean 'voice'?
    """

    path: str
    line: int
    column: int
    problem: str
    hint: str = ""
    source: str = ""
    also: "tuple[SceneError, ...]" = ()
    caret: int = 0

    def __str__(self) -> str:
        shown = f"{self.path}:{self.line}:{self.column}: {self.problem}"
        if self.source:
            shown += f"\n  {self.source}\n  " + " " * ((self.caret or self.column) - 1) + "^"
        return _with_hint(shown, self.hint)


@dataclass(eq=False)
class ProtocolError(StageError):
    """The Realtime protocol was broken by tau-stage (``ours``) or by the server (``theirs``).

    >>> print(ProtocolError("theirs", "a response ended that never began"))
    the server violated the Realtime protocol: a response ended that never began
    """

    side: Literal["ours", "theirs"]
    problem: str

    def __str__(self) -> str:
        who = "tau-stage violated" if self.side == "ours" else "the server violated"
        return f"{who} the Realtime protocol: {self.problem}"


@dataclass(eq=False, kw_only=True)
class SessionError(StageError):
    """A session failed. ``player``, ``endpoint`` and ``line`` say where, as far as that is known.

    >>> print(SessionError(player="clerk", line="clerk-2"))
    line clerk-2, player clerk: the session failed
    """

    told: ClassVar[str] = "the session failed"
    """What happened, with facts in braces."""

    player: str = ""
    endpoint: str = ""
    line: str = ""

    def about(self, *, player: str = "", endpoint: str = "", line: str = "") -> Self:
        """Copy the error and add what the caller knows about its place.

        >>> str(Timeout(what="session.updated", waited_s=5.0).about(player="clerk"))
        'player clerk: no session.updated within 5 s'
        """
        told = {"player": player, "endpoint": endpoint, "line": line}
        known = replace(self, **{name: getattr(self, name) or fact for name, fact in told.items()})
        return known.with_traceback(self.__traceback__)

    def what_happened(self) -> str:
        """Describe the error without its place."""
        return self.told.format(self)

    def __str__(self) -> str:
        known = (("line", self.line), ("player", self.player), ("at", self.endpoint))
        place = ", ".join(f"{word} {name}" for word, name in known if name)
        return format_if("{}: ", place) + self.what_happened()


@dataclass(eq=False, kw_only=True)
class ConnectFailed(SessionError):
    """A session could not be opened.

    Attributes:
        status: The HTTP status of the refused upgrade, if there was one.
        code: The server's error code, if it refused the session (``invalid_api_key``, ``insufficient_quota``...).
        close_code: The WebSocket close code that followed, if any.
        retry_after_s: The server's ``Retry-After``, in seconds.
        hint: What to do about it, or empty.

    >>> print(ConnectFailed(player="clerk", reason="invalid API key", status=401))
    player clerk: could not open the session (HTTP 401): invalid API key
    """

    reason: str
    status: int | None = None
    code: str | None = None
    close_code: int | None = None
    retry_after_s: float | None = None
    hint: str = ""

    def __str__(self) -> str:
        return _with_hint(super().__str__(), self.hint)

    def what_happened(self) -> str:
        """Describe the refusal, with every number that the server gave."""
        known = (
            ("HTTP {}", self.status),
            ("{}", self.code or None),
            ("close {}", self.close_code),
            ("retry after {:g} s", self.retry_after_s),
        )
        facts = ", ".join(form.format(fact) for form, fact in known if fact is not None)
        return f"could not open the session{format_if(' ({})', facts)}: {self.reason}"


@dataclass(eq=False, kw_only=True)
class SessionClosed(SessionError):
    """The session was closed by the server, the network, or tau-stage. ``code`` is the WebSocket close code.

    >>> print(SessionClosed(player="clerk", code=1006))
    player clerk: the session was closed (1006)
    """

    code: int
    reason: str = ""

    def what_happened(self) -> str:
        """Describe the close code and the server's reason."""
        return f"the session was closed ({self.code}{format_if(': {}', self.reason)})"


@dataclass(eq=False, kw_only=True)
class ModelRefused(SessionError):
    """The server answered a request with an error.

    Attributes:
        param: The field that the server complains about, if it names one.
        event_id: The id that tau-stage gave the refused event.

    >>> print(ModelRefused(code="cannot_update_voice", message="The voice is fixed."))
    the model refused (cannot_update_voice): The voice is fixed.
    """

    told: ClassVar[str] = "the model refused ({0.code}): {0.message}"

    code: str
    message: str
    param: str | None = None
    event_id: str | None = None


@dataclass(eq=False, kw_only=True)
class Timeout(SessionError):
    """Something did not arrive in time. ``instead`` is a sentence about what arrived instead, or empty.

    >>> print(Timeout(player="clerk", what="session.updated", waited_s=5.0))
    player clerk: no session.updated within 5 s
    """

    what: str
    waited_s: float
    instead: str = ""

    def what_happened(self) -> str:
        """Describe what did not arrive, how long tau-stage waited, and what arrived instead."""
        return f"no {self.what} within {self.waited_s:g} s{format_if('; {}', self.instead)}"


@dataclass(eq=False)
class BudgetExceeded(StageError):
    """The scene stopped between two lines, because its budget was used up or the next line would exceed it.

    All amounts are in dollars. ``expected`` is the likely cost of the line that did not start, or of the whole scene.

    >>> from decimal import Decimal
    >>> print(BudgetExceeded(Decimal("0.50"), Decimal("0.48"), "clerk-7"))
    stopped before line clerk-7: $0.4800 of the budget of $0.5000 is used; raise limits.budget or --budget to continue
    """

    budget: Decimal
    spent: Decimal
    before_line: str
    expected: Decimal | None = None

    def __str__(self) -> str:
        used = f"${self.spent:.4f} of the budget of ${self.budget:.4f} is used"
        place, what = (f"line {self.before_line}", "line") if self.before_line else ("the first line", "scene")
        used += "" if self.expected is None else f", and the {what} is likely to cost ${self.expected:.4f}"
        return f"stopped before {place}: {used}; raise limits.budget or --budget to continue"


@dataclass(eq=False)
class LimitReached(StageError):
    """The scene reached one of its limits. ``what`` exceeded it; ``limit`` is its name and value.

    >>> print(LimitReached("duel.yaml:9: cue-1 starts", "limits.cues is 100", "raise it"))
    duel.yaml:9: cue-1 starts, but limits.cues is 100; raise it
    """

    what: str
    limit: str
    hint: str = "this may be a cycle of cues: set 'times' on the cue, or raise the limit"

    def __str__(self) -> str:
        return f"{self.what}, but {self.limit}; {self.hint}"


class Stopped(StageError):
    """The user asked to stop, and the work in progress has ended.

    >>> isinstance(Stopped(), StageError)
    True
    """

    def __str__(self) -> str:
        return "stopped by the user"


@dataclass(eq=False)
class UsageError(StageError):
    """The command line or the environment asks for something impossible. ``hint`` says what to do, or is empty.

    >>> print(UsageError("unknown endpoint 'openia'", "did you mean openai?"))
    unknown endpoint 'openia'
      hint: did you mean openai?
    """

    problem: str
    hint: str = ""

    def __str__(self) -> str:
        return _with_hint(self.problem, self.hint)


@dataclass(eq=False)
class _InFolder:
    path: str
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        return _with_hint(f"{self.path}: {self.problem}", self.hint)


class TakeError(_InFolder, StageError):
    """A take's folder or file cannot be written or read. ``hint`` says what to do, or is empty.

    >>> print(TakeError("takes/duel", "is not a folder"))
    takes/duel: is not a folder
    """


class CassetteError(_InFolder, StageError):
    """A cassette is missing, damaged, or of another version. ``hint`` says what to do, or is empty.

    >>> print(CassetteError("tapes/duel", "there is no cassette of this scene"))
    tapes/duel: there is no cassette of this scene
    """


@dataclass(eq=False)
class CassetteDiffers(StageError):
    """The scene differs from its cassette.

    Attributes:
        path: The cassette's folder.
        line: The recorded id of the line, if the difference is in a line.
        field: What differs, with the name that it has in the scene.

    >>> print(CassetteDiffers("tapes/duel", "clerk", "clerk-2", "words", "'No.'", "'Yes.'"))
    line clerk-2, player clerk: words differ: recorded 'No.', now 'Yes.'
      hint: if the scene is right, record the cassette tapes/duel again with --record
    """

    path: str
    player: str
    line: str
    field: str
    recorded: str
    now: str

    def __str__(self) -> str:
        place = f"{format_if('line {}, ', self.line)}player {self.player}"
        verb = "differ" if self.field.endswith("s") else "differs"
        said = f"{place}: {self.field} {verb}: recorded {self.recorded}, now {self.now}"
        return _with_hint(said, f"if the scene is right, record the cassette {self.path} again with --record")


@contextmanager
def unwrapped() -> Iterator[None]:
    """Let a lone failure out of its exception groups, however deep: callers catch what they know by name.

    >>> with unwrapped():
    ...     raise ExceptionGroup("outer", [ExceptionGroup("inner", [SessionError(player="clerk")])])
    Traceback (most recent call last):
    tau_stage.SessionError: player clerk: the session failed
    """
    try:
        yield
    except BaseExceptionGroup as failures:
        raise lone(failures) from None


def lone(failures: BaseExceptionGroup) -> BaseException:
    """Find the only failure of a group of one, however deep; a group of several stays a group.

    >>> lone(ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError("x")])]))
    ValueError('x')
    """
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure


LFS_PROBLEM = "is a Git LFS pointer"
LFS_HINT = "fetch the file with git lfs pull (in Actions: checkout with lfs: true)"
LFS_LARGEST = 1024  # bytes that a pointer has at most, as its specification says

_LFS_SPECIFICATIONS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")


def os_reason(error: OSError) -> str:
    """Tell why the operating system refused something, as a part of a sentence.

    >>> os_reason(FileNotFoundError(2, "No such file or directory"))
    'no such file or directory'
    """
    return (error.strerror or str(error)).lower()


def is_lfs_pointer(data: bytes) -> bool:
    r"""Tell whether a file that begins so is a Git LFS pointer: a few lines that stand for a file nobody has fetched.

    >>> is_lfs_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    True
    """
    return data.startswith(_LFS_SPECIFICATIONS)
