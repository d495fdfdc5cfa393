"""Real speech: one neural voice (hibari-tts, Apache-2.0), given ten different pitches and vocal tracts.

The network's documented ONNX interface gives a pitch curve and spectral envelopes per 12.5 ms, from which sound is made
(hibari README, "ONNX interface"). Scaling the pitch and stretching the envelope apart keeps low voices intelligible:
recognised words were wrong in 9 % for ``ash`` and ``cedar`` this way, in 65 % and 79 % when the finished sound was
slowed down and resampled. The engine's version is pinned for this reason.

Speech is made off the event loop, piece by piece: a short line does not wait for ten long ones.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from tau_stage.audio import RATE, Pcm
from tau_stage.errors import UsageError
from tau_stage.understudy.actor import SpeechRequest, SpokenLine, UnsupportedScript
from tau_stage.understudy.delivery import Moment, Phrase, SpeechPlan, SpeechStyle, plan_speech
from tau_stage.understudy.sound_store import BlobRef, BlobStore
from tau_stage.understudy.sounds import SampleFile, bring_to_level, make_moment, trim_edges


class Ensemble:
    """Decides what to say and says it, in a thread. Lines that are spoken at the same time take turns by pieces."""

    def __init__(self, voices: Voices | None = None) -> None:
        self._voices = voices or Voices()
        self._shelf = BlobStore()
        self._queue = FairQueue()

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        """Say something; the words alone where no sound is wanted.

        Raises:
            UnsupportedScript: There is no voice for its script.
        """
        performance = plan_speech(request)
        if not request.wants_audio:
            return SpokenLine(performance.transcript, None)
        turns, audio = 0, None
        with closing(self._voices.pieces(performance, request.voice, self._shelf)) as pieces:
            while audio is None:
                async with self._queue.turn(turns, len(performance.transcript)):
                    audio = await anyio.to_thread.run_sync(next, pieces)
                turns += 1
        return SpokenLine(performance.transcript, audio)


class FairQueue:
    """Gives turns one by one.

    Of all that wait, whoever had the fewest turns goes first; among those, what is shortest; then who came first.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, int, anyio.Event]] = []
        self._numbers = count()
        self._is_taken = False

    @asynccontextmanager
    async def turn(self, had: int, length: int = 0) -> AsyncIterator[None]:
        """Wait for a turn, and take it while the block runs: ``had`` turns before, for work of any ``length``."""
        if self._is_taken:
            await self._wait(had, length)
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, had: int, length: int) -> None:
        mine = (had, length, next(self._numbers), anyio.Event())
        heapq.heappush(self._waiting, mine)
        try:
            await mine[-1].wait()
        except BaseException:
            if mine[-1].is_set():
                self._pass_on()
            else:
                self._waiting.remove(mine)
                heapq.heapify(self._waiting)
            raise

    def _pass_on(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[-1].set()
        else:
            self._is_taken = False


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]


LONGEST_PIECE = 160
"""Phonemes, blanks among them, that the engine is given at once: the memory that it takes grows with their number."""

LONG_S = 10
"""Seconds of a line from which on memory is given back after each piece; shorter ones use it again."""

CLAUSE = re.compile(r"[,;:—] ")

SCRIPTS = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
"""How scripts are called where that is not the first word of their letters' names."""


@dataclass(frozen=True, slots=True)
class Timbre:
    """One voice: factors on the engine's own pitch and vocal tract."""

    pitch: float
    tract: float


TIMBRES = {
    "alloy": Timbre(0.85, 0.95),
    "ash": Timbre(0.52, 0.84),
    "ballad": Timbre(0.60, 0.88),
    "coral": Timbre(1.00, 1.00),
    "echo": Timbre(0.55, 0.90),
    "sage": Timbre(1.10, 1.03),
    "shimmer": Timbre(1.18, 1.06),
    "verse": Timbre(0.68, 0.92),
    "marin": Timbre(0.95, 1.05),
    "cedar": Timbre(0.48, 0.80),
}
"""The ten voices of the realtime models; nobody knows their real figures, these make them different."""


def timbre(voice: str) -> Timbre:
    """Look up a voice's timbre; make one from the name of a voice that is not known.

    >>> timbre("ash")
    Timbre(pitch=0.52, tract=0.84)
    >>> timbre("voice_of_mine") == timbre("voice_of_mine") != timbre("voice_of_yours")
    True
    """
    if voice in TIMBRES:
        return TIMBRES[voice]
    dice = zlib.crc32(voice.encode())
    return Timbre(0.5 + (dice % 71) / 100, 0.82 + (dice // 71 % 25) / 100)


def split_phonemes(phonemes: str) -> list[str]:
    """Split a sentence into pieces of at most ``LONGEST_PIECE`` phonemes: cut after a clause, else between words.

    >>> [len(piece) for piece in split_phonemes("a, b " * 100)]
    [157, 159, 159, 21]
    """
    if len(phonemes) <= LONGEST_PIECE:
        return [phonemes]
    pieces, rest = [], phonemes.strip()
    while len(rest) > LONGEST_PIECE:
        head = rest[: LONGEST_PIECE + 1]
        clauses = [found.end() for found in CLAUSE.finditer(head) if found.end() > LONGEST_PIECE // 2]
        cut = clauses[-1] if clauses else head.rfind(" ")
        cut = cut if 0 < cut <= LONGEST_PIECE else LONGEST_PIECE
        pieces.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    return [piece for piece in (*pieces, rest) if piece]


VOICED = ("LATIN", "GREEK", "CYRILLIC", "FULLWIDTH LATIN")
"""Scripts that the engine makes sound of, by how Unicode's names of their letters begin."""


def script_of(words: str) -> str:
    """Name the script that most letters of some words belong to.

    >>> script_of("こんにちは、世界。"), script_of("مرحبا"), script_of("🎭")
    ('Japanese', 'Arabic', 'no letters')
    """
    names = [unicodedata.name(letter, "").split()[:1] for letter in words if letter.isalpha()]
    scripts = Counter(SCRIPTS.get(name[0], name[0].capitalize()) for name in names if name)
    if not scripts:
        return "no letters"
    return "Japanese" if "Japanese" in scripts else scripts.most_common(1)[0][0]


def unsupported_script(words: str) -> str | None:
    """Name the script of words that the understudy has no voice for; None where it can say some of them.

    >>> unsupported_script("こんにちは"), unsupported_script("Wi-Fi は、どこ?"), unsupported_script("...")
    ('Japanese', None, None)
    """
    letters = [sign for sign in words if sign.isalpha() or sign.isdigit()]
    spoken = any(sign.isdigit() or unicodedata.name(sign, "").startswith(VOICED) for sign in letters)
    return None if spoken or not letters else script_of(words)


class Voices:
    """Speaks in any voice. The engine is loaded with the first word, once, and used by one thread at a time.

    The same performance, voice and seed give the same samples, in any process; further takes have seeds of their own.

    Raises:
        UsageError: The engine is not installed.
    """

    def __init__(self, seed: int = 0) -> None:
        require_voice()
        self._seed = seed
        self._engine: Any = None
        self._turn = threading.Lock()

    def speak(self, performance: SpeechPlan, voice: str) -> Pcm:
        """Make the sound of a line, at 24 kHz: -23 dBFS RMS, a little more or less by direction, peaks below -1 dBFS.

        Raises:
            UnsupportedScript: There is no voice for its script.
        """
        return next(piece for piece in self.pieces(performance, voice, BlobStore()) if piece is not None).pcm

    def pieces(self, performance: SpeechPlan, voice: str, blobs: BlobStore) -> Generator[BlobRef | None, None, None]:
        """Make a line step by step: each makes a piece of bounded length, so memory is bounded too.

        Yields:
            None after each step, and in the end the whole line, kept in ``blobs``.

        Raises:
            UnsupportedScript: There is no voice for its script.
        """
        import numpy as np

        dice = np.random.default_rng(self._seed + performance.style.take - 1)
        with closing(SampleFile()) as line:
            is_voiced = not any(isinstance(part, Phrase) for part in performance.parts)
            for part in performance.parts:
                if isinstance(part, Moment):
                    line.append(trim_edges(make_moment(part.kind, dice)))
                    continue
                phonemes = self._phonemes(part)
                is_voiced = is_voiced or any(letter.isalpha() for letter in "".join(phonemes))
                for number, piece in enumerate(phonemes, 1):
                    if line.samples:
                        yield None
                    with self._turn:
                        sound = self._piece(piece, part, performance.style, timbre(voice), dice)
                    line.append(trim_edges(sound, first=number == 1, last=number == len(phonemes)))
                    if line.samples > LONG_S * RATE:
                        _trim_memory()
            if not is_voiced:
                raise UnsupportedScript(performance.transcript, script_of(performance.transcript))
            yield from bring_to_level(line, performance.style.gain_db)
            entry = blobs.entry(line.samples, RATE)
            for block in line.blocks():
                entry.append(Pcm.from_array(block, RATE))
        if line.samples > LONG_S * RATE:
            _trim_memory()
        yield entry.finish()

    def _phonemes(self, phrase: Phrase) -> list[str]:
        """Find what a phrase is spoken as, in pieces that the engine can speak at once; silent ones are left out."""
        with self._turn:
            engine = self._load()
            told = [piece for sentence in engine.phonemize(phrase.text) for piece in split_phonemes(sentence)]
            return [piece for piece in told if len(engine.ids(piece)) > 2]

    def _piece(
        self, phonemes: str, phrase: Phrase, style: SpeechStyle, who: Timbre, dice: np.random.Generator
    ) -> Sound:
        import numpy as np
        from hibari import dsp

        speed = min(max(style.rate * phrase.rate, 0.5), 2.0)
        ids = self._engine.ids(phonemes)
        given = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
        voiced, turn, noise, free, phase, pitch = (part[0] for part in self._engine.sess.run(None, given))
        voiced, turn, noise, free = (_stretched(part, who.tract) for part in (voiced, turn, noise, free))
        if style.whispered:
            noise = np.logaddexp(noise, voiced - 1.0).astype(np.float32)
            pitch = np.zeros_like(pitch)
        pitch = pitch * np.float32(who.pitch * style.pitch)
        sound: Sound = dsp.synth(voiced, turn, noise, free, phase, pitch, dice)
        return sound * np.float32(10 ** (phrase.gain_db / 20))

    def _load(self) -> Any:
        if self._engine is None:
            from hibari import Hibari

            silence_telemetry()
            pin_transform()
            self._engine = Hibari()
            self._engine.sess = _without_arena(self._engine.model_path)
        return self._engine


def require_voice(otherwise: str = "") -> None:
    """Refuse to go on where the engine of the voice is not installed; ``otherwise`` is what else may be done.

    Raises:
        UsageError: It is not.
    """
    if find_spec("hibari") is None:
        hint = f"pip install 'tau-stage[understudy]'{otherwise}"
        raise UsageError("the understudy has no voice: hibari-tts is not installed", hint)


def silence_telemetry() -> None:
    """Turn off what onnxruntime sends to its vendor, before it is loaded: it would also keep a device id on the disk.

    It reads the variable once. On Windows it does not, and is told by a call.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    onnxruntime.disable_telemetry_events()


def pin_transform() -> None:
    """Let the engine use one Fourier transform, in double precision: it takes scipy's, where that is installed."""
    import numpy as np
    from hibari import dsp

    def rfft(frames: Sound, axis: int) -> Any:
        return np.fft.rfft(frames.astype(np.float64), axis=axis).astype(np.complex64)

    def irfft(spectra: Any, n: int, axis: int) -> Sound:
        return np.fft.irfft(spectra.astype(np.complex128), n=n, axis=axis).astype(np.float32)

    dsp.rfft, dsp.irfft = rfft, irfft


def _without_arena(model: str) -> Any:
    """Open the network in a session that gives memory back after each run; the engine's own keeps all it ever had."""
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _trim_memory() -> None:
    """Return what was freed to the system, where the C library knows how to."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _stretched(envelope: Sound, tract: float) -> Sound:
    """Return a spectral envelope, stretched along frequency: a longer tract has lower formants."""
    import numpy as np

    bins = len(envelope)
    at = np.clip(np.arange(bins) / tract, 0, bins - 1)
    below = at.astype(int)
    share = (at - below)[:, None].astype(np.float32)
    stretched: Sound = envelope[below] * (1 - share) + envelope[np.minimum(below + 1, bins - 1)] * share
    return stretched
