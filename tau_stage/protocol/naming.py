"""Names of models: what was asked for, and what a server says that it is."""

from __future__ import annotations

import re

DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


def named_otherwise(asked: str, named: object) -> str:
    """Return the model that a server names, where it is another than was asked for; else empty.

    The same name with a date, or without, is the same model.

    >>> named_otherwise("gpt-realtime-2.1", "gpt-realtime-2.1-mini")
    'gpt-realtime-2.1-mini'
    >>> named_otherwise("gpt-realtime", "gpt-realtime-2025-08-28"), named_otherwise("gpt-realtime", None)
    ('', '')
    """
    if not (isinstance(named, str) and named and asked):
        return ""
    one, other = (DATED.sub("", name.strip().lower()) for name in (asked, named))
    return "" if one == other else named
