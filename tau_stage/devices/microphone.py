"""A person's voice from a sound card, in blocks of 24 kHz. PortAudio brings it from a thread that waits for nobody."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Self

import anyio
import anyio.lowlevel
import anyio.to_thread

from tau_stage.audio import RATE, Format, Pcm
from tau_stage.devices import sound_cards

KEPT_S, GONE_S, CLOSING_S = 5.0, 5.0, 2.0
"""How much is kept; without a block for how long a device is gone, for not every sound system says so; and how long it
may take to close, for one that is gone may never do."""


class Microphone:
    """Blocks of sound at 24 kHz, by async iteration; it ends where the device goes away or is closed.

    Five seconds are kept for a reader who is late; what comes on top of them is lost, and counted.

    Args:
        rate: Samples per second of the device.
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
        """Take a block from the device, in any thread, without ever waiting.

        Args:
            data: 16-bit samples, as bytes or a buffer of them.
            samples: How many.
            flags: PortAudio's flags.
        """
        if flags and flags.input_overflow:
            self._lost += samples
        if len(self._blocks) * samples >= KEPT_S * self._rate:
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
    microphone, stream = await sound_cards.open_in_time(partial(_open, device, block_s), sound_cards.MICROPHONE)
    try:
        yield microphone
    finally:
        with anyio.move_on_after(CLOSING_S, shield=True):
            await anyio.to_thread.run_sync(stream.close, abandon_on_cancel=True)
        microphone.close()


def has_microphone() -> bool:
    """Tell whether this machine has a default microphone and what it takes to listen to it."""
    return sound_cards.is_found(sound_cards.MICROPHONE)


def _open(device: str | None, block_s: float) -> tuple[Microphone, Any]:
    """Open the microphone and PortAudio's running stream into it."""
    sd = sound_cards.portaudio()
    card = sound_cards.find_device(sd, device)
    with ExitStack() as undo, sound_cards.translated_errors(sd, card["name"]):
        form = sound_cards.stream_format(sd, card)
        microphone = Microphone(form["samplerate"])
        undo.callback(microphone.close)
        form["blocksize"] = max(1, round(block_s * form["samplerate"]))
        calls = {"callback": microphone.take, "finished_callback": microphone.end}
        stream = sd.RawInputStream(device=card["index"], **form, **calls)
        undo.callback(stream.close)
        stream.start()
        undo.pop_all()
    return microphone, stream
