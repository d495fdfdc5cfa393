"""Sound cards: a performance on a loudspeaker, and a person's voice from a microphone, in blocks of 24 kHz.

PortAudio calls from a thread that waits for nobody.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol, Self, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from tau_stage.audio import RATE, Format, Pcm
from tau_stage.errors import UsageError

Opened = TypeVar("Opened")

OPENING_S, CLOSING_S = 10.0, 2.0
"""How long a device may take to open and to close: one that hangs, as wireless ones do, must not hold up the scene."""

INVALID_RATE, UNAVAILABLE = -9997, -9985
"""PortAudio's numbers for a rate that a device does not do, and for a device in use."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two things that sound cards do."""

    name: str
    direction: Literal["input", "output"]
    otherwise: str
    most_channels: int


MICROPHONE = Side(
    name="microphone",
    direction="input",
    otherwise="give the player recordings with `stand_in:`, or use `human: file.wav` or `human: tty`",
    most_channels=1,
)
LOUDSPEAKER = Side(
    name="loudspeaker",
    direction="output",
    otherwise="run without --aloud and listen to the take's audio files",
    most_channels=2,
)
"""Two channels, both with the same sound: a device that has two would play one on the left only."""


def portaudio(side: Side = MICROPHONE) -> ModuleType:
    """Load the module ``sounddevice``, with PortAudio running.

    Raises:
        UsageError: One of the two is not installed, or does not start.
    """
    needs = f"using a {side.name} requires"
    try:
        import sounddevice
    except ImportError:
        problem = f"{needs} sounddevice, which is not installed"
        raise _unusable(side, problem, "pip install 'tau-stage[mic]'") from None
    except OSError:
        remedy = "install PortAudio (on Debian and Ubuntu: apt-get install libportaudio2)"
        raise _unusable(side, f"{needs} the PortAudio library, which was not found", remedy) from None
    except Exception as error:  # PortAudio's own; it cannot be named, for the module did not load
        raise _unusable(
            side, f"PortAudio failed to start: {error}", "check the sound settings of this machine"
        ) from None
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
        raise _no_device(sd, device, side, error) from None


def _no_device(sd: ModuleType, device: str | None, side: Side, error: Exception) -> UsageError:
    """Tell what devices there are, where the one that is meant is none of them, or several."""
    all_known = [each for each in sd.query_devices() if each[f"max_{side.direction}_channels"] > 0]
    names = [f"{each['index']} ({each['name']})" for each in all_known]
    if not names:
        return _unusable(side, f"this machine has no {side.name}", f"connect a {side.name}")
    problem = f"several {side.name}s are" if str(error).startswith("Multiple") else f"no {side.name} is"
    told = f"{problem} called {device!r}" if device else f"this machine has no default {side.name}"
    return _unusable(side, told, f"use one of: {', '.join(names)}")


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
            remedy = "close the program that is using it"
            raise _unusable(side, f"the {side.name} {name!r} is busy", remedy) from None
        reason = str(error.args[0]).rpartition(": ")[2]
        raise _unusable(side, f"cannot open the {side.name} {name!r}: {reason}") from None


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

    ``make`` makes the other end of the stream, from its format, and what else it is opened with; what is to be undone
    where it does not open goes onto the stack. A ``UsageError`` says that there is no device, or that it cannot be
    opened, or not in time; its hint names what to do instead.
    """

    def start() -> tuple[Opened, Any]:
        sd = portaudio(side)
        card = find_device(sd, device, side)
        kind = getattr(sd, f"Raw{side.direction.title()}Stream")
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
    """Open a device in a thread of its own; a ``UsageError`` says that it cannot be opened, or not in time."""
    try:
        with anyio.fail_after(OPENING_S):
            return await anyio.to_thread.run_sync(opening, abandon_on_cancel=True)
    except TimeoutError:
        raise UsageError(f"the {side.name} did not open within {OPENING_S:g} s", side.otherwise) from None


GONE_S = 5.0  # A device that asks for nothing, or brings nothing, for so long is gone: not every one says so

TO_PLAY_S, TO_READ_S = 600.0, 5.0
"""How much is kept for a loudspeaker, and of a microphone for a reader who is late."""

PIECE = RATE // 100  # samples that are played or thrown away together


class Loudspeaker(Protocol):
    """Plays sound at the pace it is heard."""

    def play(self, audio: Pcm) -> None:
        """Play a sound after all that waits; never wait itself."""

    def flush(self) -> int:
        """Throw away what was not heard yet. Return how many samples that was."""

    @property
    def waiting_s(self) -> float:
        """Seconds still to be heard."""


class SoundCard:
    """A loudspeaker that a device takes its sound from.

    Ten minutes are kept; what comes on top of them is lost, and counted, as is all that a device does not take that is
    gone.
    """

    def __init__(self, rate: int = RATE, channels: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._pieces: deque[bytes] = deque()
        self._given = self._taken = self._lost = 0
        self._ended = False
        self._clock = clock
        self._asked_at = clock()
        self._channels = channels
        self._out = b""
        self._stream: Any = None
        if rate != RATE:
            import soxr

            self._stream = soxr.ResampleStream(RATE, rate, 1, dtype="float32")

    # ---- for whoever plays

    def play(self, audio: Pcm) -> None:
        """Play a sound after all that waits; never wait itself."""
        room = 0 if self.is_gone else max(0, round(TO_PLAY_S * RATE) - self._waiting)
        self._lost += max(0, len(audio) - room)
        data = audio.data[: 2 * room]
        self._given += len(data) // 2
        self._pieces.extend(data[at : at + 2 * PIECE] for at in range(0, len(data), 2 * PIECE))

    def flush(self) -> int:
        """Throw away what was not heard yet. Return how many samples that was."""
        thrown = 0
        while self._pieces:
            try:
                thrown += len(self._pieces.pop()) // 2
            except IndexError:  # the device was faster
                break
        self._given -= thrown
        return thrown

    @property
    def waiting_s(self) -> float:
        """Seconds still to be heard; none, where the device is gone."""
        return 0.0 if self.is_gone else self._waiting / RATE

    @property
    def is_gone(self) -> bool:
        """Whether the device will take no more sound."""
        return self._ended or self._clock() - self._asked_at > GONE_S

    @property
    def lost_samples(self) -> int:
        """Samples that will not be heard, though nobody threw them away."""
        return self._lost + (self._waiting if self.is_gone else 0)

    @property
    def _waiting(self) -> int:
        return self._given - self._taken

    # ---- for the device, in any thread

    def feed(self, out: Any, samples: int, _time: object = None, _flags: object = None) -> None:
        """Fill a block of the device without ever waiting; where there is no sound, with silence."""
        self._asked_at = self._clock()
        while len(self._out) < 2 * samples:
            self._out += self._converted(self._next())
        data, self._out = self._out[: 2 * samples], self._out[2 * samples :]
        if self._channels > 1:
            data = np.repeat(np.frombuffer(data, np.int16), self._channels).tobytes()
        out[:] = data

    def end(self) -> None:
        """Note that the device takes no more."""
        self._ended = True

    def _next(self) -> bytes:
        try:
            piece = self._pieces.popleft()
        except IndexError:
            return bytes(2 * PIECE)
        self._taken += len(piece) // 2
        return piece

    def _converted(self, piece: bytes) -> bytes:
        if self._stream is None:
            return piece
        floats: NDArray[np.float32] = self._stream.resample_chunk(Pcm(piece).array.astype("float32"))
        return floats.round().clip(-32_768, 32_767).astype("<i2").tobytes()


@asynccontextmanager
async def open_loudspeaker(device: str | None = None) -> AsyncIterator[SoundCard]:
    """Play on a loudspeaker for as long as the context lasts; what still waits then is not heard.

    It is named by a part of its name, or its number; without, it is the machine's default.

    Raises:
        UsageError: There is none, or it cannot be opened; the hint names what to do instead.
    """

    def make(form: Mapping[str, Any], _undo: ExitStack) -> tuple[SoundCard, Mapping[str, Any]]:
        loudspeaker = SoundCard(form["samplerate"], form["channels"])
        return loudspeaker, {"callback": loudspeaker.feed, "finished_callback": loudspeaker.end}

    async with running(LOUDSPEAKER, device, make, _stop) as loudspeaker:
        yield loudspeaker


def has_loudspeaker() -> bool:
    """Tell whether this machine has a default loudspeaker and what it takes to play on it."""
    return is_found(LOUDSPEAKER)


def _stop(loudspeaker: SoundCard, stream: Any) -> None:
    """Close a stream when the device has played what it took; closing alone would cut that off."""
    loudspeaker.flush()
    stream.stop()
    stream.close()


class Microphone:
    """Blocks of sound at 24 kHz, by async iteration; it ends where the device goes away or is closed.

    Five seconds are kept for a reader who is late; what comes on top of them is lost, and counted.
    """

    def __init__(self, rate: int = RATE) -> None:
        self._rate = rate
        self._decoder = Format("audio/pcm", rate).decoder()
        self._blocks: deque[bytes] = deque()
        self._lost = 0
        self._ended = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    @property
    def lost_samples(self) -> int:
        """Samples at 24 kHz that nobody heard; where the device itself lost some, it counts as one block."""
        return self._lost * RATE // self._rate

    def take(self, data: Any, samples: int, _time: object = None, flags: Any = None) -> None:
        """Take a block from the device, in any thread, without ever waiting."""
        if flags and flags.input_overflow:
            self._lost += samples
        if len(self._blocks) * samples >= TO_READ_S * self._rate:
            self._lost += samples
            return
        self._blocks.append(bytes(data))
        self._wake()

    def end(self) -> None:
        """Note that no more will come; what has come can still be read."""
        self._ended = True
        self._wake()

    def close(self) -> None:
        """End, and wake whoever still listens."""
        self.end()
        anyio.notify_closing(self._reader)
        self._reader.close()
        self._writer.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Pcm:
        await anyio.lowlevel.checkpoint()
        while True:
            ended = self._ended
            while self._blocks:
                if audio := self._decoder.feed(self._blocks.popleft()):
                    return audio
            if ended:
                if audio := self._rest():
                    return audio
                raise StopAsyncIteration
            with anyio.move_on_after(GONE_S) as patience, suppress(anyio.ClosedResourceError):
                await anyio.wait_readable(self._reader)
                self._reader.recv(4096)
            self._ended |= patience.cancelled_caught

    def _rest(self) -> Pcm:
        """Take what the resampler still holds when no more will come."""
        decoder, self._decoder = self._decoder, Format("audio/pcm", RATE).decoder()
        return decoder.finish()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake already; closed: nobody reads
            self._writer.send(b"\0")


@asynccontextmanager
async def open_microphone(device: str | None = None, block_s: float = 0.04) -> AsyncIterator[Microphone]:
    """Listen to a microphone for as long as the context lasts.

    Args:
        device: A part of its name, or its number; without it, the machine's default.
        block_s: Length of the blocks, in seconds.

    Raises:
        UsageError: There is none, or it cannot be opened; the hint names what to do instead.
    """

    def make(form: Mapping[str, Any], undo: ExitStack) -> tuple[Microphone, Mapping[str, Any]]:
        microphone = Microphone(form["samplerate"])
        undo.callback(microphone.close)
        calls = {"callback": microphone.take, "finished_callback": microphone.end}
        return microphone, {"blocksize": max(1, round(block_s * form["samplerate"])), **calls}

    opened = running(MICROPHONE, device, make, lambda _microphone, stream: stream.close())
    async with opened as microphone:
        try:
            yield microphone
        finally:
            microphone.close()


def has_microphone() -> bool:
    """Tell whether this machine has a default microphone and what it takes to listen to it."""
    return is_found(MICROPHONE)
