"""Sound of any length, in parts that the API takes."""

from __future__ import annotations

from collections.abc import Iterator

from tau_stage.audio.formats import PCM16, Format
from tau_stage.audio.pcm import RATE, Pcm

LONGEST_APPEND = 15 * 1024 * 1024
"""Most base64 the API takes in one event, in bytes (OpenAI API reference, ``input_audio_buffer.append``)."""

WIDEST = 4
"""Most bytes on the way for one sample of ours."""


def in_parts(audio: Pcm, form: Format = PCM16, longest: int = LONGEST_APPEND) -> Iterator[Pcm]:
    """Yield a sound in the fewest parts of which each fits into one event; split between samples.

    Args:
        audio: Of any length.
        form: How it travels.
        longest: Most base64 of one part, in bytes.

    >>> [len(part) for part in in_parts(Pcm.silence(10), longest=12)]
    [4, 4, 2]
    """
    if len(audio) * WIDEST <= longest // 4 * 3:
        yield from [audio] if audio else []
        return
    width = len(form.encode(Pcm.silence(RATE))) / RATE  # bytes on the way for each sample
    most = max(1, int(longest // 4 * 3 / width))
    for start in range(0, len(audio), most):
        yield audio[start : start + most]
