"""Sound files where samples should be: the header of a WAV file is taken off, what else there may be is named."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tau_stage.audio.formats import Format
from tau_stage.errors import ProtocolError

SOUND_FILES = {b"RIFF": "WAV", b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3\x03": "MP3", b"ID3\x04": "MP3", b"FORM": "AIFF"}
"""How sound files begin, and what they are."""

LONGEST_HEADER = 4096
"""Bytes before the samples of a WAV file, at most."""

PCM, EXTENSIBLE = 1, 0xFFFE
"""Codes of the formats that have plain samples (Microsoft, "Multiple channel audio data and WAVE files")."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What is in a WAV file, as far as it came.

    Attributes:
        rate: Samples per second.
        data: The samples, mono and 16 bit.
    """

    rate: int
    data: bytes


def samples_of(data: bytes, form: Format) -> Samples | None:
    r"""Return the samples of a WAV file; None where they have not begun yet.

    Args:
        data: Its beginning, or all of it.
        form: How the sound was to travel.

    Raises:
        ProtocolError: It is another kind of file, or has other samples than mono, 16 bit.

    >>> head = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 24_000, 48_000, 2, 16)
    >>> samples_of(head + b"data\xff\xff\xff\xff" + bytes(4), Format())
    Samples(rate=24000, data=b'\x00\x00\x00\x00')
    """
    if data[:4] != b"RIFF":
        raise ProtocolError("theirs", f"an audio delta is a file ({SOUND_FILES[data[:4]]}) where samples should be")
    at, rate = 12, form.rate
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"data":
            return Samples(rate, data[at : at + size])
        if name == b"fmt " and at + 16 <= len(data):
            code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at)
            if form.kind != "audio/pcm" or code not in (PCM, EXTENSIBLE) or (channels, bits) != (1, 16) or not rate:
                told = f"WAV, format {code}, {channels} channels, {bits} bit, {rate} Hz"
                raise ProtocolError("theirs", f"an audio delta is a file ({told}) where samples should be")
        at += size + size % 2
    if len(data) > LONGEST_HEADER:
        raise ProtocolError("theirs", "an audio delta is a file (WAV) without samples where samples should be")
    return None
