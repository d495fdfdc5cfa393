"""Tools: plain Python functions that a model may call, in the background; their schema is made from their signature."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from threading import Thread
from typing import Literal, TypeVar, cast

import anyio
import anyio.from_thread
import anyio.lowlevel
from anyio.abc import TaskGroup
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, PydanticSerializationError, from_json, to_json

from tau_stage.errors import ModelRefused, SessionError, StageError, Timeout, UsageError
from tau_stage.protocol import FunctionTool, JsonObject, ToolCall
from tau_stage.text import docstring, well_formed

MOST_ROUNDS = 8  # rounds of calls after which the model must speak

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what the API takes as a tool's name

EMPTY: JsonObject = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call.

    Attributes:
        name: The name by which the model calls it.
        description: When the model should call it.
        parameters: The JSON Schema of its arguments.
        run: The function; if None, you answer its calls yourself (manual mode).
        timeout_s: The maximum run time in seconds.

    >>> Tool("lights", "Turn the lights on or off.").timeout_s
    30.0
    """

    name: str
    description: str = ""
    parameters: JsonObject | None = None
    run: Callable[..., object] | None = None
    timeout_s: float = 30.0

    @classmethod
    def of(cls, tool: ToolLike) -> Tool:
        """Create a tool from a function: from its name, its docstring and its signature.

        A dict in the API's format becomes a tool whose calls you answer manually.

        Raises:
            UsageError: It is not a tool, or its name is invalid.

        >>> def lights(on: bool, room: str = "hall") -> str:
        ...     "The listener wants the lights on or off."
        >>> Tool.of(lights).parameters["required"]
        ['on']
        """
        made = cls._made(tool)
        if not TOOL_NAME.fullmatch(made.name):
            raise UsageError(
                f"{made.name!r:.80} is not a valid tool name",
                "use 1 to 64 characters: letters without accents, digits, - and _",
            )
        return made

    @classmethod
    def _made(cls, tool: ToolLike) -> Tool:
        if isinstance(tool, Tool):
            return tool
        if isinstance(tool, Mapping):
            told = tool.get("function", tool)
            if tool.get("type", "function") != "function" or not isinstance(told, Mapping) or "name" not in told:
                hint = "write {'type': 'function', 'name': ..., 'parameters': ...}, a function, or a Tool"
                raise UsageError(f"{tool!r:.80} is not a tool", hint)
            return cls(str(told["name"]), str(told.get("description") or ""), told.get("parameters"))
        if not callable(tool):
            raise UsageError(f"{tool!r:.80} is not a tool", "pass a function, a Tool, or a dict in the API's format")
        schema = _validated(tool).json_schema()
        return cls(getattr(tool, "__name__", type(tool).__name__), docstring(tool), schema, tool)

    @property
    def definition(self) -> FunctionTool:
        """The definition that is sent to the session; a tool without parameters has an empty object schema."""
        return FunctionTool(name=self.name, description=self.description, parameters=self.parameters or EMPTY)

    async def call(self, arguments: str, within_s: float = inf) -> str:
        """Run the tool with JSON arguments, within both timeouts; return errors as ``{"error": ...}``."""
        limit_s = min(self.timeout_s, within_s)
        try:
            with anyio.fail_after(limit_s):
                return _written(await self._run(from_json(arguments or "{}")))
        except TimeoutError:
            return _error(f"the tool took longer than {limit_s:.3g} s")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return _error(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except (Exception, SystemExit) as error:
            return _error(f"{type(error).__name__}: {error}")

    async def _run(self, arguments: object) -> object:
        if not isinstance(arguments, dict):
            raise TypeError("the arguments are not an object")
        assert self.run is not None  # noqa: S101 - a manual tool is never run
        call = partial(_validated(self.run).validate_python, ArgsKwargs((), arguments))
        if inspect.iscoroutinefunction(self.run):
            return await cast("Awaitable[object]", call())
        return await run_in_thread(call)


ToolLike = Callable[..., object] | Tool | Mapping[str, object]
"""What becomes a tool: a function, a ``Tool``, or a dict as the API has it, which is answered by hand."""


def _validated(function: Callable[..., object]) -> TypeAdapter[object]:
    return TypeAdapter(cast("type[object]", function))  # pydantic takes functions as it takes types


def _written(result: object) -> str:
    """Write what a tool gave as text for the model."""
    if isinstance(result, str):
        return well_formed(result)
    try:
        return to_json(result, serialize_unknown=True).decode()
    except PydanticSerializationError:
        return well_formed(json.dumps(result, ensure_ascii=False, default=str))


def _error(message: str) -> str:
    return to_json({"error": message}).decode()


async def run_calls(
    tools: dict[str, Tool], calls: tuple[ToolCall, ...], within_s: float = inf
) -> list[tuple[ToolCall, str]]:
    """Run the calls of a turn side by side, and return what they give, in order; the first ``StageError`` ends all."""
    given = [_error(f"unknown tool {call.name!r}; the tools are: {', '.join(tools)}") for call in calls]
    ended: list[StageError] = []

    async def run(number: int, tool: Tool) -> None:
        try:
            given[number] = await tool.call(calls[number].arguments, within_s)
        except StageError as error:
            ended.append(error)
            running.cancel_scope.cancel()

    async with anyio.create_task_group() as running:
        for number, call in enumerate(calls):
            if call.name in tools:
                running.start_soon(run, number, tools[call.name])
    if ended:
        raise ended[0]
    return list(zip(calls, given, strict=True))


def choice_after(turns: int) -> Literal["auto", "none"]:
    """Choose what the response after so many rounds of calls may call: what it likes, at the end nothing."""
    return "auto" if turns < MOST_ROUNDS else "none"


T = TypeVar("T")


class BackgroundTasks:
    """Work that nobody waits for: tools called in a detected turn, cuts after a barge-in.

    It is done by a task of its own, one piece at a time, and never in the reader's way.
    """

    def __init__(self) -> None:
        self._waiting: list[Callable[[], Awaitable[object]]] = []
        self._start: Callable[[], object] | None = None

    def open(self, group: TaskGroup, warn: Callable[[str], None]) -> None:
        """Do from now on what is to be done; ``warn`` is told of what fails and ends nothing else."""
        self._start = partial(group.start_soon, self._run, warn)
        if self._waiting:
            group.start_soon(self._run, warn)

    def add(self, work: Callable[[], Awaitable[object]]) -> None:
        """Add something to be done."""
        self._waiting.append(work)
        if self._start and len(self._waiting) == 1:
            self._start()

    async def _run(self, warn: Callable[[str], None]) -> None:
        while self._waiting:
            try:
                await self._waiting[0]()
            except (ModelRefused, Timeout) as error:
                warn(error.what_happened())
            except SessionError:  # nothing more can be done
                self._waiting.clear()
                return
            self._waiting.pop(0)


async def run_in_thread(call: Callable[[], T]) -> T:
    """Run a function in a thread of its own. Where it is cancelled, the thread is left alone and ends with the process.

    anyio's own workers are waited for when the interpreter ends; one that sleeps would hold the process. What the
    function raises is raised: as it is an ``Exception`` or ``SystemExit``, else as a ``RuntimeError`` that tells it.
    """
    done, token = anyio.Event(), anyio.lowlevel.current_token()
    results: list[T] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            failures.append(error)
        with suppress(RuntimeError):  # nobody waits any more: the loop has ended
            anyio.from_thread.run_sync(done.set, token=token)

    Thread(target=work, name="tau-stage tool", daemon=True).start()
    await done.wait()
    if not failures:
        return results[0]
    failure = failures[0]
    raise failure if isinstance(failure, Exception | SystemExit) else RuntimeError(repr(failure))
