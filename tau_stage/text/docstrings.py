"""Docstrings that people and models read: they are there also where Python forgets them (``-OO``)."""

import ast
import inspect
import re
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


def attributes_of(told: str) -> dict[str, str]:
    r"""Return the descriptions of attributes that a docstring lists, by name.

    >>> attributes_of("A lamp.\n\nAttributes:\n    on: Whether it\n        is on.\n    room: Its room.\n")
    {'on': 'Whether it is on.', 'room': 'Its room.'}
    """
    listed = "".join(re.findall(r"^Attributes:\n((?:    .*\n?)+)", told, re.MULTILINE))
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", listed, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}


def _written(thing: Any) -> str:
    defined = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    try:
        first = ast.parse(textwrap.dedent(inspect.getsource(defined))).body[0]
    except (OSError, TypeError, SyntaxError):
        return ""  # it was not read from a file, or is a part of a line
    if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return ast.get_docstring(first) or ""
    return ""
