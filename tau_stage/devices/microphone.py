"""A person's voice from a sound card, in blocks of 24 kHz. PortAudio brings it from a thread that waits for nobody."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, Self

import anyio
import anyio.lowlevel

from tau_stage.audio import RATE, Format, Pcm
from tau_stage.devices import sound_cards

KEPT_S, GONE_S = 5.0, 5.0
"""How much is kept; and without a block for how long a device is gone, for not every sound system says so."""


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

    def make(form: Mapping[str, Any], undo: ExitStack) -> tuple[Microphone, Mapping[str, Any]]:
        microphone = Microphone(form["samplerate"])
        undo.callback(microphone.close)
        calls = {"callback": microphone.take, "finished_callback": microphone.end}
        return microphone, {"blocksize": max(1, round(block_s * form["samplerate"])), **calls}

    opened = sound_cards.running(sound_cards.MICROPHONE, device, make, lambda _microphone, stream: stream.close())
    async with opened as microphone:
        try:
            yield microphone
        finally:
            microphone.close()


def has_microphone() -> bool:
    """Tell whether this machine has a default microphone and what it takes to listen to it."""
    return sound_cards.is_found(sound_cards.MICROPHONE)
