"""The environment of this process: what tau-stage reads of it, and what the tools of a scene may see of it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.protocol.secrets import shown

KEYS = frozenset({name for place in ENDPOINTS.values() for name in place.key_env} | {"TAU_STAGE_API_KEY"})
"""Every variable that may hold an endpoint's key."""

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential|bearer", re.IGNORECASE)

_held: dict[str, str] = {}
_holders: Counter[str] = Counter()


def environment() -> Mapping[str, str]:
    """The environment of this process, with what is withheld from tools."""
    return {**os.environ, **_held}


def visible(whole: Mapping[str, str], named: Iterable[str] = ()) -> dict[str, str]:
    """What a tool sees of an environment: nothing that is or looks like a key, but for what the scene names.

    A variable is withheld by its name, by an endpoint's key in its value, and by a key in an address.

    >>> visible({"PATH": "/bin", "OPENAI_API_KEY": "sk-0", "SHOP_TOKEN": "t", "COPY": "sk-0"}, ["SHOP_TOKEN"])
    {'PATH': '/bin', 'SHOP_TOKEN': 't'}
    """
    keys = {whole[name].strip() for name in KEYS if whole.get(name, "").strip()}
    wanted = set(named)
    return {
        name: value
        for name, value in whole.items()
        if name in wanted or not (_SECRET_NAME.search(name) or any(key in value for key in keys) or _bears_key(value))
    }


def _bears_key(value: str) -> bool:
    return "://" in value and shown(value) != value


@contextmanager
def keys_withheld(named: Iterable[str] = ()) -> Iterator[None]:
    """Take what tools may not see out of this process's environment while the block runs.

    Blocks may overlap; what is withheld comes back when the last of them ends.

    Args:
        named: Variables that the scene names: they stay.
    """
    whole = environment()
    hidden = whole.keys() - visible(whole, named).keys()
    for name in hidden:
        _holders[name] += 1
        if name in os.environ:
            _held[name] = os.environ.pop(name)
    try:
        yield
    finally:
        for name in hidden:
            _holders[name] -= 1
            if not _holders[name]:
                os.environ.setdefault(name, _held.pop(name))
