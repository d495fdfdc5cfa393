"""A take as a score: one staff per player, effect and bed, and what sounds on it, where it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from tau_stage.audio.pcm import RATE
from tau_stage.report.sources import Sound, Sources
from tau_stage.take.take_model import Performed, Sounded, Take

HUES = 8
STEPS = ((120, 5), (600, 10), (3_600, 30), (14_400, 120))
"""Seconds between two marks of the ruler, by how long a take is at most."""

LONGEST_STEP = 600


@dataclass(frozen=True, slots=True)
class Block:
    """Something that sounds, as the score draws it.

    Attributes:
        key: Names it within the page.
        number: Of the line; 0 for an effect or a bed.
        who: The player, or the sound.
        above: What stands above the staff.
        below: What stands below it: the words.
        url: Where its sound is; empty where there is none.
        skip_s: Where in that file it begins.
        mark: How it ended, where not as it should.
        room_s: Seconds until the next begins on the same staff: so much room have the words.
    """

    key: str
    number: int
    who: str
    above: str
    below: str
    start_s: float
    seconds: float
    url: str
    skip_s: float
    width: int
    path: str
    mark: str = ""
    room_s: float = 0.0


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
    """Make the score of a take.

    Args:
        take: What was performed.
        sources: Where its sounds are.
    """
    lines = [(line, sources.sound(line.file, line.samples)) for line in take.lines]
    loudest = max((sound.peaks.loudest for _, sound in lines), default=0)
    players = [
        Lane(
            player.name,
            "player",
            number % HUES,
            bool(player.human),
            _roomy(
                [
                    _line_block(number, line, sound, loudest)
                    for number, (line, sound) in enumerate(lines, 1)
                    if line.player == player.name
                ],
                take.duration_s,
            ),
        )
        for number, player in enumerate(take.players)
    ]
    seconds = take.duration_s
    step = next((step for longest, step in STEPS if seconds <= longest), LONGEST_STEP)
    lanes = (*players, *_sound_lanes(take.sounds, sources, seconds))
    return Score(lanes, tuple(range(0, int(seconds) + 1, step)), seconds)


def _line_block(number: int, line: Performed, sound: Sound, loudest: int) -> Block:
    return Block(
        key=f"b{number}",
        number=line.number,
        who=line.player,
        above=line.direction,
        below=line.said or line.asked,
        start_s=line.offset_s,
        seconds=line.duration_s,
        url=sound.url,
        skip_s=sound.skip_s,
        width=len(sound.peaks.highs),
        path=sound.peaks.path(loudest),
        mark=line.reason or ("" if line.ended == "completed" else line.ended),
    )


def _sound_lanes(sounds: Sequence[Sounded], sources: Sources, seconds: float) -> Iterator[Lane]:
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
                url=sound.url,
                skip_s=sound.skip_s,
                width=len(sound.peaks.highs),
                path=sound.peaks.path(),
            )
        )
    for stem, blocks in stems.items():
        name = PurePosixPath(stem).stem.removeprefix(f"{kinds[stem]}-")
        yield Lane(name, kinds[stem], 0, False, _roomy(blocks, seconds))


def _roomy(blocks: Sequence[Block], end_s: float) -> tuple[Block, ...]:
    """Return each with the room that it has until the next."""
    starts = [*(block.start_s for block in blocks), end_s][1:]
    return tuple(
        replace(block, room_s=max(block.seconds, start - block.start_s))
        for block, start in zip(blocks, starts, strict=False)
    )
