"""PortAudio, and the microphones and loudspeakers it knows. Without one, the message says what to do instead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, TypeVar

import anyio
import anyio.to_thread

from tau_stage.audio import RATE
from tau_stage.errors import UsageError

Opened = TypeVar("Opened")

OPENING_S, CLOSING_S = 10.0, 2.0
"""How long a device may take to open and to close: one that hangs, as wireless ones do, must not hold up the scene."""

INVALID_RATE, UNAVAILABLE = -9997, -9985
"""PortAudio's numbers for a rate that a device does not do, and for a device in use."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two things that sound cards do; ``use`` says what a program does that keeps it busy."""

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
    """Find a device, as PortAudio knows it, by a part of its name, or its number; None is the default one.

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
    return UsageError(problem, "; or ".join(filter(None, (remedy, side.otherwise))))


@asynccontextmanager
async def running(
    side: Side,
    device: str | None,
    make: Callable[[Mapping[str, Any], ExitStack], tuple[Opened, Mapping[str, Any]]],
    stop: Callable[[Opened, Any], None],
) -> AsyncIterator[Opened]:
    """Run a device for as long as the context lasts; it is opened and stopped in a thread of its own.

    Args:
        side: Which of the two.
        device: A part of its name, or its number; None is the machine's default.
        make: Makes the other end of the stream, from its format, and what else it is opened with; what is to be undone
            where it does not open goes onto the stack.
        stop: Stops the stream.

    Raises:
        UsageError: There is none, or it cannot be opened, or not in time; the hint names what to do instead.
    """

    def start() -> tuple[Opened, Any]:
        sd = portaudio(side)
        card = find_device(sd, device, side)
        kind = sd.RawInputStream if side.direction == "input" else sd.RawOutputStream
        with ExitStack() as undo, translated_errors(sd, card["name"], side):
            form = stream_format(sd, card, side)
            made, further = make(form, undo)
            stream = kind(device=card["index"], **form, **further)
            undo.callback(stream.close)
            stream.start()
            undo.pop_all()
        return made, stream

    made, stream = await open_in_time(start, side)
    try:
        yield made
    finally:
        with anyio.move_on_after(CLOSING_S, shield=True):
            await anyio.to_thread.run_sync(stop, made, stream, abandon_on_cancel=True)


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
