"""Inputs that nobody would send on purpose: ``python -m tests.fuzz --inputs 200000 --seed 1``.

Real scenes, events, journals and sounds are cut, spliced and spoiled; whatever reads them must take them or refuse them
with an error of its own. Each input follows from seed, target and number alone, so that a failure can be had again with
``--only``. ``--engine atheris`` lets atheris choose instead, guided by the branches it reaches (one target a process).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import anyio
from trio.testing import MockClock

from tau_stage.audio import formats
from tau_stage.audio.files import read_audio
from tau_stage.audio.riff import append_chunks, read_chunks
from tau_stage.audio.wav import header, read_wav
from tau_stage.errors import ProtocolError, SceneError, TakeError, UsageError
from tau_stage.protocol.conversation import Conversation
from tau_stage.protocol.decoding import decode
from tau_stage.protocol.dialects import DIALECTS
from tau_stage.protocol.requests import Request, Requests
from tau_stage.protocol.server_events import ServerEvent
from tau_stage.report.delivering import rebuild
from tau_stage.report.page_graphics import peaks
from tau_stage.scene.load import load_variants
from tau_stage.scene.planner import make_plan
from tau_stage.take.folder import TakeFolder
from tau_stage.take.reading import read_take
from tests.support.in_memory_stage import SCENES, Playhouse
from tests.test_scene_hostile import BLOCKS

SLOWEST_S = 10.0
"""An input that takes longer is a failure: nobody should wait so long for a 'no'."""

TOKENS = [
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\r",
        b"\n",
        b"\t",
        b"  ",
        b"- ",
        b": ",
        b"{",
    ),
    *(b"{", b"}", b"[", b"]", b'"', b"'", b"|", b">", b"&a ", b"*a", b"!!x ", b"<<", b"${", b"}", b"$${", b"null"),
    *(
        b"true",
        b"-1",
        b"1e999",
        b"NaN",
        b"99999999999999999999",
        b"0x",
        b"\\u0000",
        b"\\ud800",
        b"{}",
        b"[]",
        b"../",
        b"%s",
    ),
    *(b"lines:", b"together:", b"matrix:", b"include:", b"improvise:", b"on:", b"script: |\n", b"RIFF", b"\x7f\xff"),
    *(b"\0" * 4, b"\xff" * 4),
]

Spoil = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def _length(chance: random.Random) -> int:
    """Mostly a few bytes, seldom thousands."""
    return int(2 ** chance.uniform(0, chance.choice((3, 6, 12))))


def _cut(data: bytes, chance: random.Random, _others: Sequence[bytes]) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + _length(chance) :]


def _end(data: bytes, chance: random.Random, _others: Sequence[bytes]) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _flip(data: bytes, chance: random.Random, _others: Sequence[bytes]) -> bytes:
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 4) if data else 0):
        spoilt[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(spoilt)


def _insert(data: bytes, chance: random.Random, _others: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(TOKENS) * chance.choice((1, 1, 1, 2, 60)) + data[at:]


def _splice(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    start, at = chance.randrange(len(other) + 1), chance.randrange(len(data) + 1)
    return data[:at] + other[start : start + _length(chance)] + data[at:]


def _lines(data: bytes, chance: random.Random, _others: Sequence[bytes]) -> bytes:
    """Lines doubled, dropped, exchanged or indented otherwise."""
    lines = data.split(b"\n")
    for _ in range(chance.randint(1, 3)):
        at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                lines.insert(to, lines[at])
            case 1:
                lines[at], lines[to] = lines[to], lines[at]
            case 2:
                lines[at] = b" " * chance.randrange(5) + lines[at].lstrip()
            case _ if len(lines) > 1:
                del lines[at]
    return b"\n".join(lines)


def _words(data: bytes, chance: random.Random, _others: Sequence[bytes]) -> bytes:
    """Two words exchanged: what is sound by itself stands where it should not."""
    words = data.split(b" ")
    at, to = chance.randrange(len(words)), chance.randrange(len(words))
    words[at], words[to] = words[to], words[at]
    return b" ".join(words)


def _values(data: bytes, chance: random.Random, _others: Sequence[bytes]) -> bytes:
    """A JSON value of another type."""
    parts = data.split(b":")
    at = chance.randrange(len(parts))
    value, comma, rest = parts[at].partition(b",")
    parts[at] = chance.choice((b"null", b"-1", b'""', b"[]", b"{}", b"true", b"1e400", b'"\\ud800"')) + comma + rest
    return b":".join(parts) if at and value else data


SPOILING: tuple[Spoil, ...] = (_cut, _end, _flip, _insert, _splice, _lines, _words, _values)
LARGEST = 64 * 1024


@dataclass(frozen=True)
class Target:
    """What reads inputs.

    Attributes:
        seeds: Sound inputs.
        read: Reads one, in a folder of its own.
        typed: What it may raise.
        weight: Its share of all inputs.
    """

    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[bytes, Path], object]
    typed: tuple[type[Exception], ...]
    weight: int


# ---- what reads


@cache
def _played() -> tuple[tuple[bytes, ...], bytes, bytes]:
    """What a performance leaves: events that came, its journal, and its manifest."""
    scene = (
        "players: {ann: {voice: ash, tools: [lamp]}, ben: {voice: sage}}\ntools: {lamp: {returns: {ok: true}}}\n"
        "lines:\n  - ann: (softly) One, and two.\n  - ben: Three?\n  - ann: Four.\n    takes: 2\n"
        "  - improvise: {players: [ann, ben], about: the weather, turns: 2}\n"
    )

    async def perform(house: Playhouse) -> None:
        await house.perform(scene)

    with tempfile.TemporaryDirectory() as place:
        house = Playhouse(Path(place))
        options = {"clock": MockClock(autojump_threshold=0)}
        anyio.run(perform, house, backend="trio", backend_options=options)
        frames = {frame[:2_000]: frame for socket in house.sockets.values() for frame in socket.received}
        small = tuple(frame for frame in frames.values() if len(frame) < 4_000)
        return small, house.folder.journal.read_bytes(), (house.folder.path / "take.json").read_bytes()


def _read_scene(data: bytes, place: Path) -> object:
    (place / "spoilt.yaml").write_bytes(data)
    return [make_plan(scene) for scene in load_variants(place / "spoilt.yaml")]


def _read_fountain(data: bytes, place: Path) -> object:
    (place / "play.fountain").write_bytes(data)
    (place / "scene.yaml").write_text("players: {clerk: {voice: ash}, tourist: {voice: sage}}\nscript: play.fountain\n")
    return load_variants(place / "scene.yaml")


def _read_event(data: bytes, _place: Path) -> object:
    told = [decode(data, dialect) for dialect in DIALECTS.values()]
    conversation, requests = Conversation(), Requests()
    for number, event in enumerate(_sound_events()):
        requests.add(Request(f"evt_{number}", event.type))
        conversation.apply(event)
    return [(conversation.apply(event), requests.answered_by(event)) for event in told]


@cache
def _sound_events() -> list[ServerEvent]:
    """What one session was told before."""
    return [decode(frame) for frame in _played()[0] if b'"ann"' not in frame][:12]


def _read_journal(data: bytes, place: Path) -> object:
    (place / "journal.jsonl").write_bytes(data)
    (place / "take.json").unlink(missing_ok=True)
    with suppress(TakeError):  # its sounds are not there
        rebuild(TakeFolder(place))
    return read_take(place)


def _read_manifest(data: bytes, place: Path) -> object:
    (place / "journal.jsonl").unlink(missing_ok=True)
    (place / "take.json").write_bytes(data)
    return read_take(place)


def _read_g711(data: bytes, _place: Path) -> object:
    for law in ("ulaw", "alaw"):
        samples = formats.decode_g711(data, law)
        assert len(samples) == len(data)
        assert (formats.decode_g711(formats.encode_g711(samples, law), law) == samples).all()
    return None


def _read_wav(data: bytes, place: Path) -> object:
    file = place / "sound.wav"
    file.write_bytes(data)
    failed: list[Exception] = []
    peaks(file, 1_000)
    for read in (read_wav, read_chunks, read_audio, partial(append_chunks, chunks={b"cue ": b"\0\0\0\0"})):
        try:
            read(file)
        except (ValueError, UsageError) as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return None


def _sounds() -> Sequence[bytes]:
    sound = bytes(range(256)) * 8
    plain = header(len(sound) // 2, 24_000) + sound
    extensible = plain[:16] + (40).to_bytes(4, "little") + b"\xfe\xff" + plain[22:36]
    extensible += b"\x16\0\x10\0" + bytes(8) + b"\1\0" + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71" + plain[36:]
    return (plain, extensible, plain[:20] + b"\3\0" + plain[22:], plain + b"LIST\4\0\0\0INFO" + b"cue \4\0\0\0\0\0\0\0")


def _scenes() -> Sequence[bytes]:
    texts = [path.read_bytes() for path in sorted(SCENES.glob("*.yaml"))]
    return [*[text for text in texts if len(text) < 6_000] * 20, *(block.scene.encode() for block in BLOCKS)]


FOUNTAIN = (
    b"Title: Rain\n\nINT. SHOP - NIGHT\n\nCLERK\n(softly)\nYes?\n\n"
    b"TOURIST (V.O.)\nOne _umbrella_.\n\n[[note]]\n\n> CUT TO:\n"
)

TARGETS = {
    "scene": Target(_scenes, _read_scene, (SceneError,), 6),
    "fountain": Target(lambda: (FOUNTAIN,), _read_fountain, (SceneError,), 1),
    "wire": Target(lambda: _played()[0], _read_event, (ProtocolError,), 8),
    "journal": Target(lambda: (_played()[1],), _read_journal, (TakeError,), 2),
    "manifest": Target(lambda: (_played()[2],), _read_manifest, (TakeError,), 1),
    "g711": Target(lambda: _sounds()[:1], _read_g711, (), 4),
    "wav": Target(_sounds, _read_wav, (ValueError, UsageError), 2),
}


# ---- the campaign


@dataclass
class Figures:
    """What came of the inputs of one target."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def made(name: str, seed: int, number: int) -> bytes:
    """One input."""
    chance = random.Random(f"{seed}/{name}/{number}")
    seeds = TARGETS[name].seeds()
    data = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        data = chance.choice(SPOILING)(data, chance, seeds)
    return data[:LARGEST]


def tried(name: str, data: bytes, place: Path) -> str:
    """How reading an input ended.

    Raises:
        Exception: Not as it may.
    """
    target = TARGETS[name]
    try:
        target.read(data, place)
    except target.typed as error:
        return type(error).__name__ if str(error) else "an error without words"
    return "read"


def campaign(name: str, seed: int, numbers: Sequence[int]) -> Figures:
    """Try the inputs of one target."""
    figures, began = Figures(), time.perf_counter()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        place = Path(folder)
        if name == "scene":
            for beside in SCENES.iterdir():
                (place / beside.name).symlink_to(beside)
        for number in numbers:
            data, start = made(name, seed, number), time.perf_counter()
            try:
                figures.outcomes[tried(name, data, place)] += 1
            except (Exception, BaseExceptionGroup) as error:
                figures.outcomes["FAILED"] += 1
                trace = "".join(traceback.format_exception(error)[-3:])
                figures.failures.append(f"--seed {seed} --only {name}:{number}: {error!r}\n{trace}")
            took = time.perf_counter() - start
            if took > SLOWEST_S:
                figures.failures.append(f"--seed {seed} --only {name}:{number}: took {took:.1f} s")
            figures.slowest = max(figures.slowest, (took, number))
    figures.seconds = time.perf_counter() - began
    return figures


def guided(name: str, seed: int, inputs: int) -> None:
    """Let atheris choose the inputs; it ends the process."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    place = Path(tempfile.mkdtemp())
    corpus = place / "corpus"
    corpus.mkdir()
    for number, data in enumerate(TARGETS[name].seeds()):
        (corpus / str(number)).write_bytes(data)
    atheris.instrument_all()
    options = [f"-runs={inputs}", f"-seed={seed}", "-max_len=16384", "-print_final_stats=1", str(corpus)]
    atheris.Setup([sys.argv[0], *options], lambda data: tried(name, data, place) and None)
    atheris.Fuzz()


def main() -> int:
    """Fuzz, print figures, and leave with 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=TARGETS, help="one only")
    parser.add_argument("--only", metavar="TARGET:NUMBER", help="one input once more; it is printed")
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    wanted = parser.parse_args()
    if wanted.only:
        name, _, number = wanted.only.partition(":")
        data = made(name, wanted.seed, int(number))
        sys.stdout.write(repr(data) + "\n")
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(tried(name, data, Path(folder)) + "\n")
        return 0
    if wanted.engine == "atheris":
        guided(wanted.target or "wire", wanted.seed, wanted.inputs)
    weights = {name: target.weight for name, target in TARGETS.items() if wanted.target in (None, name)}
    failed = 0
    for name, weight in weights.items():
        figures = campaign(name, wanted.seed, range(wanted.inputs * weight // sum(weights.values())))
        told = ", ".join(f"{count:,} {what}" for what, count in figures.outcomes.most_common())
        slowest, number = figures.slowest
        sys.stdout.write(f"{name}: {told}; {figures.seconds:.0f} s, slowest {slowest:.2f} s (number {number})\n")
        sys.stdout.write("".join(figures.failures[:5]))
        sys.stdout.flush()
        failed += len(figures.failures)
    sys.stdout.write(f"{failed} failures\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
