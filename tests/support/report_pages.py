"""Takes to make pages of, and pages as a program reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import trio
from trio.testing import MockClock

from tau_stage.audio.pcm import RATE
from tau_stage.audio.wav import WavWriter
from tau_stage.protocol.usage import Usage
from tau_stage.scene.load import load_scene
from tau_stage.scene.planner import make_plan
from tau_stage.stage.people import people_of
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import fold
from tau_stage.take.journal import Journal
from tau_stage.take.take_model import Take
from tests.support.in_memory_stage import SCENES, Playhouse
from tests.support.tone_voice import tone
from tests.test_take import BEGAN, journal_of, spoken

VOID = {"meta", "link", "br", "input", "hr", "img"}


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, tag: str = "", css: str = "") -> list[Element]:
        """All elements within, of a tag, of a class."""
        return [
            e for e in self.walk() if tag in ("", e.tag) and (not css or css in e.attributes.get("class", "").split())
        ]

    @property
    def text(self) -> str:
        """What is read, with single spaces."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            yield from [child] if isinstance(child, str) else child._texts()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(html: str) -> Element:
    """A page as a tree; every element must be closed where it was opened."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1
    return reader.open[0]


def tavern(out: Path) -> tuple[TakeFolder, Take]:
    """The tavern, performed on a virtual clock."""
    house = Playhouse(out, keeps=False)
    plan = make_plan(load_scene(SCENES / "tavern.yaml", {}))

    async def perform() -> Take:
        return await house.perform(plan, people=people_of(plan, stand_in=True))

    take = trio.run(perform, clock=MockClock(autojump_threshold=0))
    return house.folder, take


def written(folder: Path, facts: Sequence[record.Record]) -> TakeFolder:
    """A take's folder with a journal, and a sound for each line."""
    (folder / "lines").mkdir(parents=True)
    (folder / "stems").mkdir()
    journal = Journal(folder / "journal.jsonl")
    for fact in facts:
        journal.append(fact)
        if isinstance(fact, record.LineSpoken) and fact.file:
            with WavWriter(folder / fact.file) as wav:
                wav.append(tone(fact.player, "la " * (fact.samples // 1440 + 1))[: fact.samples])
    journal.close()
    return TakeFolder(folder)


def long_take(folder: Path, lines: int) -> tuple[TakeFolder, Take]:
    """A take of many short lines that two players hear of each other."""
    facts: list[record.Record] = []
    at = 0
    for number in range(1, lines + 1):
        player, other = ("clerk", "tourist") if number % 2 else ("tourist", "clerk")
        samples = RATE * (1 + number % 4)
        told = {
            "number": number,
            "offset_samples": at,
            "hearers": (other,),
            "asked": f"This is the line of number {number}, and it is not a short one.",
            "said": f"This is the line with number {number}, and it is not a short one.",
            "direction": "wearily",
        }
        usage = Usage(audio_out=20 * (1 + number % 4), audio_in=30, cached_audio_in=10 * number)
        facts.append(spoken(f"{player}-{number}", player, samples, usage, **told))
        facts.append(record.LineHeard(at_s=at / RATE, line=f"{player}-{number}", hearer=other, sha256="0", took_s=0.05))
        at += samples + RATE // 4
    whole = [BEGAN, *journal_of(*facts)[1:]]
    return written(folder, whole), fold(whole)
