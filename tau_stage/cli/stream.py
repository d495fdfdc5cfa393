"""Words while they arrive, as JSON lines: for captions, pipes and other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from tau_stage.cli.screen import Screen
from tau_stage.errors import UsageError
from tau_stage.stage.notes import News, State, Wording
from tau_stage.take import records as record

if TYPE_CHECKING:
    from tau_stage.scene.plan import Plan


class Stream:
    """Writes a JSON object a line, as soon as there is something to tell, and shows everything on a screen too.

    Args:
        out: Where the lines go.
        screen: What a person sees.
    """

    def __init__(self, out: TextIO, screen: Screen) -> None:
        self._out = out
        self._screen = screen

    def show(self, plan: Plan, news: News) -> None:
        """Write it, if it has words or is a state."""
        self._screen.show(plan, news)
        if told := _told(news):
            self._out.write(json.dumps({"scene": plan.slug, **told}, ensure_ascii=False) + "\n")
            self._out.flush()


def _told(news: News) -> dict[str, Any] | None:
    match news:
        case Wording():
            return {"type": "words", "player": news.player, "line": news.line, "words": news.words}
        case State():
            return {"type": "state", "player": news.player, "state": news.state}
        case record.ToolCalled():
            facts = news.model_dump(include={"player", "line", "tool", "arguments", "output", "failed", "took_s"})
            return {"type": "call", **facts}
        case record.LineSpoken():
            seconds = round(news.samples / news.rate, 3)
            place = round(news.offset_samples / news.rate, 3)
            said = {"player": news.player, "line": news.line, "said": news.said}
            return {"type": "line", **said, "offset_s": place, "seconds": seconds, "first_audio_s": news.first_audio_s}
        case _:
            return None


@contextmanager
def open_stream(wanted: str | None, screen: Screen) -> Iterator[Screen]:
    """A screen that streams, too, where that is wanted: to a file, or with ``-`` to the standard output.

    Raises:
        UsageError: The file cannot be written.
    """
    if wanted is None:
        yield screen
    elif wanted == "-":
        yield Stream(sys.stdout, screen)
    else:
        try:
            file = open(wanted, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - a pipe or a device is as good as a file
        except OSError as error:
            raise UsageError(f"--stream {wanted}: {(error.strerror or str(error)).lower()}") from None
        with file:
            yield Stream(file, screen)
