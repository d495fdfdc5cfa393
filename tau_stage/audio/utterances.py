"""Where people speak in a sound, by energy. Pure."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from tau_stage.audio.pcm import Pcm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAME_S = 0.02
STARTING_FRAMES = 3
"""Loud frames in a row that are speech; a click has fewer."""

PADDING_S = 0.2


def utterances(audio: Pcm, silence_s: float = 0.6, threshold_dbfs: float = -45.0) -> list[tuple[int, int]]:
    """The spans of speech in a sound, as first sample and the one after the last, in order and never overlapping.

    Speech starts with 60 ms louder than the threshold and ends where ``silence_s`` are quieter. Each span has 0.2 s
    more at its head and its tail, as far as the sound and the neighbours leave room.

    Args:
        audio: At any rate.
        silence_s: How much quiet parts two utterances.
        threshold_dbfs: Level above which 20 ms are loud.

    >>> utterances(Pcm.join([Pcm.silence(24_000), Pcm(bytes([0, 32]) * 12_000), Pcm.silence(24_000)]))
    [(19200, 40800)]
    """
    frame = max(1, round(audio.rate * FRAME_S))
    patience = max(1, math.ceil(round(silence_s * audio.rate / frame, 6)))
    spans = [(first * frame, last * frame) for first, last in _spoken(_loud(audio, frame, threshold_dbfs), patience)]
    padding = round(PADDING_S * audio.rate)
    heads = [max(0, start - padding) for start, _end in spans]
    tails = [min(len(audio), end + padding) for _start, end in spans]
    for index, ((_, end), (start, _)) in enumerate(pairwise(spans)):
        if tails[index] > heads[index + 1]:
            tails[index] = heads[index + 1] = (end + start) // 2
    return list(zip(heads, tails, strict=True))


def _loud(audio: Pcm, frame: int, threshold_dbfs: float) -> NDArray[np.bool_]:
    """Which whole frames are louder than the threshold."""
    import numpy as np

    frames = audio.array[: len(audio) // frame * frame].reshape(-1, frame)
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64, casting="safe")
    loud: NDArray[np.bool_] = power > frame * (32_768 * 10 ** (threshold_dbfs / 20)) ** 2
    return loud


def _spoken(loud: NDArray[np.bool_], patience: int) -> list[tuple[int, int]]:
    """First frame and the one after the last of each utterance."""
    import numpy as np

    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)).reshape(-1, 2)
    spoken: list[tuple[int, int]] = []
    for start, end in edges.tolist():
        if spoken and start - spoken[-1][1] < patience:
            spoken[-1] = (spoken[-1][0], end)
        elif end - start >= STARTING_FRAMES:
            spoken.append((start, end))
    return spoken
