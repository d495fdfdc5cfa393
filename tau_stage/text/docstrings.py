"""Docstrings that people and models read: they are there also where Python forgets them (``-OO``)."""

import ast
import inspect
import textwrap
from dataclasses import is_dataclass
from typing import Any


def docstring(thing: Any) -> str:
    """Return what a function or a class says of itself; where Python has not kept it, as its source has it.

    >>> docstring(docstring).partition(";")[0]
    'Return what a function or a class says of itself'

    Args:
        thing: A function, a class, or whatever else can be called.

    Returns:
        The text without its indentation; empty where there is none.
    """
    told = inspect.getdoc(thing) or ""
    if is_dataclass(thing) and told.startswith(f"{getattr(thing, '__name__', '')}("):
        told = ""  # its signature, which dataclasses take where there is no docstring
    return told or _written(thing)


def _written(thing: Any) -> str:
    defined = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    try:
        first = ast.parse(textwrap.dedent(inspect.getsource(defined))).body[0]
    except (OSError, TypeError, SyntaxError):
        return ""  # it was not read from a file, or is a part of a line
    if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return ast.get_docstring(first) or ""
    return ""
