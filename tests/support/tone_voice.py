"""A voice for fast tests: a tone per voice, as long as the words. It stands for the neural voice, on any clock."""

import zlib
from pathlib import Path

import numpy as np

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.delivery import plan_speech

SECONDS_PER_CHARACTER = 0.02


class Tones:
    """Says what the understudy would say, as a tone."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        words = plan_speech(request).transcript
        sound = tone(request.voice, words)
        if request.take > 1:  # another take is longer
            sound = Pcm.join([sound, tone(request.voice, "ah" * request.take)])
        return SpokenLine(words, sound if request.wants_audio else None)


class Noises:
    """Says what the understudy would say, as noise of its own: each line is like itself at one place only."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        words = plan_speech(request).transcript
        return SpokenLine(words, noise(request.voice, words) if request.wants_audio else None)


def noise(voice: str, words: str) -> Pcm:
    dice = np.random.default_rng(zlib.crc32(f"{voice}{words}".encode()))
    rough = dice.normal(0, 0.2, max(RATE // 4, round(2 * len(words) * SECONDS_PER_CHARACTER * RATE)))
    return Pcm.from_array(np.clip(np.convolve(rough, np.full(4, 0.4), "same"), -1, 1))


def tone(voice: str, words: str) -> Pcm:
    hertz = 100 + zlib.crc32(f"{voice}{words}".encode()) % 400
    samples = np.arange(max(1, round(len(words) * SECONDS_PER_CHARACTER * RATE)))
    return Pcm.from_array(0.2 * np.sin(2 * np.pi * hertz * samples / RATE))


def write_tone(path: Path, seconds: float = 0.1) -> None:
    """A file with a tone in it, for scenes that name a sound."""
    with WavWriter(path) as file:
        file.append(Pcm.from_array(0.3 * np.sin(np.arange(round(RATE * seconds)) / 9)))
