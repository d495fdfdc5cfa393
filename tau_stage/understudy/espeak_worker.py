"""The process in which espeak-ng speaks: apart from tau-stage, as its licence is the GPL. It imports nothing of ours.

A request is a line of JSON: ``text``, ``voice`` (like ``de+m3``), ``rate`` (words a minute) and ``pitch`` (0 to 100).
Its answer is a line of JSON, with ``rate``, ``bytes`` and ``words`` (place in the text, length, sample), then so many
bytes of mono 16 bit samples; or ``problem``. It ends with its input. Words of Japanese are those of its kana.

Each line is spoken by a fork of its own, where there are forks: espeak-ng says the same line otherwise the second time.
"""

import ctypes
import json
import os
import sys
from functools import cache
from typing import Any, BinaryIO

SYNCHRONOUS, UTF_8, PHONEME_EVENTS = 2, 1, 1
RATE, PITCH = 1, 3  # parameters
LIST_ENDS, WORD = 0, 1  # events


class Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


def speak(library: Any, rate: int, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Speak one line: what is told of it, and its samples."""
    sound, words = bytearray(), []

    def take(samples: Any, count: int, events: Any) -> int:
        if samples and count:
            sound.extend(ctypes.string_at(samples, 2 * count))
        at = 0
        while events[at].type != LIST_ENDS:
            if events[at].type == WORD:
                words.append((events[at].text_position - 1, events[at].length, events[at].sample))
            at += 1
        return 0

    callback = CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()):
        return {"problem": f"voice {request['voice']} not found"}, b""
    if request["voice"].startswith("ja"):
        request["text"] = in_kana(request["text"])
    library.espeak_SetParameter(RATE, request["rate"], 0)
    library.espeak_SetParameter(PITCH, request["pitch"], 0)
    text = request["text"].replace("\0", " ").encode() + b"\0"
    if library.espeak_Synth(text, len(text), 0, 1, 0, UTF_8, None, None):
        return {"problem": "speech synthesis failed"}, b""
    library.espeak_Synchronize()
    return {"rate": rate, "bytes": len(sound), "words": words}, bytes(sound)


@cache
def readings() -> Any:
    """Return what knows how Chinese characters are read in Japanese, which espeak-ng does not; loaded once."""
    import pykakasi

    untyped: Any = pykakasi
    return untyped.kakasi()


def in_kana(text: str) -> str:
    """Write a Japanese text as it is read."""
    return "".join(word["hira"] for word in readings().convert(text))


def answer(library: Any, rate: int, line: bytes, out: BinaryIO) -> None:
    """Speak a line, and send it whole."""
    facts, sound = speak(library, rate, json.loads(line))
    out.write(json.dumps(facts).encode() + b"\n" + sound)
    out.flush()


def main() -> None:
    """Answer requests until there are no more."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = os.path.dirname(espeakng_loader.get_data_path())  # noqa: PTH120 - of a path that is a text
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), PHONEME_EVENTS)
    forks = hasattr(os, "fork")
    for line in sys.stdin.buffer:
        if json.loads(line)["voice"].startswith("ja"):
            readings()  # before the fork
        if not forks:
            answer(library, rate, line, sys.stdout.buffer)
        elif child := os.fork():
            if os.waitpid(child, 0)[1]:
                sys.stdout.buffer.write(b'{"problem": "it crashed"}\n')
                sys.stdout.buffer.flush()
        else:
            answer(library, rate, line, sys.stdout.buffer)
            os._exit(0)


if __name__ == "__main__":
    main()
