"""Tools on stage: what a scene defines, as what a session can call; each call is written down."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from inspect import getmodulename
from math import inf
from pathlib import Path
from types import ModuleType

import anyio
from anyio.abc import ByteReceiveStream, Process
from pydantic_core import from_json, to_json

from tau_stage.environment import environment, erase_beginning, keys_withheld, visible
from tau_stage.errors import UsageError
from tau_stage.protocol import NO_SECRETS, Secrets
from tau_stage.scene import Plan, ToolDefinition
from tau_stage.session import Tool

LONGEST_OUTPUT = 64 * 1024  # bytes that a tool may answer; more would fill the model's context


ToolReport = Callable[[str, str, str | None, float], str | None]
"""Told of each call: tool, arguments, output (None before the call), seconds. An answer that it knows is taken."""


def make_tools(
    plan: Plan, names: tuple[str, ...], report: ToolReport, secrets: Secrets = NO_SECRETS
) -> dict[str, Tool]:
    """Make the tools of one player; calls are reported without secrets. A ``UsageError`` says what is not found."""
    folder = Path(plan.path).parent
    tools = {name: _tool(name, plan.tools[name], folder) for name in names}
    own = [field.name for field in fields(Tool)]
    return {
        name: _Reported(**{key: getattr(tool, key) for key in own}, report=report, secrets=secrets)
        for name, tool in tools.items()
    }


def find_tools(plan: Plan) -> None:
    """Find every tool that a player has, before anything is made or paid.

    Raises:
        UsageError: A function cannot be found.
    """
    for name in dict.fromkeys(name for player in plan.models for name in player.tools):
        _tool(name, plan.tools[name], Path(plan.path).parent)


@contextmanager
def hide_keys(plan: Plan) -> Iterator[None]:
    """Keep every key from what a scene runs while it is performed, but for what the scene names.

    Functions see the variables of this process, programs those that they are given; both could read those that it was
    started with.
    """
    functions = [tool for tool in plan.tools.values() if tool.run]
    if not functions:
        if plan.runs_code:
            erase_beginning()
        yield
        return
    with keys_withheld({name for tool in functions for name in tool.env}):
        yield


def check_tool_permission(plan: Plan, *, allowed: bool) -> None:
    """Refuse to run anything of the author's without permission.

    Raises:
        UsageError: A tool of the scene runs something, and it is not allowed.
    """
    if plan.runs_code and not allowed:
        names = ", ".join(plan.runs_code)
        raise UsageError(
            f"{plan.path}: the scene's tools run code from the scene's author ({names})",
            "if you trust the scene, pass --allow-tools, or set allow_tools = true in your settings",
        )


def _tool(name: str, definition: ToolDefinition, folder: Path) -> Tool:
    tool = Tool(name, definition.description, dict(definition.parameters or {}) or None, timeout_s=definition.timeout)
    if definition.run:
        with keys_withheld(definition.env), import_beside(folder) as find:
            function = Tool.of(find(definition.run))
        parameters = tool.parameters or function.parameters
        return replace(
            tool, description=tool.description or function.description, parameters=parameters, run=function.run
        )
    if definition.command:
        return replace(tool, run=_program(definition.command, folder, definition.env, definition.timeout))
    return replace(tool, run=_answering(definition.returns))


def _answering(result: object) -> Callable[..., object]:
    async def answer(**_arguments: object) -> object:
        return result

    return answer


def _program(command: tuple[str, ...], folder: Path, named: tuple[str, ...], timeout_s: float) -> Callable[..., object]:
    """Run a program: arguments as JSON on its input; what it prints is the result. No shell reads its words.

    It sees no key, but for the variables that the scene names.
    """

    async def run(**arguments: object) -> str:
        process = await _start(command, folder, named)
        try:
            with anyio.fail_after(timeout_s):
                return await _talk(process, to_json(arguments))
        finally:
            await _end(process)

    return run


async def _start(command: tuple[str, ...], folder: Path, named: tuple[str, ...]) -> Process:
    """Start a program as the first of a group of its own; shielded: nobody would end a group that is half started."""
    try:
        with anyio.CancelScope(shield=True):
            variables = visible(environment(), named)
            process = await anyio.open_process(command, cwd=folder, env=variables, start_new_session=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ToolFailed(f"cannot start {command[0]}: {reason}") from None
    return process


class ToolFailed(Exception):
    """A tool could not do its work; its text is what the model is told."""


async def _talk(process: Process, given: bytes) -> str:
    printed, complaint = bytearray(), bytearray()
    async with anyio.create_task_group() as group:
        group.start_soon(_read, process.stderr, complaint)
        group.start_soon(_give, process, given)
        await _read(process.stdout, printed, LONGEST_OUTPUT)
        if len(printed) > LONGEST_OUTPUT:
            group.cancel_scope.cancel()
        else:
            code = await process.wait()
    if len(printed) > LONGEST_OUTPUT:
        raise ToolFailed(f"it printed more than {LONGEST_OUTPUT // 1024} KB and was stopped")
    if code:
        last = complaint.decode(errors="replace").strip().split("\n")[-1]
        raise ToolFailed(f"it exited with code {code}" + (f": {last}" if last else ""))
    return printed.decode(errors="replace").strip()


async def _read(stream: ByteReceiveStream | None, found: bytearray, limit: float = inf) -> None:
    """Read what a program prints, up to a limit and a little more; without one, the end of it."""
    assert stream is not None  # noqa: S101 - it was asked for
    with suppress(anyio.ClosedResourceError):
        async for chunk in stream:
            found += chunk
            if len(found) > limit:
                return
            del found[:-LONGEST_OUTPUT]


async def _give(process: Process, given: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    try:
        await process.stdin.send(given)
        await process.stdin.aclose()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # it did not want its arguments


async def _end(process: Process) -> None:
    """End a program and whatever it has started."""
    with anyio.CancelScope(shield=True):
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:  # Windows has no groups: what the program has started may outlive it
                process.kill()
        await process.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reported(Tool):
    """A tool whose calls are told of. What it tells the model holds no key; what the stage says is no failure."""

    report: ToolReport
    secrets: Secrets

    async def call(self, arguments: str, within_s: float = inf) -> str:
        given = _compact(arguments)
        known = self.report(self.name, given, None, 0.0)
        began = anyio.current_time()
        output = known if known is not None else _short(self.secrets.strike(await Tool.call(self, arguments, within_s)))
        self.report(self.name, given, output, anyio.current_time() - began)
        return output


def _compact(arguments: str) -> str:
    """Write JSON without its spaces; what is no JSON, as the model wrote it."""
    try:
        return to_json(from_json(arguments or "{}")).decode()
    except ValueError:
        return arguments


def _short(output: str) -> str:
    if len(output.encode()) <= LONGEST_OUTPUT:
        return output
    return to_json({"error": f"the tool returned more than {LONGEST_OUTPUT // 1024} KB"}).decode()


def has_failed(output: str) -> bool:
    """Tell whether a model was told that its tool failed.

    >>> has_failed('{"error":"no"}'), has_failed('{"ok":true}')
    (True, False)
    """
    return output.startswith('{"error":')


_modules: dict[Path, dict[str, ModuleType]] = {}
"""What was imported beside scenes, by the scene's folder: two scenes may have modules of the same name."""


@contextmanager
def import_beside(folder: Path) -> Iterator[Callable[[str], Callable[..., object]]]:
    """Find the author's functions, by ``module:function``; a UsageError says why one cannot be found.

    While this is open, the modules beside the scene, in ``folder``, go before all others, as beside a script.
    """
    place = folder.resolve()
    names = _names(place)
    other_scenes = [module for modules in _modules.values() for module in modules.values()]
    aside = {name: sys.modules.pop(name) for name in _loaded(names)}
    sys.modules.update(_modules.get(place, {}))
    sys.path.insert(0, str(place))
    importlib.invalidate_caches()
    try:
        yield lambda name: _found(name, place)
    finally:
        sys.path.remove(str(place))
        _modules[place] = {name: sys.modules[name] for name in _loaded(names)}
        sys.modules.update({name: module for name, module in aside.items() if module not in other_scenes})


def _names(folder: Path) -> set[str]:
    """Return the modules and packages of a folder."""
    if not folder.is_dir():
        return set()
    names = {path.name if any(path.glob("*.py")) else getmodulename(path) for path in folder.iterdir()}
    return {name for name in names if name and name != __package__.partition(".")[0]}


def _loaded(names: set[str]) -> list[str]:
    return [module for module in sys.modules if module.partition(".")[0] in names]


def _found(name: str, folder: Path) -> Callable[..., object]:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise _broken(module, folder, error) from None
        raise UsageError(f"cannot find the tool's module {module}: it is not installed and not in {folder}") from None
    except AttributeError as error:
        if module not in sys.modules:
            raise _broken(module, folder, error) from None
        raise UsageError(f"cannot find the tool's function {name}: {error}") from None
    except (Exception, SystemExit) as error:
        raise _broken(module, folder, error) from None
    if not callable(found):
        raise UsageError(f"{name} is not a function", "write 'run: module:function'")
    return found  # type: ignore[no-any-return]


def _broken(module: str, folder: Path, error: BaseException) -> UsageError:
    """Tell where an import failed, by the innermost line of the author's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{frame.filename}:{frame.lineno}" for frame in frames if Path(frame.filename).is_relative_to(folder)]
    problem = str(error)
    if isinstance(error, SyntaxError):
        own, problem = [f"{error.filename}:{error.lineno}"], error.msg
    where = own[-1] if own else module
    return UsageError(f"cannot load the tool's module {module}: {where}: {type(error).__name__}: {problem}")
