"""A person's typing, without blocking anybody. What nobody has read stays in the kernel.

For Linux and macOS: on Windows the event loop can wait for sockets only, so neither function works there.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
import anyio.lowlevel

from tau_stage.errors import UsageError

LONGEST_LINE = 65_536
ESCAPE = "\x1b"

_begun: dict[tuple[int, int, int], bytearray] = {}
"""Lines whose end had not come when their reader went away, by what the descriptor stands for."""


async def typed_line(timeout_s: float | None, *, fd: int | None = None) -> str | None:
    """Read the next line that a person types, without its end; None at the end of the input or after the timeout.

    A line cut short by the timeout or by cancellation goes on where it was at the next call. One caller at a time.
    Not for Windows.

    Args:
        timeout_s: How long to wait for the line; None is for ever.
        fd: The descriptor of a terminal, pipe or file; standard input where none is given.

    Raises:
        UsageError: There is no standard input.
    """
    fd = _input(fd)
    about = os.fstat(fd)
    place = (fd, about.st_dev, about.st_ino)
    line = _begun.setdefault(place, bytearray())
    with anyio.move_on_after(timeout_s):
        while len(line) < LONGEST_LINE and not line.endswith(b"\n"):
            byte = await _next_byte(fd)
            line += byte
            if not byte:
                break
        del _begun[place]
        text = line.decode(errors="replace")
        return text.removesuffix("\n").removesuffix("\r") if text else None
    return None


async def key_pressed(key: str | None = None, *, fd: int | None = None) -> None:
    """Return as soon as a key is pressed; at the end of the input, never.

    A terminal takes single keys, and does not show them, while this waits. One caller at a time. Not for Windows.

    Args:
        key: The character to wait for; None takes any. Keys like arrows, which send several, count as escape.
        fd: The descriptor of a terminal, pipe or file; standard input where none is given.

    Raises:
        UsageError: There is no standard input.
    """
    fd = _input(fd)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    with _single_keys(fd):
        while byte := await _next_byte(fd):
            character = decoder.decode(byte)
            if character.startswith(ESCAPE):
                _drop_rest(fd)
            if character and key in (None, character):
                return
        await anyio.sleep_forever()


def _input(fd: int | None) -> int:
    try:
        return sys.stdin.fileno() if fd is None else fd
    except (AttributeError, OSError, ValueError):  # started without one, replaced, closed
        raise UsageError("cannot read the keyboard: there is no standard input") from None


async def _next_byte(fd: int) -> bytes:
    """Read one byte, or none at the end. The loop is asked only to wait: it cannot wait for plain files."""
    await anyio.lowlevel.checkpoint()
    if not select.select([fd], [], [], 0)[0]:
        await anyio.wait_readable(fd)
    try:
        return os.read(fd, 1)
    except OSError:  # the terminal has gone
        return b""


@contextmanager
def _single_keys(fd: int) -> Iterator[None]:
    """Put a terminal into cbreak mode; leave alone what is none."""
    try:
        import termios
        import tty
    except ImportError:  # Windows: a line ends with the Enter key
        yield
        return
    if not os.isatty(fd):
        yield
        return

    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd, termios.TCSANOW)
        yield
    finally:
        with suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(fd, termios.TCSANOW, before)


def _drop_rest(fd: int) -> None:
    """Forget the rest of a key that sends several characters."""
    with suppress(ImportError):
        import termios

        if os.isatty(fd):
            termios.tcflush(fd, termios.TCIFLUSH)
