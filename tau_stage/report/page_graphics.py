"""What the page of a take draws and plays: the shapes of its sounds, the score, and what it cost."""

from __future__ import annotations

import io
import wave
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import accumulate
from operator import add
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pybase64
import soundfile
from numpy.typing import NDArray

from tau_stage.audio import RATE
from tau_stage.errors import TakeError, os_reason
from tau_stage.take import Costs, Performed, PlayedSound, Take, TakeFolder, quiet

PER_SECOND = 24
FEWEST, MOST = 8, 600
WAVE_HEIGHT = 80  # of the drawing; its width is the number of spans

_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Peaks:
    """What of a sound is drawn: lowest and highest sample of each span, and why it is not drawn to its end."""

    lows: tuple[int, ...] = ()
    highs: tuple[int, ...] = ()
    problem: str = ""

    @property
    def loudest(self) -> int:
        """The largest sample, whatever its sign."""
        return max((*self.highs, *(-low for low in self.lows)), default=0)

    def path(self, loudest: int = 0) -> str:
        """Draw a closed path for SVG; a sample as loud as ``loudest``, or as the sound's own, reaches its edge.

        >>> Peaks((-4, 0), (4, 2)).path()
        'M0 40L0 1 1 20 2 20 2 40 1 40 0 79Z'
        """
        if not self.highs:
            return ""
        unit = (WAVE_HEIGHT / 2 - 1) / max(1, loudest or self.loudest)
        tops = [round(WAVE_HEIGHT / 2 - unit * high) for high in (*self.highs, self.highs[-1])]
        feet = [round(WAVE_HEIGHT / 2 - unit * low) for low in (*self.lows, self.lows[-1])]
        points = [*enumerate(tops), *reversed([*enumerate(feet)])]
        return f"M0 {WAVE_HEIGHT // 2}L" + " ".join(f"{x} {y}" for x, y in points) + "Z"


def _read_block(file: wave.Wave_read, samples: int, channels: int) -> NDArray[np.int16]:
    data = file.readframes(samples)
    whole = len(data) // (2 * channels) * 2 * channels
    return np.frombuffer(data[:whole], dtype="<i2").reshape(-1, channels)


def peaks(path: Path, samples: int, start: int = 0) -> Peaks:
    """Measure the shape of a span of a 16-bit WAV file, which is read block by block; never an error."""
    lows: list[int] = []
    highs: list[int] = []
    read = 0
    try:
        with path.open("rb") as raw, wave.open(raw) as file:
            channels = file.getnchannels()
            if channels > 2 or file.getsampwidth() != 2:
                return Peaks(problem="is not 16-bit mono or stereo")
            if not (rate := file.getframerate()):
                return Peaks(problem="is not a WAV file")
            size = max(1, -(-samples // min(MOST, max(FEWEST, PER_SECOND * samples // rate))))
            file.setpos(min(start, file.getnframes()))
            while read < samples:
                block = _read_block(file, min(size * max(1, _BLOCK // size), samples - read), channels)
                if not len(block):
                    break
                edges = np.arange(0, len(block), size)
                lows += np.minimum.reduceat(block.min(axis=1), edges).tolist()
                highs += np.maximum.reduceat(block.max(axis=1), edges).tolist()
                read += len(block)
    except FileNotFoundError:
        return Peaks(problem="is missing")
    except OSError as error:
        return Peaks(problem=f"cannot be read ({os_reason(error)})")
    except (wave.Error, EOFError, RuntimeError):  # the last of a chunk that is longer than the file
        return Peaks(problem="is not a WAV file")
    short = f"is incomplete: it has {read / rate:.2f} s of {samples / rate:.2f} s" if read < samples else ""
    return Peaks(tuple(lows), tuple(highs), short)


# ---- its sounds

LARGEST_PAGE = 200 * 1024 * 1024  # bytes of a page; browsers give up on larger ones, and so do mailboxes


class PageSound(NamedTuple):
    """A sound of the page: its shape, its URL if it has one, and where in that to begin."""

    peaks: Peaks = Peaks()
    url: str = ""
    skip_s: float = 0.0


@dataclass(slots=True)
class Sources:
    """The sounds of a take's folder, linked or put into the page as FLAC; problems are told, a sentence each."""

    folder: TakeFolder
    embed: bool = False
    most: int = LARGEST_PAGE
    problems: list[str] = field(default_factory=list)
    _held: int = 0

    def sound(self, name: str | None, samples: int, start: int = 0) -> PageSound:
        """Return a span of one of the take's files."""
        if not name or not samples:
            return PageSound()
        try:
            path = self.folder.inside(name)
        except TakeError:
            self._tell(name, "is not in the take's folder")
            return PageSound()
        shape = peaks(path, samples, start)
        if shape.problem:
            self._tell(name, shape.problem)
        if not shape.highs:
            return PageSound(shape)
        if self.embed:
            return PageSound(shape, self._embedded(path, start, samples))
        return PageSound(shape, link(name), start / RATE)

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
        """Refuse a page without end: nobody could open it."""
        if size > self.most:
            problem = f"its page would be larger than {self.most / 1024**2:,.0f} MiB"
            hint = "run without --embed" if self.embed else "read take.json, which has the same contents"
            raise TakeError(str(self.folder.path), problem, hint)


def link(name: str) -> str:
    """Make a relative URL, whatever the name holds.

    >>> link("lines/001-a b?.wav"), link("//evil.example/x.wav")
    ('./lines/001-a%20b%3F.wav', './//evil.example/x.wav')
    """
    return "./" + quote(name, safe="/")


# ---- the score

HUES = 8
STEPS = ((120, 5), (600, 10), (3_600, 30), (14_400, 120))
"""Seconds between two marks of the ruler, by how long a take is at most."""

LONGEST_STEP = 600


@dataclass(frozen=True, slots=True)
class Block:
    """Something that sounds, as the score draws it, with words above and below its staff."""

    key: str  # names it within the page
    number: int  # of the line; 0 for an effect or a bed
    who: str
    above: str
    below: str
    start_s: float
    seconds: float
    sound: PageSound
    path: str
    mark: str = ""  # how it ended, where not as it should
    room_s: float = 0.0  # seconds until the next begins on the same staff: so much room have the words


@dataclass(frozen=True, slots=True)
class Lane:
    """One staff."""

    name: str
    kind: str
    hue: int
    human: bool
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """All staves, and the seconds that are marked above them."""

    lanes: tuple[Lane, ...]
    ticks: tuple[int, ...]
    seconds: float

    @property
    def blocks(self) -> dict[str, Block]:
        """All that sounds, by key."""
        return {block.key: block for lane in self.lanes for block in lane.blocks}

    def places(self) -> str:
        """Write a style sheet with the place of every block and tick: a strict page has no style attributes."""
        whole = max(self.seconds, 0.001)
        rules = [f":root{{--seconds:{whole:.3f}}}"]
        rules += [
            f"#{key}{{left:{100 * block.start_s / whole:.4f}%;width:{100 * block.seconds / whole:.4f}%;"
            f"--room:{100 * block.room_s / max(0.001, block.seconds):.0f}%}}"
            for key, block in self.blocks.items()
        ]
        rules += [f"#t{tick}{{left:{100 * tick / whole:.4f}%}}" for tick in self.ticks]
        return "\n".join(rules)


def make_score(take: Take, sources: Sources) -> Score:
    """Make the score of a take."""
    seconds = take.duration_s
    sounds = [sources.sound(line.file, line.samples) for line in take.lines]
    loudest = max((sound.peaks.loudest for sound in sounds), default=0)
    staves: defaultdict[str, list[Block]] = defaultdict(list)
    for number, (line, sound) in enumerate(zip(take.lines, sounds, strict=True), 1):
        staves[line.player].append(_line_block(number, line, sound, loudest))
    lanes = [
        Lane(player.name, "player", number % HUES, bool(player.human), _roomy(staves[player.name], seconds))
        for number, player in enumerate(take.players)
    ]
    step = next((step for longest, step in STEPS if seconds <= longest), LONGEST_STEP)
    lanes += _sound_lanes(take.sounds, sources, seconds)
    return Score(tuple(lanes), tuple(range(0, int(seconds) + 1, step)), seconds)


def _line_block(number: int, line: Performed, sound: PageSound, loudest: int) -> Block:
    return Block(
        key=f"b{number}",
        number=line.number,
        who=line.player,
        above=line.direction,
        below=line.said or line.asked,
        start_s=line.offset_s,
        seconds=line.duration_s,
        sound=sound,
        path=sound.peaks.path(loudest),
        mark=line.reason or ("" if line.ended == "completed" else line.ended),
    )


def _sound_lanes(sounds: Sequence[PlayedSound], sources: Sources, seconds: float) -> Iterator[Lane]:
    stems: dict[str, list[Block]] = {}
    kinds: dict[str, str] = {}
    for number, sounded in enumerate(sounds, 1):
        sound = sources.sound(sounded.stem, sounded.samples, sounded.offset_samples)
        kinds[sounded.stem] = sounded.kind
        stems.setdefault(sounded.stem, []).append(
            Block(
                key=f"s{number}",
                number=0,
                who=sounded.id,
                above="",
                below=f"{sounded.source}, {sounded.gain_db:+g} dB",
                start_s=sounded.offset_s,
                seconds=sounded.samples / RATE,
                sound=sound,
                path=sound.peaks.path(),
            )
        )
    for stem, blocks in stems.items():
        name = PurePosixPath(stem).stem.removeprefix(f"{kinds[stem]}-")
        yield Lane(name, kinds[stem], 0, False, _roomy(blocks, seconds))


def _roomy(blocks: Sequence[Block], end_s: float) -> tuple[Block, ...]:
    """Return blocks of one staff, each with the room that it has until the next."""
    nexts = [*(block.start_s for block in blocks[1:]), end_s]
    return tuple(
        replace(block, room_s=max(block.seconds, at_s - block.start_s))
        for block, at_s in zip(blocks, nexts, strict=False)
    )


# ---- what it cost; an amount that nobody knows is never drawn as nothing

KINDS = ("spoken", "listened", "cached")
CURVE_WIDTH, CURVE_HEIGHT = 1000, 200


class Bar(NamedTuple):
    """One kind of cost of one player; where it begins and how long it is, in percent of the longest bar."""

    kind: str
    start: float
    width: float


class Area(NamedTuple):
    """What one kind has cost so far, on top of the kinds below it, as a path for SVG."""

    kind: str
    path: str


class Curve(NamedTuple):
    """How the cost grows along the scene up to ``top`` dollars; lines whose price is unknown are not in it."""

    areas: tuple[Area, ...]
    top: Decimal
    unknown: int


def bars(cost: Costs, longest: Decimal) -> tuple[Bar, ...]:
    """Return a player's cost as bars side by side; kinds whose price is unknown have none."""
    at = 0.0
    drawn = []
    for kind in KINDS:
        width = 100 * float(_amount(cost, kind) / (longest or 1))
        drawn.append(Bar(kind, round(at, 3), round(width, 3)))
        at += width
    return tuple(bar for bar in drawn if bar.width)


def longest_bar(take: Take) -> Decimal:
    """Return the most that one player cost, as far as it is known."""
    return max((_known(player.cost) for player in take.players), default=Decimal(0))


def curve(take: Take) -> Curve:
    """Return the cost along the scene: each line's counts from where it ends in the recording."""
    known = sorted(
        (line for line in take.lines if line.cost.total is not None), key=lambda line: line.offset_s + line.duration_s
    )
    top = sum((_known(line.cost) for line in known), Decimal(0))
    below = [Decimal(0)] * (len(known) + 1)
    areas = []
    for kind in KINDS:
        above = [*map(add, below, accumulate((_amount(line.cost, kind) for line in known), initial=Decimal(0)))]
        areas.append(Area(kind, _area(known, below, above, top, take.duration_s)))
        below = above
    return Curve(tuple(areas) if top else (), top, len(take.lines) - len(known))


def _known(cost: Costs) -> Decimal:
    return sum((_amount(cost, kind) for kind in KINDS), Decimal(0))


def _amount(cost: Costs, kind: str) -> Decimal:
    amount: Decimal | None = getattr(cost, kind)
    return amount or Decimal(0)


def _area(
    lines: Sequence[Performed], below: Sequence[Decimal], above: Sequence[Decimal], top: Decimal, seconds: float
) -> str:
    """Return steps along the upper edge, and back along the lower one."""
    if not top or not seconds:
        return ""
    ends = [0.0, *(CURVE_WIDTH * (line.offset_s + line.duration_s) / seconds for line in lines), float(CURVE_WIDTH)]

    def steps(sums: Sequence[Decimal]) -> list[str]:
        rows = [round(CURVE_HEIGHT - CURVE_HEIGHT * float(amount / top), 1) for amount in sums]
        return [f"{x:.1f} {y:g}" for row, y in enumerate(rows) for x in (ends[row], ends[row + 1])]

    return "M" + " ".join([*steps(above), *reversed(steps(below))]) + "Z"
