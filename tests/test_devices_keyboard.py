"""A person's typing is read from real pipes and a real terminal, and nobody else waits for it."""

from __future__ import annotations

import os
import pty
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tau_stage.devices.keyboard import key_pressed, typed_line
from tau_stage.errors import UsageError

SOON_S = 0.02
"""Long enough to see that nothing comes, on the real clock."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Descriptors are waited for on the real clock, and differently by either loop."""
    return str(request.param)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The person's end and the program's end."""
    person, program = pty.openpty()
    yield person, program
    os.close(program)
    os.close(person)


async def pressed(key: str | None, fd: int, within_s: float = 5) -> bool:
    with anyio.move_on_after(within_s):
        await key_pressed(key, fd=fd)
        return True
    return False


def is_by_line(fd: int) -> bool:
    """Whether a terminal gives whole lines and shows what is typed."""
    flags: int = termios.tcgetattr(fd)[3]
    return bool(flags & termios.ICANON and flags & termios.ECHO)


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\n\nlast", ["one", "", "last"]),
        ("Grüße, 舞台\n".encode(), ["Grüße, 舞台"]),
        (b"\xff\n", ["\N{REPLACEMENT CHARACTER}"]),
        (b"", []),
    ],
)
async def test_lines_come_one_by_one_until_the_end(typed: bytes, lines: list[str]) -> None:
    read, write = os.pipe()
    os.write(write, typed)
    os.close(write)
    assert [await typed_line(5, fd=read) for _ in lines] == lines
    assert await typed_line(None, fd=read) is None
    os.close(read)


async def test_others_go_on_while_a_person_types(pipe: tuple[int, int]) -> None:
    done: list[str | None] = []

    async def reads() -> None:
        done.append(await typed_line(None, fd=pipe[0]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reads)
        for piece in (b"to ", b"be", b"\n"):
            await anyio.sleep(0.001)
            assert done == []
            os.write(pipe[1], piece)
    assert done == ["to be"]


async def test_a_timeout_keeps_what_was_begun(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"to be ")
    assert await typed_line(SOON_S, fd=pipe[0]) is None
    os.write(pipe[1], b"or not\n")
    assert await typed_line(5, fd=pipe[0]) == "to be or not"


async def test_reading_can_be_cancelled_and_taken_up_again(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"to be")
    with anyio.move_on_after(SOON_S) as scope:
        await typed_line(None, fd=pipe[0])
    assert scope.cancelled_caught
    os.write(pipe[1], b"\nnext\n")
    assert [await typed_line(5, fd=pipe[0]), await typed_line(5, fd=pipe[0])] == ["to be", "next"]


@pytest.mark.parametrize(("content", "line"), [(b"from a file\n", "from a file"), (b"", None)])
async def test_a_plain_file_can_stand_for_the_keyboard(tmp_path: Path, content: bytes, line: str | None) -> None:
    (tmp_path / "typed").write_bytes(content)
    fd = os.open(tmp_path / "typed", os.O_RDONLY)
    assert await typed_line(5, fd=fd) == line
    assert not await pressed(None, fd, within_s=SOON_S)
    os.close(fd)


async def test_nothing_stands_for_the_keyboard_too() -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    assert await typed_line(5, fd=fd) is None
    os.close(fd)


async def test_a_terminal_gives_lines_after_their_corrections(terminal: tuple[int, int]) -> None:
    person, program = terminal
    erase = termios.tcgetattr(program)[6][termios.VERASE]
    os.write(person, b"to bee" + erase + b"\n\x04")
    assert await typed_line(5, fd=program) == "to be"
    assert await typed_line(5, fd=program) is None


async def test_a_terminal_that_goes_away_is_the_end() -> None:
    person, program = pty.openpty()
    os.close(person)
    assert await typed_line(5, fd=program) is None
    assert not await pressed(None, program, within_s=SOON_S)
    os.close(program)


@pytest.mark.parametrize(("key", "typed"), [(None, "x"), (" ", "abc "), ("é", "eé"), ("\n", "\n")])
async def test_a_key_is_awaited_without_its_line_and_without_showing_it(
    terminal: tuple[int, int], key: str | None, typed: str
) -> None:
    person, program = terminal
    done: list[bool] = []

    async def waits() -> None:
        done.append(await pressed(key, program))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waits)
        while is_by_line(program):  # noqa: ASYNC110 - a terminal tells nobody of its mode
            await anyio.sleep(0.001)
        os.write(person, typed.encode())
    assert done == [True]
    assert is_by_line(program)
    os.write(person, b"afterwards\n")
    assert await typed_line(5, fd=program) == "afterwards"


async def test_the_terminal_is_as_before_after_a_cancellation(terminal: tuple[int, int]) -> None:
    before = termios.tcgetattr(terminal[1])
    assert not await pressed(None, terminal[1], within_s=SOON_S)
    assert termios.tcgetattr(terminal[1]) == before


async def test_an_arrow_is_one_key_and_no_letter(terminal: tuple[int, int]) -> None:
    person, program = terminal
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pressed, "A", program, 60.0)
        while is_by_line(program):  # noqa: ASYNC110 - a terminal tells nobody of its mode
            await anyio.sleep(0.001)
        os.write(person, b"\x1b[A")
        await anyio.sleep(SOON_S / 2)
        assert not is_by_line(program)
        tasks.cancel_scope.cancel()
    os.write(person, b"\n")
    assert await typed_line(5, fd=program) == ""


async def test_a_pipe_presses_keys_just_the_same(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"abc")
    assert await pressed("b", pipe[0])
    assert await pressed(None, pipe[0])
    assert not await pressed(None, pipe[0], within_s=SOON_S)


async def test_without_standard_input_nobody_can_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="no standard input"):
        await typed_line(1)
    with pytest.raises(UsageError, match="no standard input"):
        await key_pressed()
