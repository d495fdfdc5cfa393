"""PortAudio, and the microphones and loudspeakers it knows. Without one, the message says what to do instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, TypeVar

import anyio
import anyio.to_thread

from tau_stage.audio import RATE
from tau_stage.errors import UsageError

Opened = TypeVar("Opened")

OPENING_S = 10.0
"""How long a device may take to open: one that hangs, as wireless ones do, must not hold up the scene."""

INVALID_RATE, UNAVAILABLE = -9997, -9985
"""PortAudio's numbers for a rate that a device does not do, and for a device in use."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two things that sound cards do.

    Attributes:
        name: What does it.
        direction: PortAudio's word for it.
        use: What a program does that keeps it busy.
        otherwise: What to do without.
        most_channels: How many are used of those that there are.
    """

    name: str
    direction: Literal["input", "output"]
    use: str
    otherwise: str
    most_channels: int


MICROPHONE = Side(
    name="microphone",
    direction="input",
    use="listens to it",
    otherwise="give the player `stand_in:` with recorded takes, or write `human: file.wav` or `human: tty`",
    most_channels=1,
)
LOUDSPEAKER = Side(
    name="loudspeaker",
    direction="output",
    use="plays on it",
    otherwise="run without --aloud: the take's files hold everything that sounds",
    most_channels=2,
)
"""Two channels, both with the same sound: a device that has two would play one on the left only."""


def portaudio(side: Side = MICROPHONE) -> ModuleType:
    """Load the module ``sounddevice``, with PortAudio running.

    Raises:
        UsageError: One of the two is not installed, or does not start.
    """
    needs = f"{side.name}s need"
    try:
        import sounddevice
    except ImportError:
        problem = f"{needs} sounddevice, which is not installed"
        raise _unusable(side, problem, "pip install 'tau-stage[mic]'") from None
    except OSError:
        remedy = "install PortAudio, on Debian and Ubuntu with apt-get install libportaudio2"
        raise _unusable(side, f"{needs} the PortAudio library, which is not found", remedy) from None
    except Exception as error:  # PortAudio's own; it cannot be named, for the module did not load
        raise _unusable(side, f"PortAudio does not start: {error}", "look at the machine's sound settings") from None
    module: ModuleType = sounddevice
    return module


def find_device(sd: ModuleType, device: str | None, side: Side = MICROPHONE) -> dict[str, Any]:
    """Find a device, as PortAudio knows it.

    Args:
        sd: The module ``sounddevice``.
        device: A part of its name, or its number; None is the default one.
        side: Which of the two it is.

    Raises:
        UsageError: There is none such, or there are several.
    """
    try:
        wanted = int(device) if device and device.isdecimal() else device
        known: dict[str, Any] = sd.query_devices(wanted, side.direction)
        return known
    except (ValueError, OverflowError, sd.PortAudioError) as error:
        all_known = [each for each in sd.query_devices() if each[f"max_{side.direction}_channels"] > 0]
        names = [f"{each['index']} ({each['name']})" for each in all_known]
        if not names:
            raise _unusable(side, f"this machine has no {side.name}", "connect one") from None
        problem = f"several {side.name}s are" if str(error).startswith("Multiple") else f"no {side.name} is"
        called = f"called {device!r}" if device else "the machine's default"
        raise _unusable(side, f"{problem} {called}", f"there are {', '.join(names)}: name one of them") from None


def is_found(side: Side) -> bool:
    """Tell whether this machine has a default device, and what it takes to use it."""
    try:
        find_device(portaudio(side), None, side)
    except UsageError:
        return False
    return True


def stream_format(sd: ModuleType, card: dict[str, Any], side: Side = MICROPHONE) -> dict[str, Any]:
    """Choose how to open a device: the channels, and the rate, which is 24 kHz where it does that, else its own."""
    chosen = {"channels": min(side.most_channels, card[f"max_{side.direction}_channels"]), "dtype": "int16"}
    try:
        getattr(sd, f"check_{side.direction}_settings")(card["index"], samplerate=RATE, **chosen)
    except sd.PortAudioError as error:
        if error.args[1:2] != (INVALID_RATE,):
            raise
        return {**chosen, "samplerate": int(card["default_samplerate"])}
    return {**chosen, "samplerate": RATE}


@contextmanager
def translated_errors(sd: ModuleType, name: str, side: Side = MICROPHONE) -> Iterator[None]:
    """Say in plain words why a device cannot be opened.

    Raises:
        UsageError: PortAudio complained.
    """
    try:
        yield
    except sd.PortAudioError as error:
        if error.args[1:2] == (UNAVAILABLE,):
            remedy = f"close the program that {side.use}"
            raise _unusable(side, f"the {side.name} {name!r} is busy", remedy) from None
        reason = str(error.args[0]).rpartition(": ")[2]
        raise _unusable(side, f"the {side.name} {name!r} cannot be opened: {reason}") from None


def _unusable(side: Side, problem: str, remedy: str = "") -> UsageError:
    return UsageError(problem, "; or ".join([*([remedy] if remedy else []), side.otherwise]))


async def open_in_time(opening: Callable[[], Opened], side: Side) -> Opened:
    """Open a device in a thread of its own.

    Raises:
        UsageError: It cannot be opened, or not in time.
    """
    try:
        with anyio.fail_after(OPENING_S):
            return await anyio.to_thread.run_sync(opening, abandon_on_cancel=True)
    except TimeoutError:
        raise UsageError(f"the {side.name} did not open within {OPENING_S:g} s", side.otherwise) from None
