"""Where the page's sounds come from: files beside it, or the page itself."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tau_stage.audio.pcm import RATE
from tau_stage.errors import TakeError
from tau_stage.report.peaks import Peaks, peaks
from tau_stage.take.folder import TakeFolder
from tau_stage.take.reading import quiet

NOTHING = Peaks()

LARGEST_PAGE = 200 * 1024 * 1024
"""Bytes of a page; browsers give up on larger ones, and so do mailboxes."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound of the page.

    Attributes:
        peaks: Its shape.
        url: Where the browser finds it; empty where there is none.
        skip_s: Where in it to begin, in seconds.
    """

    peaks: Peaks = NOTHING
    url: str = ""
    skip_s: float = 0.0


@dataclass(slots=True)
class Sources:
    """The sounds of a take's folder.

    Args:
        folder: The take's.
        embed: Whether they are put into the page, as FLAC.
        most: Bytes that a page may have.

    Attributes:
        problems: What is missing or broken, one sentence each.
    """

    folder: TakeFolder
    embed: bool = False
    most: int = LARGEST_PAGE
    problems: list[str] = field(default_factory=list)
    _held: int = 0

    def sound(self, name: str | None, samples: int, start: int = 0) -> Sound:
        """Return a span of one of the take's files.

        Args:
            name: Relative to the folder.
            samples: How long the span should be.
            start: Where it begins.
        """
        if not name or not samples:
            return Sound()
        try:
            path = self.folder.inside(name)
        except TakeError:
            self._tell(name, "is not in the take's folder")
            return Sound()
        shape = peaks(path, samples, start)
        if shape.problem:
            self._tell(name, shape.problem)
        if not shape.highs:
            return Sound(shape)
        if self.embed:
            return Sound(shape, self._embedded(path, start, samples))
        return Sound(shape, link(name), start / RATE)

    def mix(self) -> str:
        """Return the URL of the whole mix, or empty where there is none."""
        path = self.folder.mix
        if path is None:
            return ""
        return self._embedded(path, 0, None) if self.embed else link(path.name)

    def _tell(self, name: str, problem: str) -> None:
        told = f"{name} {problem}"
        if told not in self.problems:
            self.problems.append(told)

    def _embedded(self, path: Path, start: int, samples: int | None) -> str:
        import pybase64
        import soundfile

        frames = -1 if samples is None else samples
        try:  # the mix has 24 bit, all else 16
            with quiet(path):
                span, rate = soundfile.read(path, frames, start, dtype="int16")
        except (OSError, RuntimeError) as error:
            self._tell(path.name, f"cannot be embedded ({error})")
            return ""
        packed = io.BytesIO()
        soundfile.write(packed, span, rate, format="FLAC", subtype="PCM_16")
        url = "data:audio/flac;base64," + pybase64.b64encode(packed.getvalue()).decode("ascii")
        self._held += len(url)
        self.refuse_larger(self._held)
        return url

    def refuse_larger(self, size: int) -> None:
        """Refuse a page without end: nobody could open it.

        Raises:
            TakeError: It would be larger than a page may be.
        """
        if size > self.most:
            hint = "leave --embed out" if self.embed else "read take.json, which holds the same"
            raise TakeError(
                str(self.folder.path), f"its page would be larger than {self.most / 1024**2:,.0f} MiB", hint
            )


def link(name: str) -> str:
    """Make a relative URL, whatever the name holds.

    >>> link("lines/001-a b?.wav"), link("//evil.example/x.wav")
    ('./lines/001-a%20b%3F.wav', './//evil.example/x.wav')
    """
    return "./" + quote(name, safe="/")
