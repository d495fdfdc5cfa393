"""System calls that change files, one by one: a process is killed at one of them, or one fails. Linux on x86-64 only.

A function runs in a forked child under ``ptrace``; a filter (seccomp) stops it at the calls that change files, whoever
makes them: Python, libsndfile, a copy within the kernel. So neither ``strace`` nor a compiler is needed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

NUMBERS = {
    1: "write", 18: "pwrite64", 20: "writev", 296: "pwritev", 328: "pwritev2", 40: "sendfile", 326: "copy_file_range",
    2: "open", 85: "creat", 257: "openat", 76: "truncate", 77: "ftruncate", 285: "fallocate", 74: "fsync",
    75: "fdatasync", 82: "rename", 264: "renameat", 316: "renameat2", 86: "link", 265: "linkat", 88: "symlink",
    266: "symlinkat", 87: "unlink", 263: "unlinkat", 84: "rmdir", 83: "mkdir", 258: "mkdirat", 73: "flock",
}  # fmt: skip
"""The calls that are looked at, by their numbers on x86-64; ``flock`` changes nothing, and is not counted."""

DESCRIPTOR = {
    "write": 0, "pwrite64": 0, "writev": 0, "pwritev": 0, "pwritev2": 0, "sendfile": 0, "copy_file_range": 2,
    "ftruncate": 0, "fallocate": 0, "fsync": 0, "fdatasync": 0, "flock": 0,
}  # fmt: skip
"""Which argument is the descriptor of the file."""

NAME = {
    "open": 0, "creat": 0, "truncate": 0, "rename": 1, "link": 1, "symlink": 1, "unlink": 0, "rmdir": 0, "mkdir": 0,
}  # fmt: skip
"""Which argument is the name of the file that changes."""

NAME_AT = {
    "openat": (0, 1), "renameat": (2, 3), "renameat2": (2, 3), "linkat": (2, 3), "symlinkat": (1, 2),
    "unlinkat": (0, 1), "mkdirat": (0, 1),
}  # fmt: skip
"""Which arguments are the folder's descriptor and the name in it."""

CREATES = os.O_CREAT | os.O_TRUNC
HERE = -100

Effect = Literal["kill", "short"] | int
"""The process is gone, the call takes half of what it is given, or it fails with an error's number."""


@dataclass(frozen=True, slots=True)
class Call:
    """A system call.

    Attributes:
        name: Of the call.
        path: What it is about.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of calls.

    Attributes:
        effect: What becomes of them.
        first: The first that it strikes, from 1, of those that are counted.
        last: The last; None is every one from then on.
        names: The calls that are counted; all, if there are none.
        folders: Whether those are counted that are about a folder itself, and no others.
    """

    effect: Effect
    first: int = 1
    last: int | None = None
    names: tuple[str, ...] = ()
    folders: bool = False

    def counts(self, call: Call) -> bool:
        """Whether a call is one of those."""
        is_wanted = call.name in self.names if self.names else call.name != "flock"
        return is_wanted and (not self.folders or call.path.is_dir())

    def strikes(self, number: int) -> bool:
        """Whether it is that call's turn."""
        return self.first <= number and (self.last is None or number <= self.last)


@dataclass(slots=True)
class Traced:
    """What came of a process.

    Attributes:
        code: Its exit code; negative, a signal's number.
        calls: The calls that were counted.
        struck: Those of them that the fault has struck.
    """

    code: int = 0
    calls: list[Call] = field(default_factory=list)
    struck: list[Call] = field(default_factory=list)


def can_trace() -> bool:
    """Whether processes can be traced here."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        return traced(lambda: 0, Path("/"), None).code == 0
    except OSError:
        return False


def traced(run: Callable[[], int], root: Path, fault: Fault | None) -> Traced:
    """Run a function in a child process, and look at the calls that change files below a folder.

    Args:
        run: Gives the exit code; runs in a fork of this process, which must have one thread.
        root: Absolute.
        fault: What becomes of which calls.

    Raises:
        OSError: Processes cannot be traced here.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            _ask_to_be_traced()
            code = run()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return _Tracer(child, root.resolve(), fault).follow()


# ---- the kernel: ptrace, seccomp and prctl

_TRACEME, _CONT, _GETREGS, _SETREGS, _SETOPTIONS = 0, 7, 12, 13, 0x4200
_OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000  # forks, vforks, clones, execs, seccomp; none outlives its tracer
_SECCOMP_STOP, _WALL = 7, 0x40000000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _TRACE, _X86_64 = 0x7FFF0000, 0x7FF00000, 0xC000003E
_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)  # fmt: skip
_ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
_SIZE = {"write": "rdx", "pwrite64": "rdx", "sendfile": "r10", "copy_file_range": "r8"}
"""Which register says how much is to be written."""


class _Registers(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_ulonglong) for name in _REGISTERS)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, process: int, data: object = None) -> None:
    if _libc.ptrace(request, process, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ask_to_be_traced() -> None:
    """In the child: stop until the tracer is ready, and from then on at each call that changes files."""
    _ptrace(_TRACEME, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    load, jump, back = 0x20, 0x15, 0x06
    steps = [(load, 0, 0, 4), (jump, 1, 0, _X86_64), (back, 0, 0, _ALLOW), (load, 0, 0, 0)]
    for left, number in zip(range(len(NUMBERS), 0, -1), NUMBERS, strict=True):
        steps.append((jump, left, 0, number))
    steps += [(back, 0, 0, _ALLOW), (back, 0, 0, _TRACE)]
    program = _Program(len(steps), b"".join(struct.pack("<HBBI", *step) for step in steps))
    for option, *arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if _libc.prctl(option, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "no filter")


class _Tracer:
    def __init__(self, child: int, root: Path, fault: Fault | None) -> None:
        self._child = child
        self._root = root
        self._fault = fault
        self._known = {child}
        self._found = Traced()

    def follow(self) -> Traced:
        """Let the child run to its end."""
        _, status = os.waitpid(self._child, _WALL)
        if not os.WIFSTOPPED(status):
            raise OSError("processes cannot be traced")
        _ptrace(_SETOPTIONS, self._child, _OPTIONS)
        self._go_on(self._child)
        while True:
            process, status = os.waitpid(-1, _WALL)
            if os.WIFSTOPPED(status):
                self._stopped(process, status)
            elif process == self._child:
                self._found.code = os.waitstatus_to_exitcode(status)
                return self._found

    def _stopped(self, process: int, status: int) -> None:
        event, number = status >> 16, os.WSTOPSIG(status)
        is_new = process not in self._known
        self._known.add(process)
        if event == _SECCOMP_STOP:
            self._at_call(process)
        is_ours = bool(event) or number == signal.SIGTRAP or (is_new and number == signal.SIGSTOP)
        self._go_on(process, 0 if is_ours else number)

    def _go_on(self, process: int, number: int = 0) -> None:
        try:
            _ptrace(_CONT, process, number)
        except ProcessLookupError:  # it was killed
            return

    def _at_call(self, process: int) -> None:
        registers = _Registers()
        try:
            _ptrace(_GETREGS, process, ctypes.byref(registers))
            call = self._call(process, registers)
        except (ProcessLookupError, FileNotFoundError):  # it was killed
            return
        if call is None or not self._is_inside(call.path) or (self._fault and not self._fault.counts(call)):
            return
        self._found.calls.append(call)
        if self._fault and self._fault.strikes(len(self._found.calls)):
            self._found.struck.append(call)
            self._strike(process, registers, call.name, self._fault.effect)

    def _is_inside(self, path: Path) -> bool:
        return path == self._root or self._root in path.parents

    def _strike(self, process: int, registers: _Registers, name: str, effect: Effect) -> None:
        if effect == "kill":
            os.kill(self._child, signal.SIGKILL)
            return
        if effect == "short":
            size = _SIZE[name]
            setattr(registers, size, max(1, getattr(registers, size) // 2))
        else:
            registers.orig_rax, registers.rax = 2**64 - 1, 2**64 - int(effect)
        _ptrace(_SETREGS, process, ctypes.byref(registers))

    def _call(self, process: int, registers: _Registers) -> Call | None:
        name = NUMBERS[registers.orig_rax]
        given = [getattr(registers, register) for register in _ARGUMENTS]
        if name in ("open", "openat") and not given[1 + (name == "openat")] & CREATES:
            return None
        if name in DESCRIPTOR:
            return Call(name, Path(f"/proc/{process}/fd/{given[DESCRIPTOR[name]]}").readlink())
        folder, place = (HERE, NAME[name]) if name in NAME else NAME_AT[name]
        number = HERE if folder == HERE else ctypes.c_int(given[folder]).value
        home = Path(f"/proc/{process}/cwd" if number == HERE else f"/proc/{process}/fd/{number}").readlink()
        return Call(name, Path(os.path.normpath(home / _text(process, given[place]))))


def _text(process: int, address: int) -> str:
    """The string that stands in a process at an address."""
    found = b""
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        while b"\0" not in found:
            memory.seek(address + len(found))
            found += memory.read(min(256, 4096 - (address + len(found)) % 4096))
    return os.fsdecode(found[: found.index(b"\0")])
