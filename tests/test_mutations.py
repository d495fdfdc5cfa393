"""Whatever changes in a performance is found, at its line and its place in the scene: 20 kinds of change."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.checks.verdict import Verdict
from tests.support.rehearsed_scene import Rehearsal, rehearse

pytestmark = pytest.mark.anyio

SCENE = """scene: The lamp
players:
  ann:
    voice: ash
    accent: soft Irish
  bob:
    voice: coral
  cid:
    voice: verse
tools:
  lamp: {description: The listener wants the lamp on., returns: {ok: true}}
lines:
  - ann: Good evening, and welcome to the lighthouse.
  - bob: (drily) The lamp is out again.
    to: [ann, cid]
    tool_choice: lamp
  - cid: Shall we call the keeper, or wait for the morning?
    pause: 800ms
  - sfx: sounds/door.wav
  - ann: He will not like it at all.
  - bob: Then let him sleep.
on:
  - said: keeper
    do:
      - bob: Somebody is on the stairs.
"""


def edited(old: str, new: str) -> Callable[[Rehearsal], str]:
    """A change of the scene's text."""
    assert SCENE.count(old) == 1, old
    return lambda _: SCENE.replace(old, new)


def quieter(sound: Pcm) -> Pcm:
    return Pcm.from_array(sound.array / 32767 * 10 ** (-3 / 20))


def clipped(sound: Pcm) -> Pcm:
    return Pcm.from_array(np.clip(sound.array / 32767 * 8, -1, 1))


def slower(sound: Pcm) -> Pcm:
    places = np.arange(0, len(sound) - 1, 1 / 1.3)
    return Pcm.from_array(np.interp(places, np.arange(len(sound)), sound.array).astype(np.int16))


def halting(sound: Pcm) -> Pcm:
    middle = len(sound) // 2
    return Pcm.join([sound[:middle], Pcm.silence(RATE), sound[middle:]])


def recast(sound: Pcm) -> Pcm:
    times = np.arange(len(sound)) / RATE
    return Pcm.from_array(0.2 * np.sin(2 * np.pi * 97 * times))


def sounding(name: str, change: Callable[[Pcm], Pcm]) -> Callable[[Rehearsal], Rehearsal]:
    return lambda accepted: accepted.heard(name, change)


def dearer(accepted: Rehearsal) -> Rehearsal:
    cost = accepted.line("ann-2").cost
    assert cost.total
    return accepted.told("ann-2", {"cost": cost.model_copy(update={"total": cost.total * Decimal(2)})})


def later(accepted: Rehearsal) -> Rehearsal:
    return accepted.told("cid-1", {"first_audio_s": (accepted.line("cid-1").first_audio_s or 0) + 1.0})


def silenced(accepted: Rehearsal) -> Rehearsal:
    return accepted.told("bob-2", {"said": ""}).heard("bob-2", lambda sound: Pcm.silence(len(sound)))


SWAPPED = SCENE.replace(
    "  - ann: He will not like it at all.\n  - bob: Then let him sleep.\n",
    "  - bob: Then let him sleep.\n  - ann: He will not like it at all.\n",
)
CORAL = "    voice: coral\n"
Mutation = Callable[[Rehearsal], str | Rehearsal]

MUTATIONS: dict[str, tuple[Mutation, str, str, str]] = {
    "a word changed": (edited("call the keeper", "wake the keeper"), "cid-1", "said", "- cid: Shall"),
    "two lines swapped": (lambda _: SWAPPED, "bob-2", "place", "- bob: Then"),
    "a voice recast": (edited("voice: verse", "voice: sage"), "cid-1", "voice", "voice: sage"),
    "a voice recast, unnoticed by the scene": (sounding("cid-1", recast), "cid-1", "voice", "voice: verse"),
    "a hearer removed": (edited("to: [ann, cid]", "to: [ann]"), "bob-1", "heard_by", "to: [ann"),
    "3 dB quieter": (sounding("ann-1", quieter), "ann-1", "loudness", "- ann: Good"),
    "a clipped line": (sounding("ann-2", clipped), "ann-2", "clipping", "- ann: He"),
    "30 % slower": (sounding("cid-1", slower), "cid-1", "rate", "- cid: Shall"),
    "a tool no longer called": (edited("    tool_choice: lamp\n", ""), "bob-1", "calls", "- bob: (drily)"),
    "a direction changed": (edited("(drily)", "(wearily)"), "bob-1", "direction", "- bob: (wearily)"),
    "a cost doubled": (dearer, "ann-2", "cost", "- ann: He"),
    "a line emptied": (silenced, "bob-2", "said", "- bob: Then"),
    "a line added": (edited("  - bob: Then", "  - cid: So be it.\n  - bob: Then"), "cid-2", "line", "- cid: So"),
    "a line removed": (edited("  - ann: He will not like it at all.\n", ""), "ann-2", "line", "- cid: Shall"),
    "a pause changed": (edited("pause: 800ms", "pause: 1s"), "cid-1", "pause", "pause: 1s"),
    "an accent changed": (edited("soft Irish", "broad Scottish"), "ann-1", "accent", "accent: "),
    "a model changed": (edited(CORAL, CORAL + "    model: gpt-realtime-2.1\n"), "bob-1", "model", "model: "),
    "a sound effect removed": (edited("  - sfx: sounds/door.wav\n", ""), "cid-1", "sound", "- cid: Shall"),
    "a longer silence": (sounding("ann-2", halting), "ann-2", "silence", "- ann: He"),
    "later first audio": (later, "cid-1", "first_audio", "- cid: Shall"),
    "a cue that no longer fires": (edited("said: keeper", "said: king"), "cue-1-bob-1", "started", "- said: king"),
}  # fmt: skip


def test_there_are_twenty_kinds() -> None:
    assert len({name.partition(",")[0] for name in MUTATIONS}) == 20


ACCEPTED: list[Rehearsal] = []
"""Performed once for all tests."""


async def accepting(tmp_path: Path) -> Rehearsal:
    if not ACCEPTED:
        ACCEPTED.append((await rehearse(SCENE, tmp_path)).on("openai"))
    return ACCEPTED[0]


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_change_is_found_at_its_line_and_place_and_no_other_line_is_named(name: str, tmp_path: Path) -> None:
    """But that silence before the next line may be another, all lines of a dearer model cost more, and what stood
    after a line that has moved stands after another."""
    change, line, what, place = MUTATIONS[name]
    accepted = await accepting(tmp_path)
    changed = change(accepted)
    performed = await rehearse(changed, tmp_path) if isinstance(changed, str) else changed
    verdicts = performed.check(accepted.snapshot())
    failed = [verdict for verdict in verdicts if verdict.outcome == "failed"]
    found = [verdict for verdict in failed if line in verdict.lines and verdict.what == what]
    text = changed if isinstance(changed, str) else SCENE
    at = next((row, 1 + each.index(place)) for row, each in enumerate(text.splitlines(), 1) if place in each)
    at = (at[0], at[1] + 2 * place.startswith("- "))
    assert {(each.path, each.line, each.column) for each in found} == {(performed.plan.path, *at)}, told(failed)
    others = [each for each in failed if line not in each.lines and each.what not in ("dead_air", "cost", "place")]
    assert others == [], told(others)
    assert [verdict for verdict in verdicts if verdict.outcome == "error"] == []


def told(verdicts: list[Verdict]) -> str:
    return "\n".join(f"{verdict.what}: {verdict} {verdict.lines}" for verdict in verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.soak)])
async def test_without_a_change_it_passes_each_time(tmp_path: Path, times: int) -> None:
    """Slow: each time is a performance."""
    snapshot = (await accepting(tmp_path)).snapshot()
    for _ in range(times):
        verdicts = (await rehearse(SCENE, tmp_path)).check(snapshot)
        assert len(verdicts) > 80
        assert [str(verdict) for verdict in verdicts if not verdict.passed] == []
