"""Every scene of the repository, recorded on an understudy and replayed from its cassette: nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tau_stage.cassette.format import spare_files, verify_cassette
from tau_stage.clock import VIRTUAL
from tau_stage.errors import CassetteDiffers, CassetteError
from tau_stage.scene.plan import Plan
from tau_stage.take.take_model import Take
from tau_stage.understudy import faults as fault
from tests.support.cassette_recording import record, replay, sounds_of, timeless
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.test_scenes import plan_of as scene_of

NAMES = sorted(path.stem for path in (Path(__file__).parent.parent / "scenes").glob("*.yaml"))
DUEL = """
scene: A duel
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: (angrily) Draw!
  - bob: After you.
  - ann: Never.
"""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The clock of replays; trio would let those who speak together begin in any order."""
    return "asyncio", VIRTUAL


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path / "house", keeps=False)


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    return tmp_path / "tapes"


async def both(house: Playhouse, plan: Plan, tapes: Path) -> tuple[Take, Take]:
    """A take and its replay, found to be the same."""
    take = await record(house, plan, tapes)
    again = await replay(plan, tapes)
    assert timeless(again.model_dump(mode="json")) == timeless(take.model_dump(mode="json"))
    out = tapes.parent
    assert sounds_of(out / "replayed") == sounds_of(out / "recorded") != {}
    files = [
        {file.name: file.read_bytes() for file in (out / name).rglob("stems/*.wav")}
        for name in ("recorded", "replayed")
    ]
    assert files[0] == files[1]
    return take, again


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "tavern" else [])
        for name in NAMES
        if name != "chat"  # is written, and nobody types here
    ],
)
async def test_a_scene_replays_as_it_was(name: str, house: Playhouse, tapes: Path) -> None:
    """Slow: the tavern is performed twice, and its sounds are packed."""
    take, again = await both(house, scene_of(name), tapes)
    assert take.ended == "complete"
    assert [line.first_audio_s for line in again.lines] == pytest.approx(
        [line.first_audio_s for line in take.lines], abs=0.002
    )
    tape = verify_cassette(tapes / take.scene.slug)
    assert spare_files(tape) == []
    assert len(set(tape.clips.names())) == len(list(tape.path.glob("audio/*")))


async def test_latencies_are_as_they_were(tmp_path: Path, tapes: Path) -> None:
    house = Playhouse(tmp_path / "house", [fault.SlowOpening(1.25)], keeps=False)
    take, again = await both(house, plan_of(DUEL), tapes)
    assert take.players[0].opened_s == again.players[0].opened_s == pytest.approx(1.25)


async def test_what_cuts_in_together_fails_and_is_tried_again_replays(tmp_path: Path, tapes: Path) -> None:
    house = Playhouse(tmp_path / "house", [fault.FailResponses(2), fault.BusyDoor(1)], keeps=False)
    plan = plan_of("""
scene: Everything
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}
lines:
  - ann: I was about to tell you a very long story.
  - bob: Oh no, not again.
    cut_in: {on: ann, after: 400ms}
  - together: [bob: Nobody asks., cid: Nobody listens.]
  - pause: 800ms
  - prompt: {cid: Be brief.}
  - cid: What did they say?
""")
    take, again = await both(house, plan, tapes)
    assert take.lines[0].attempts == again.lines[0].attempts == 3
    assert take.players[0].opening_attempts == again.players[0].opening_attempts == 2


async def test_an_open_microphone_in_real_time_replays_with_what_was_cut(house: Playhouse, tapes: Path) -> None:
    live = """
scene: Live
players:
  guest: {human: sounds/resident.wav, pace: realtime}
  steward: {voice: ash, persona: You talk at length., turn_detection: {type: server_vad, silence: 200ms}}
lines:
  - listen: {player: steward, from: guest, for: 20s}
"""
    take, _ = await both(house, plan_of(live), tapes)
    assert {line.player for line in take.lines} == {"guest", "steward"}


async def test_a_player_who_is_lost_is_lost_again(tmp_path: Path, tapes: Path) -> None:
    house = Playhouse(tmp_path / "house", [fault.Strike("drop", "in_response", visit=2)], keeps=False)
    plan = plan_of(
        DUEL
        + """
on:
  - error: bob
    do: [ann: He is gone.]
limits: {on_lost_player: continue}
"""
    )
    take, again = await both(house, plan, tapes)
    assert "He is gone." in [line.said for line in again.lines]
    assert len(take.lines) == len(again.lines)


async def test_a_player_who_is_opened_again_is_so_again(tmp_path: Path, tapes: Path) -> None:
    house = Playhouse(tmp_path / "house", [fault.Strike("drop", "in_response", visit=2)], keeps=False)
    take, again = await both(house, plan_of(DUEL), tapes)
    assert [line.attempts for line in take.lines] == [line.attempts for line in again.lines]
    assert [line.said for line in take.lines] == [line.said for line in again.lines]
    assert len(take.players[1].sessions) == len(again.players[1].sessions) == 2


# ---- the scene has changed

CHANGES = {
    "a word": ("After you.", "After me.", "line bob-1, player bob: words differ: recorded .*After you.*now .*After me"),
    "a direction": ("(angrily)", "(sadly)", "line ann-1, player ann: words differ: recorded .*angrily.*now .*sadly"),
    "a voice": ("voice: sage", "voice: coral", "player bob: voice differs: recorded 'sage', now 'coral'"),
    "a persona": ("voice: sage", "voice: sage, persona: Shy.", "player bob: instructions differ"),
    "a model": ("scene:", "model: gpt-realtime-2.1\nscene:", "player ann: model differs: .* now 'gpt-realtime-2.1'"),
    "an endpoint": ("scene:", "endpoint: openai\nscene:", "player ann: endpoint differs: .*'understudy', now 'openai'"),
    "a line less": (
        "  - bob: After you.\n",
        "",
        "line bob-1, player ann: conversation differs: recorded the audio of bob-1",
    ),
    "the last line": ("  - ann: Never.\n", "", "line ann-2, player ann: conversation differs: .* now nothing"),
    "a line more": (
        "Never.",
        "Never.\n  - bob: Ever.",
        "player bob: conversation differs: recorded no further events, now",
    ),
    "swapped lines": (
        "ann: (angrily) Draw!\n  - bob: After you.",
        "bob: After you.\n  - ann: (angrily) Draw!",
        "player ann: conversation differs: recorded a new session, now nothing",
    ),
    "a hearer": (
        "After you.",
        "After you.\n    to: []",
        "line bob-1, player ann: conversation differs: recorded the audio of bob-1",
    ),
    "a player": ("bob", "guy", "player guy: player differs: recorded no player with that name, now 'guy'"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_the_scene_is_named(change: str, house: Playhouse, tapes: Path) -> None:
    await record(house, plan_of(DUEL), tapes)
    old, new, told = CHANGES[change]
    assert old in DUEL
    with pytest.raises(CassetteDiffers, match=told):
        await replay(plan_of(DUEL.replace(old, new)), tapes)


async def test_comments_and_titles_of_lines_change_nothing(house: Playhouse, tapes: Path) -> None:
    await record(house, plan_of(DUEL), tapes)
    await replay(plan_of("# Old.\n" + DUEL), tapes)


# ---- cassettes that are not as they should be

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (
        lambda path: _rewrite(path / "ann.jsonl", lambda text: text[: len(text) // 2]),
        "ann.jsonl: is truncated",
    ),
    "edited": (lambda path: _rewrite(path / "ann.jsonl", lambda text: text.replace("Never", "Always")), "was changed"),
    "newer": (
        lambda path: _rewrite(path / "cassette.json", lambda text: text.replace('"cassette": 1', '"cassette": 2')),
        "version 2, but this tau-stage supports version 1",
    ),
    "no manifest": (lambda path: (path / "cassette.json").unlink(), "no cassette found for this scene"),
    "no JSON": (lambda path: (path / "cassette.json").write_text("{"), "is not valid JSON"),
    "another JSON": (lambda path: (path / "cassette.json").write_text("[]"), "is not a valid cassette"),
    "no events": (lambda path: (path / "bob.jsonl").unlink(), "cannot read the events of bob"),
    "a clip lost": (lambda path: shutil.rmtree(path / "audio"), "the clip is missing"),
    "a clip damaged": (
        lambda path: [file.write_bytes(b"fLaC") for file in path.glob("audio/*")],
        "the clip is damaged",
    ),
    "clips not fetched": (
        lambda path: [file.write_text(POINTER) for file in path.glob("audio/*")],
        "flac: is a Git LFS pointer\n  hint: fetch the file with git lfs pull",
    ),
    "events not fetched": (lambda path: (path / "ann.jsonl").write_text(POINTER), "ann.jsonl: is a Git LFS pointer"),
    "no manifest fetched": (lambda path: (path / "cassette.json").write_text(POINTER), "json: is a Git LFS pointer"),
    "a clip swapped": (lambda path: _swap(*sorted(path.glob("audio/*"))[:2]), "its samples do not match its name"),
    "a path outside": (
        lambda path: _rewrite(path / "cassette.json", lambda text: text.replace('"ann.jsonl"', '"../../ann.jsonl"')),
        "is not a valid name of an event file",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_cassette_is_one_clear_message(damage: str, house: Playhouse, tapes: Path) -> None:
    await record(house, plan_of(DUEL), tapes)
    spoil, told = DAMAGES[damage]
    spoil(tapes / plan_of(DUEL).slug)
    with pytest.raises(CassetteError, match=told) as failure:
        await replay(plan_of(DUEL), tapes)
    assert "hint: " in str(failure.value)


def _rewrite(file: Path, change: Callable[[str], str]) -> None:
    file.write_text(change(file.read_text()))


def _swap(one: Path, other: Path) -> None:
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
