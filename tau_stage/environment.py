"""The environment of this process: what tau-stage reads of it, and what the tools of a scene may see of it."""

from __future__ import annotations

import gc
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tau_stage.protocol import ENDPOINTS, UNDERSTUDY, Secrets, proxy_secrets
from tau_stage.text import bears_key, keys_of

logging.getLogger("tau_stage").addHandler(logging.NullHandler())  # silent, unless the program wants to hear

KEYS = frozenset(
    {name for place in ENDPOINTS.values() for name in place.key_env} | {"TAU_STAGE_API_KEY", "TAU_STAGE_GATE_TOKEN"}
)
"""Every variable that may hold the key of an endpoint, or of a gate."""

ADDRESSES = frozenset(
    {place.resource_env for place in ENDPOINTS.values() if place.resource_env} | {"TAU_STAGE_ENDPOINT"}
)
"""Every variable that may hold an endpoint's address."""

_OURS = "PYDANTIC_DISABLE_PLUGINS"  # what ``tau_stage.__main__`` sets for this process alone

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential|bearer", re.IGNORECASE)

_FIRST_FIELD, _ENV_START, _ENV_END = 3, 50, 51
"""Fields of ``/proc/self/stat`` (proc(5)): the first behind the name, and the bounds of the block of variables."""

_held: dict[str, str] = {}
_holders: Counter[str] = Counter()


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # what ``mallopt`` sets (malloc.h)

LARGEST_KEPT = 8 << 20
MOST_KEPT = 64 << 20
"""Bytes of one piece of memory, and of all, that are kept for the next use: a clip of two minutes, 30 of 10 s."""

MOST_ARENAS = 2
"""Parts of the memory that threads allocate in: by default, each of many threads fills one of its own over time."""


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next use; tell whether it does, which only glibc can.

    By default, each frame of a clip is new memory of the kernel's, page by page: half the time that sending it takes.
    It costs ``MOST_KEPT`` at the most, once a performance has used so much. All threads share ``MOST_ARENAS``.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    wishes = ((_M_MMAP_THRESHOLD, LARGEST_KEPT), (_M_TRIM_THRESHOLD, MOST_KEPT), (_M_ARENA_MAX, MOST_ARENAS))
    return mallopt is not None and all(mallopt(name, value) for name, value in wishes)


@contextmanager
def spared_by_collector() -> Iterator[None]:
    """Let the garbage collector pass over what is loaded by now: to look through it all stops the loop for long.

    Whoever did so before decides when that ends: a program, or another performance.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def environment() -> Mapping[str, str]:
    """Return the environment of this process, with what is withheld from tools."""
    return {**os.environ, **_held}


def usual_endpoint(environment: Mapping[str, str], wished: str | None = None) -> str:
    """Return the name or address of the endpoint of players that name none: the wish, else what is set here.

    >>> usual_endpoint({}), usual_endpoint({"OPENAI_API_KEY": "sk-0"})
    ('understudy', 'openai')
    """
    keyed = "openai" if environment.get("OPENAI_API_KEY") else UNDERSTUDY
    return wished or environment.get("TAU_STAGE_ENDPOINT") or keyed


def visible(whole: Mapping[str, str], named: Iterable[str] = ()) -> dict[str, str]:
    """Return what a tool sees of an environment: nothing that is or looks like a key, but for what the scene names.

    A variable is withheld by its name, by an endpoint's key in its value, and by a key in an address.

    >>> visible({"PATH": "/bin", "OPENAI_API_KEY": "sk-0", "SHOP_TOKEN": "t", "COPY": "sk-0"}, ["SHOP_TOKEN"])
    {'PATH': '/bin', 'SHOP_TOKEN': 't'}
    """
    keys = {whole[name].strip() for name in KEYS if whole.get(name, "").strip()}
    hidden = {
        name
        for name, value in whole.items()
        if name == _OURS
        or _SECRET_NAME.search(name)
        or any(key in value for key in keys)
        or ("://" in value and bears_key(value))
    }
    return {name: value for name, value in whole.items() if name not in hidden.difference(named)}


def known_keys() -> frozenset[str]:
    """Return the keys of this process: of every endpoint, of its proxies, and of addresses in its environment."""
    whole = environment()
    keys = {whole[name].strip() for name in KEYS if name in whole}
    addresses = {whole[name] for name in ADDRESSES if name in whole}
    return frozenset(keys | proxy_secrets(whole) | {key for address in addresses for key in keys_of(address)})


def log_event(room: str, level: int, text: str) -> None:
    """Tell the standard logger ``tau_stage.<room>`` what happens, with every key of this process struck out."""
    logger = logging.getLogger(f"tau_stage.{room}")
    if logger.isEnabledFor(level):
        logger.log(level, "%s", Secrets(known_keys()).strike(text))


@contextmanager
def keys_withheld(named: Iterable[str] = ()) -> Iterator[None]:
    """Take what tools may not see out of this process's environment while the block runs; what is ``named`` stays.

    Blocks may overlap; what is withheld comes back when the last of them ends.
    """
    whole = environment()
    hidden = whole.keys() - visible(whole, named).keys()
    for name in hidden:
        _holders[name] += 1
        if name in os.environ:
            _held[name] = os.environ.pop(name)
    erase_beginning()
    try:
        yield
    finally:
        for name in hidden:
            _holders[name] -= 1
            if not _holders[name]:
                os.environ.setdefault(name, _held.pop(name))


def cache_folder(environment: Mapping[str, str]) -> Path | None:
    """Tell where a user keeps what can be made again; None where there is no such place.

    >>> cache_folder({"HOME": "/home/ann"}), cache_folder({"HOME": "/", "XDG_CACHE_HOME": "/var/x"}), cache_folder({})
    (PosixPath('/home/ann/.cache/tau-stage'), PosixPath('/var/x/tau-stage'), None)
    """
    named = Path(environment.get("XDG_CACHE_HOME", ""))
    if not named.is_absolute():
        named = Path(environment.get("HOME", "")) / ".cache"
    return named / "tau-stage" if named.is_absolute() else None


def erase_beginning() -> None:
    """Erase what tools may not see from the variables that this process was started with.

    Linux shows that block to every process of the same user, as ``/proc/PID/environ``. The variables themselves stay.
    """
    try:
        numbers = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = (int(numbers[field - _FIRST_FIELD]) for field in (_ENV_START, _ENV_END))
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            _erase(memory, start, memory.read(end - start).split(b"\0"))
    except (OSError, ValueError, IndexError):  # another system, or one that forbids it
        return


def _erase(memory: IO[bytes], place: int, entries: Sequence[bytes]) -> None:
    told = [os.fsdecode(entry).partition("=")[::2] for entry in entries]
    seen = visible({**environment(), **dict(told)})
    for entry, (name, _) in zip(entries, told, strict=True):
        if name and name not in seen:
            if name in os.environ:
                os.environ[name] = os.environ[name]  # moves it elsewhere, where no other process looks
            memory.seek(place)
            memory.write(bytes(len(entry)))
        place += len(entry) + 1


def is_running(pid: int) -> bool:
    """Tell whether a process of this machine runs; 0 is none. Where that cannot be told, it may.

    One that has ended, and was not waited for, does not.

    >>> is_running(os.getpid()), is_running(0)
    (True, False)
    """
    if pid <= 0 or sys.platform == "win32":  # there, to ask would end it
        return pid > 0
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1] != [b"Z"]
    except OSError:
        return True
