"""Words while they arrive, as JSON lines: for captions, pipes and other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TextIO

from tau_stage.cli.printing import silence, warn
from tau_stage.cli.screen import Screen
from tau_stage.errors import UsageError
from tau_stage.stage.notes import News, Resuming, State, Wording
from tau_stage.take import records as record
from tau_stage.text import printable_json

if TYPE_CHECKING:
    from tau_stage.scene.plan import Plan


class Stream:
    """Writes a JSON object a line, as soon as there is something to tell, and shows everything on a screen too.

    Where it cannot be written any more, that is said once, and the performance goes on without it.

    Args:
        out: Where the lines go.
        screen: What a person sees.
        name: What a message calls it.

    Attributes:
        ended: Whether nothing more is written, as it cannot be.
        lost: Whether somebody misses something: a reader who left does not.
    """

    def __init__(self, out: TextIO, screen: Screen, name: str) -> None:
        self.ended = self.lost = False
        self._out = out
        self._screen = screen
        self._name = name

    def show(self, plan: Plan, news: News) -> None:
        """Write it, if it has words or is a state."""
        self._screen.show(plan, news)
        if not self.ended and (told := _told(news)):
            try:
                self._out.write(printable_json(json.dumps({"scene": plan.slug, **told}, ensure_ascii=False)) + "\n")
                self._out.flush()
            except OSError as error:
                self._end(error)

    def making(self, plan: Plan, what: str) -> None:
        """Show it; no program waits for it."""
        self._screen.making(plan, what)

    def _end(self, error: OSError) -> None:
        self.ended, self.lost = True, not isinstance(error, BrokenPipeError)
        if self._out is sys.stdout:  # what it still holds would fail once more as Python ends
            silence(self._out)
        reason = (error.strerror or str(error)).lower()
        warn(f"--stream {self._name}: {reason}; the performance goes on without it")


def _told(news: News) -> dict[str, Any] | None:
    match news:
        case Wording():
            return {"type": "words", "player": news.player, "line": news.line, "words": news.words}
        case Resuming():
            return {"type": "resumed", "lines": [line for line, _, _ in news.seconds]}
        case State():
            return {"type": "state", "player": news.player, "state": news.state}
        case record.ToolCalled():
            facts = news.model_dump(include={"player", "line", "tool", "arguments", "output", "failed", "took_s"})
            return {"type": "call", **facts}
        case record.LineSpoken():
            seconds = round(news.samples / news.rate, 3)
            place = round(news.offset_samples / news.rate, 3)
            said = {"player": news.player, "line": news.line, "said": news.said}
            failed = {"problem": news.problem, "written": news.written} if news.problem else {}
            sound = {"offset_s": place, "seconds": seconds, "first_audio_s": news.first_audio_s}
            return {"type": "line", **said, **sound, **failed}
        case _:
            return None


@contextmanager
def open_stream(wanted: str | None, screen: Screen) -> Iterator[Screen]:
    """Open a screen that streams, too, where that is wanted: to a file, or with ``-`` to the standard output.

    Raises:
        UsageError: The file cannot be written.
    """
    if wanted is None:
        yield screen
    elif wanted == "-":
        yield Stream(sys.stdout, screen, wanted)
    else:
        try:
            file = open(wanted, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - a pipe or a device is as good as a file
        except OSError as error:
            raise UsageError(f"--stream {wanted}: {(error.strerror or str(error)).lower()}") from None
        stream = Stream(file, screen, wanted)
        try:
            yield stream
        finally:
            with suppress(OSError) if stream.ended else nullcontext():  # what it still holds fails once more
                file.close()
