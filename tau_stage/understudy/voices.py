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
import json
import logging
import os
import platform
import re
import tempfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from inspect import getfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from tau_stage.audio import RATE, Pcm
from tau_stage.environment import log_event
from tau_stage.errors import UsageError
from tau_stage.text import language_name, script_of
from tau_stage.understudy.actor import SpeechRequest, SpokenLine, UnsupportedScript
from tau_stage.understudy.delivery import Kind, Moment, Phrase, SpeechPlan, SpeechStyle, plan_speech
from tau_stage.understudy.formants import FormantSpeaker, SpeechFailed, split_text
from tau_stage.understudy.line_voices import ENGINE, formant_voice, has_other_languages
from tau_stage.understudy.sound_store import BlobRef, BlobStore, SoundCache

KEPT_LINES = 1024  # lines whose sound is kept to be said again; the oldest go first


class Ensemble:
    """Decides what to say and says it, in a thread. Lines that are spoken at the same time take turns by pieces.

    A line that it has said before, in the same voice and manner, has the same sound: it is not made again.
    """

    def __init__(self, voices: Voices | None = None) -> None:
        self._voices = voices or Voices()
        self._shelf = BlobStore()
        self._queue = FairQueue()
        self._said: OrderedDict[tuple[SpeechPlan, str], BlobRef] = OrderedDict()

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        """Say something; the words alone where no sound is wanted."""
        performance = plan_speech(request)
        if not request.wants_audio:
            return SpokenLine(performance.transcript, None)
        line = performance, request.voice
        if line not in self._said:
            self._said[line] = await self._make(*line)
        self._said.move_to_end(line)
        audio = self._said[line]
        while len(self._said) > KEPT_LINES:
            self._said.popitem(last=False)
        return SpokenLine(performance.transcript, audio)

    def close(self) -> None:
        """End what speaks other languages."""
        self._voices.close()

    async def _make(self, performance: SpeechPlan, voice: str) -> BlobRef:
        turns, audio = 0, None
        if found := await anyio.to_thread.run_sync(self._voices.load, performance, voice, self._shelf):
            return found
        with closing(self._voices.pieces(performance, voice, self._shelf)) as pieces:
            while audio is None:
                async with self._queue.turn(turns, len(performance.transcript)):
                    audio = await anyio.to_thread.run_sync(next, pieces)
                turns += 1
        await anyio.to_thread.run_sync(self._voices.save, performance, voice, audio)
        return audio


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


LONGEST_PIECE = 160  # phonemes, blanks among them, that the engine is given at once: it takes memory by their number
LONG_S = 10  # seconds of a line from which on memory is given back after each piece; shorter ones use it again
CLAUSE = re.compile(r"[,;:—] ")


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
    """Look up a voice's timbre; make one from the name of a voice that is not known."""
    if voice in TIMBRES:
        return TIMBRES[voice]
    dice = zlib.crc32(voice.encode())
    return Timbre(0.5 + (dice % 71) / 100, 0.82 + (dice // 71 % 25) / 100)


def split_phonemes(phonemes: str) -> list[str]:
    """Split a sentence into pieces of at most ``LONGEST_PIECE`` phonemes: cut after a clause, else between words."""
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
    return [*filter(None, (*pieces, rest))]


class Voices:
    """Speaks in any voice. The engine is loaded with a process's first word, and used by one thread at a time.

    The same performance, voice and seed give the same samples, in any process; further takes have seeds of their own.
    Where the engine is not installed, that is a ``UsageError``. What is in the ``cache`` is not made again.
    """

    def __init__(self, seed: int = 0, cache: SoundCache | None = None) -> None:
        require_voice()
        self._seed = seed
        self._cache = cache
        self._formants = FormantSpeaker()
        self._told: set[str] = set()  # languages that the log has been told of

    @classmethod
    def of_user(cls) -> Voices:
        """Return voices with the cache of this process's user."""
        return cls(cache=SoundCache.of_user())

    def speak(self, performance: SpeechPlan, voice: str) -> Pcm:
        """Make the sound of a line, at 24 kHz: -23 dBFS RMS, more or less by direction, no peak over -1 dBFS."""
        blobs = BlobStore()
        if found := self.load(performance, voice, blobs):
            return found.pcm
        made = next(piece for piece in self.pieces(performance, voice, blobs) if piece is not None)
        self.save(performance, voice, made)
        return made.pcm

    def load(self, performance: SpeechPlan, voice: str, blobs: BlobStore) -> BlobRef | None:
        """Take the sound of a line from the cache; None where it is not there."""
        return self._cache.load(self.recipe(performance, voice), blobs) if self._cache else None

    def save(self, performance: SpeechPlan, voice: str, sound: BlobRef) -> None:
        """Put the sound of a line into the cache, where there is one."""
        if self._cache:
            self._cache.save(self.recipe(performance, voice), sound)

    def close(self) -> None:
        """End the process that speaks other languages, if it runs."""
        self._formants.close()

    def recipe(self, performance: SpeechPlan, voice: str) -> bytes:
        """Return all that the sound of a line depends on: the line, and whatever makes sound of it, in this version."""
        speaker: object = timbre(voice)
        if other := other_voice(performance, voice):
            speaker = other, version("espeakng-loader"), version("pykakasi")
        return repr((performance, speaker, self._seed, _makers())).encode()

    def pieces(self, performance: SpeechPlan, voice: str, blobs: BlobStore) -> Generator[BlobRef | None, None, None]:
        """Make a line step by step: each makes a piece of bounded length, so memory is bounded too.

        After each step comes None, and in the end the whole line, kept in ``blobs``, or an ``UnsupportedScript``.
        """
        import numpy as np

        dice = np.random.default_rng(self._seed + performance.style.take - 1)
        with closing(SampleFile()) as line:
            is_voiced = not any(isinstance(part, Phrase) for part in performance.parts)
            for part in performance.parts:
                if isinstance(part, Moment):
                    line.append(trim_edges(make_moment(part.kind, dice)))
                    continue
                pieces, has_words = self._pieces_of(part, performance, voice, dice)
                is_voiced = is_voiced or has_words
                for number, make in enumerate(pieces, 1):
                    if line.samples:
                        yield None
                    line.append(trim_edges(make(), first=number == 1, last=number == len(pieces)))
                    if line.samples > LONG_S * RATE:
                        _trim_memory()
            if not is_voiced:
                raise UnsupportedScript(performance.transcript, script_of(performance.transcript))
            yield from bring_to_level(line, performance.style.gain_db)
            kept = _kept(line, blobs)
        if line.samples > LONG_S * RATE:
            _trim_memory()
        yield kept

    def _pieces_of(
        self, phrase: Phrase, performance: SpeechPlan, voice: str, dice: np.random.Generator
    ) -> tuple[list[Callable[[], Sound]], bool]:
        """Return what makes each piece of a phrase, and whether a word is heard in them."""
        style = performance.style
        if other := other_voice(performance, voice):
            texts = [*split_text(phrase.text)]
            return [partial(self._formant, text, other, phrase, performance) for text in texts], bool(texts)
        phonemes = self._phonemes(phrase)
        has_words = any(letter.isalpha() for letter in "".join(phonemes))
        return [partial(self._english, piece, phrase, style, timbre(voice), dice) for piece in phonemes], has_words

    def _english(
        self, phonemes: str, phrase: Phrase, style: SpeechStyle, who: Timbre, dice: np.random.Generator
    ) -> Sound:
        """Make a piece of a phrase in English; one at a time."""
        with ENGINE_TURN:
            return self._piece(phonemes, phrase, style, who, dice)

    def _formant(self, text: str, voice: str, phrase: Phrase, performance: SpeechPlan) -> Sound:
        """Make a piece of a phrase in another language."""
        import numpy as np
        import soxr

        style, name = performance.style, language_name(performance.language)
        if name not in self._told:
            self._told.add(name)
            log_event("understudy", logging.INFO, f"{name} is synthesized with {ENGINE}")
        try:
            spoken = self._formants.speak(text, voice, style.rate * phrase.rate, style.pitch)
        except SpeechFailed as problem:
            raise UnsupportedScript(performance.transcript, f"{name}; {problem}") from None
        sound: Sound = soxr.resample(spoken.sound, spoken.rate, RATE) if len(spoken.sound) else spoken.sound
        return sound * np.float32(10 ** (phrase.gain_db / 20))

    def _phonemes(self, phrase: Phrase) -> list[str]:
        """Find what a phrase is spoken as, in pieces that the engine can speak at once; silent ones are left out."""
        with ENGINE_TURN:
            engine = load_engine()
            told = [piece for sentence in engine.phonemize(phrase.text) for piece in split_phonemes(sentence)]
            return [piece for piece in told if len(engine.ids(piece)) > 2]

    def _piece(
        self, phonemes: str, phrase: Phrase, style: SpeechStyle, who: Timbre, dice: np.random.Generator
    ) -> Sound:
        import numpy as np
        from hibari import dsp

        speed = min(max(style.rate * phrase.rate, 0.5), 2.0)
        engine = load_engine()
        ids = engine.ids(phonemes)
        given = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
        voiced, turn, noise, free, phase, pitch = (part[0] for part in engine.sess.run(None, given))
        voiced, turn, noise, free = (_stretched(part, who.tract) for part in (voiced, turn, noise, free))
        if style.whispered:
            noise = np.logaddexp(noise, voiced - 1.0).astype(np.float32)
            pitch = np.zeros_like(pitch)
        pitch = pitch * np.float32(who.pitch * style.pitch)
        sound: Sound = dsp.synth(voiced, turn, noise, free, phase, pitch, dice)
        return sound * np.float32(10 ** (phrase.gain_db / 20))


def other_voice(performance: SpeechPlan, voice: str) -> str | None:
    """Return what espeak-ng calls the voice of a line in another language; None where the English voice speaks it."""
    if not performance.language or not has_other_languages():
        return None
    return formant_voice(performance.language, voice, whispered=performance.style.whispered)


ENGINE_TURN = threading.Lock()  # whoever uses the engine holds it


@cache
def load_engine() -> Any:
    """Load the engine, once in a process: loading it takes longer than many a line.

    Its own ``__init__`` would also open the network, in a session that keeps all memory that it ever had.
    """
    from hibari import tts

    silence_telemetry()
    pin_transform()
    engine = tts.Hibari.__new__(tts.Hibari)
    vocabulary = json.loads(Path(tts.ASSETS, "vocab.json").read_text("utf-8"))
    network = _without_arena(tts.voice_path(tts.DEFAULT))
    vars(engine).update(voice=tts.DEFAULT, vocab=vocabulary, sess=network, _g2p=None)
    engine.phonemize("a")  # which loads its lexicons
    _trim_memory()
    return engine


@cache
def _makers() -> tuple[str, ...]:
    """Name what makes sound: the code, the libraries, and the instructions of the processor that they choose among."""
    code = [sha256(Path(file).read_bytes()).hexdigest() for file in (__file__, getfile(Pcm))]
    libraries = [version(name) for name in ("hibari-tts", "numpy", "onnxruntime")]
    try:
        processor = Path("/proc/cpuinfo").read_text("utf-8").partition("\n\n")[0]
        features = [line for line in processor.splitlines() if line.startswith(("flags", "Features", "model name"))]
    except OSError:
        features = [platform.processor()]
    return *code, *libraries, platform.platform(), *features


def has_voice() -> bool:
    """Tell whether the voice's engine is installed."""
    return find_spec("hibari") is not None


def require_voice(otherwise: str = "") -> None:
    """Raise a ``UsageError`` where the voice's engine is not installed; ``otherwise`` is what else may be done."""
    if not has_voice():
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
    """Open the network in a session that gives memory back after each run."""
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
    stretched: Sound = envelope.take(below, axis=0)
    stretched *= 1 - share
    above = envelope.take(np.minimum(below + 1, bins - 1), axis=0)
    above *= share  # in place, here and above: new arrays take half of the time
    stretched += above
    return stretched


LEVEL_DBFS = -23.0
CEILING_DBFS = -1.5
GATE_DBFS = -45.0
EDGE_S = 0.06
FADE_S = 0.01

BLOCK = 2**17  # samples that are brought to their level at once
MEMORY_BYTES = 2**19  # of a line that is made in memory; a longer one is made on disk
LENGTHS_S: dict[Kind, float] = {"breath": 0.35, "sigh": 0.6, "cough": 0.45, "laugh": 0.7, "pause": 0.4}
BANDS_HZ: dict[Kind, tuple[float, float]] = {
    "breath": (800, 5000),
    "sigh": (400, 2500),
    "cough": (250, 3500),
    "laugh": (300, 3000),
    "pause": (0, 0),
}


def make_moment(kind: Kind, dice: np.random.Generator) -> Sound:
    """Make a breath, a sigh, a cough, a laugh or a pause of shaped noise."""
    import numpy as np

    samples = round(LENGTHS_S[kind] * RATE)
    if kind == "pause":
        return np.zeros(samples, np.float32)
    time = np.arange(samples) / samples
    shapes = {
        "breath": np.sin(np.pi * time) ** 1.5 * 0.05,
        "sigh": np.sin(np.pi * time**0.5) * 0.08,
        "cough": (np.exp(-12 * time) + 0.7 * np.exp(-14 * np.abs(time - 0.5))) * 0.25,
        "laugh": np.maximum(0, np.sin(2 * np.pi * 4 * time)) ** 2 * (1 - time) * 0.15,
    }
    low, high = BANDS_HZ[kind]
    spectrum = np.fft.rfft(dice.standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / RATE)
    noise = np.fft.irfft(spectrum * ((hertz > low) & (hertz < high)), samples)
    sound: Sound = (noise / np.abs(noise).max() * shapes[kind] * 3).astype(np.float32)
    return sound


def trim_edges(sound: Sound, *, first: bool = True, last: bool = True) -> Sound:
    """Cut the long silent edges off a phrase, or a piece of one, and fade it in and out so that no join clicks."""
    return _fade(_cut_silence(sound, first=first, last=last), first=first, last=last)


class SampleFile:
    """Samples of a line that is being made: its samples are in memory while they are few, else on disk."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by ``close``
        self.samples = 0

    def append(self, sound: Sound) -> None:
        """Add a piece."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(sound.tobytes())
        self.samples += len(sound)

    def blocks(self) -> Iterator[Sound]:
        """Read all samples, block by block."""
        import numpy as np

        for at in range(0, self.samples, BLOCK):
            self._file.seek(4 * at)
            yield np.frombuffer(self._file.read(4 * BLOCK), np.float32)

    def replace(self, number: int, sound: Sound) -> None:
        """Put something in the place of a block."""
        self._file.seek(4 * BLOCK * number)
        self._file.write(sound.tobytes())

    def close(self) -> None:
        """Close and forget it."""
        self._file.close()


def bring_to_level(line: SampleFile, gain_db: float = 0.0) -> Iterator[None]:
    """Bring a line to its level: -23 dBFS RMS over all of it, and no sample above -1.5 dBFS; a long one in steps.

    Louder peaks are bent, not cut: above half the ceiling a hyperbolic tangent brings them under it. The direction adds
    ``gain_db`` to the level.
    """
    import numpy as np

    ceiling = 10 ** (CEILING_DBFS / 20)
    for _ in range(3):
        power = sum(float(np.sum(block.astype(np.float64) ** 2)) for block in line.blocks()) / max(line.samples, 1)
        if power == 0.0:
            return
        factor = np.float32(10 ** ((LEVEL_DBFS + gain_db) / 20) / power**0.5)
        for number, block in enumerate(line.blocks()):
            sound = block * factor
            over = np.abs(sound) > ceiling / 2
            bent = np.sign(sound) * ceiling / 2 * (1 + np.tanh(2 * np.abs(sound) / ceiling - 1))
            line.replace(number, np.where(over, bent, sound).astype(np.float32))
        if line.samples > BLOCK:
            yield


def _cut_silence(sound: Sound, *, first: bool, last: bool) -> Sound:
    """Cut off silence at its edges but for 60 ms."""
    import numpy as np

    loud = np.flatnonzero(np.abs(sound) > 10 ** (GATE_DBFS / 20) * 0.3)
    if not len(loud):
        return sound
    edge = round(EDGE_S * RATE)
    return sound[max(0, loud[0] - edge) if first else 0 : loud[-1] + edge if last else len(sound)]


def _fade(sound: Sound, *, first: bool, last: bool) -> Sound:
    import numpy as np

    length = min(round(FADE_S * RATE), len(sound) // 2)
    if not length:
        return sound
    ramp = np.linspace(0, 1, length, dtype=np.float32)
    faded = sound.copy()
    if first:
        faded[:length] *= ramp
    if last:
        faded[-length:] *= ramp[::-1]
    return faded


def _kept(line: SampleFile, blobs: BlobStore) -> BlobRef:
    entry = blobs.entry(line.samples, RATE)
    for block in line.blocks():
        entry.append(Pcm.from_array(block, RATE))
    return entry.finish()
