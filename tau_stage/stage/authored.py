"""What a scene's author wrote in Python, found beside the scene as if the scene were a script."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import getmodulename
from pathlib import Path
from types import ModuleType
from typing import Any

from tau_stage.errors import UsageError

_modules: dict[Path, dict[str, ModuleType]] = {}
"""What was imported beside scenes, by the scene's folder: two scenes may have modules of the same name."""


@contextmanager
def author(folder: Path) -> Iterator[Callable[[str], Callable[..., Any]]]:
    """Find the author's functions.

    While this is open, the modules beside the scene go before all others, as beside a script.

    Args:
        folder: The scene's.

    Yields:
        Finds a function by ``module:function``; a UsageError says why it cannot.
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


def _found(name: str, folder: Path) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise _broken(module, folder, error) from None
        raise UsageError(
            f"the tool's module {module} cannot be found: it is neither installed nor in {folder}"
        ) from None
    except AttributeError as error:
        if module not in sys.modules:
            raise _broken(module, folder, error) from None
        raise UsageError(f"the tool's function {name} cannot be found: {error}") from None
    except (Exception, SystemExit) as error:
        raise _broken(module, folder, error) from None
    if not callable(found):
        raise UsageError(f"{name} is no function", "write run: module:function")
    return found  # type: ignore[no-any-return]


def _broken(module: str, folder: Path, error: BaseException) -> UsageError:
    """Tell where an import failed, by the innermost line of the author's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{frame.filename}:{frame.lineno}" for frame in frames if Path(frame.filename).is_relative_to(folder)]
    problem = str(error)
    if isinstance(error, SyntaxError):
        own, problem = [f"{error.filename}:{error.lineno}"], error.msg
    where = own[-1] if own else module
    return UsageError(f"the tool's module {module} cannot be loaded: {where}: {type(error).__name__}: {problem}")
