"""Speech in other languages, by espeak-ng: a formant voice, in a process of its own, as its licence is the GPL.

The process is started with the first line, answers one line after the other, and ends when its voice is closed, when
nobody has it any more, or when this process ends.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pydantic_core import from_json, to_json

from tau_stage.protocol import JsonObject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORKER = Path(__file__).with_name("espeak_worker.py")
WORDS_A_MINUTE = 175  # espeak-ng's own pace
SLOWEST, FASTEST = 80, 450
LONGEST = 400  # signs that are spoken at once: the worker keeps the sound of them
CLOSING_S = 2.0
PIPE = subprocess.PIPE

_SENTENCE = re.compile(r"(?<=[.!?…。！？।؟])\s*")
_CLAUSE = re.compile(r"(?<=[,;:、，；：،])\s*|\s+")


class SpeechFailed(Exception):
    """The process could not speak a line; its words say why."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """What was spoken.

    Attributes:
        sound: At ``rate``, from -1 to 1.
        words: Of each word the place in the text, its length, and the sample at which it begins.
    """

    sound: NDArray[np.float32]
    rate: int
    words: tuple[tuple[int, int, int], ...] = ()


def split_text(text: str) -> Iterator[str]:
    """Split a text into what is spoken at once: sentences, cut where they are long.

    >>> [*split_text("Guten Abend. Wer da?")]
    ['Guten Abend.', 'Wer da?']
    """
    for sentence in filter(None, _SENTENCE.split(text)):
        piece = ""
        for clause in filter(None, _CLAUSE.split(sentence) if len(sentence) > LONGEST else [sentence]):
            for at in range(0, len(clause), LONGEST):
                part = clause[at : at + LONGEST]
                if piece and len(piece) + len(part) > LONGEST:
                    yield piece
                    piece = ""
                piece = f"{piece} {part}" if piece else part
        yield piece


class FormantSpeaker:
    """Speaks through the process; lines of several threads take turns."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._end: weakref.finalize[[subprocess.Popen[bytes], int], FormantSpeaker] | None = None

    def speak(self, text: str, voice: str, rate: float = 1.0, pitch: float = 1.0) -> SpokenText:
        """Speak a short text.

        Args:
            text: What is said.
            voice: As espeak-ng calls it, like ``de+m3``.
            rate: 1 is the voice's own pace.
            pitch: 1 is the voice's own pitch.

        Raises:
            SpeechFailed: It cannot be said, or the process has ended.
        """
        import numpy as np

        words_a_minute = min(max(round(WORDS_A_MINUTE * rate), SLOWEST), FASTEST)
        asked = {"text": text, "voice": voice, "rate": words_a_minute}
        asked["pitch"] = min(max(round(50 + 100 * (pitch - 1)), 0), 100)
        with self._turn:
            facts, data = self._ask(to_json(asked) + b"\n")
        sound = np.frombuffer(data, "<i2").astype(np.float32) * np.float32(1 / 32768)
        return SpokenText(sound, facts["rate"], tuple(tuple(word) for word in facts["words"]))

    def close(self) -> None:
        """End the process; the next line starts another."""
        with self._turn:
            if self._end:
                self._end()
            self._process = self._end = None

    def _ask(self, request: bytes) -> tuple[JsonObject, bytes]:
        process, facts, data = self._running(), JsonObject(), b""
        try:
            _pipe(process.stdin).write(request)
            _pipe(process.stdin).flush()
            if told := _pipe(process.stdout).readline():
                facts = from_json(told)
                data = _pipe(process.stdout).read(facts.get("bytes", 0))
        except OSError as error:
            facts = {"problem": f"its process does not respond ({error})"}
        if not facts or len(data) < facts.get("bytes", 0):
            facts = {"problem": "its process has exited"}
        if problem := facts.get("problem"):
            raise SpeechFailed(f"espeak-ng: {problem}")
        return facts, data

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process, started where there is none, or where it is that of the process we were forked from."""
        process = self._process
        if process is None or self._owner != os.getpid() or process.poll() is not None:
            if self._end:
                self._end()
            command = [sys.executable, "-I", str(WORKER)]
            self._process = process = subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=subprocess.DEVNULL)  # noqa: S603 - of our own
            self._owner = os.getpid()
            self._end = weakref.finalize(self, _stop, process, self._owner)
        return process


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream  # noqa: S101 - both are pipes
    return stream


def _stop(process: subprocess.Popen[bytes], owner: int) -> None:
    """End a process of ours: it ends with its input."""
    if os.getpid() != owner:
        process.returncode = 0  # it is the child of another process, which waits for it
        return
    with suppress(BrokenPipeError):
        _pipe(process.stdin).close()
    try:
        process.wait(CLOSING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _pipe(process.stdout).close()
