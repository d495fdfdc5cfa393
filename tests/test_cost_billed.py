"""What is forecast is near what the understudy then bills, with the real voices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tau_stage.audio.pcm import RATE
from tau_stage.cost import Cost
from tau_stage.cost.forecasting import Forecast, forecast
from tau_stage.protocol.usage import Usage
from tau_stage.scene.load import load_scene, parse_scene
from tau_stage.scene.plan import Plan
from tau_stage.scene.planner import make_plan
from tau_stage.stage.performance import perform
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import Bills
from tau_stage.take.journal import read_journal
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.delivery import plan_speech
from tau_stage.understudy.server import Understudy
from tau_stage.understudy.settings import profile_named
from tau_stage.understudy.voices import Voices
from tests.test_stage_perform import stage_for

SCENES = Path(__file__).parent.parent / "scenes"


DUEL = """
direction: Speak each line exactly as written.
players:
  ann: {voice: ash, label_speakers: true}
  ben: {voice: marin, hears_as: text, label_speakers: true, accent: Welsh}
  cid: {voice: sage, hears: [ann]}
lines:
  - prompt: {cid: "You have been waiting for an hour, and you are cold."}
  - ann: I walked all the way from the harbour, and nobody, not one person, asked me where I was going.
  - ben: (quickly) Quick, hide the letters before she comes back! They are in the drawer.
  - cid: (slowly) There is nothing here that you would want to see.
    takes: 3
  - ann: Once upon a time there was a king who had three daughters, and the youngest was so beautiful.
  - ben: Listen to me... we haven't got much *time*. [sighs] Who would have thought?
    cut_in: {after: 2s}
  - ann: Of course I know where it is.
    conversation: none
  - cid: She never came back. We waited until the lamps went out.
    to: [ben]
  - ann: Thank you, that would be lovely.
  - together:
      - ben: Good morning to you.
      - cid: Get out of my house!
  - ann: The committee has considered your application with great care.
"""

pytestmark = pytest.mark.slow


class Aloud:
    """Speaks with the real voices, and in no thread: a virtual clock would not wait for it."""

    def __init__(self) -> None:
        self.voices = Voices()

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        performance = plan_speech(request)
        return SpokenLine(performance.transcript, self.voices.speak(performance, request.voice))


@pytest.fixture(scope="module")
def house() -> Understudy:
    """Slow: the engine takes half a second to load, and every line is spoken."""
    return Understudy(Aloud())


def read(usage: Usage) -> int:
    return usage.text_in + usage.audio_in + usage.cached_text_in + usage.cached_audio_in


def spoken(usage: Usage) -> int:
    return usage.text_out + usage.audio_out


def billed(folder: TakeFolder) -> dict[str, Cost]:
    """What each player used, from the journal."""
    return Bills(read_journal(folder.journal)).by_player


def ratios(told: Forecast, paid: dict[str, Cost]) -> Iterator[float]:
    """Forecast over billed: what is read and what is spoken, by player and in all."""
    pairs = [(player.cost.likely, paid[player.name]) for player in told.players]
    for ours, theirs in [*pairs, (told.cost.likely, sum(paid.values(), Cost()))]:
        yield round(read(ours.tokens) / read(theirs.tokens), 3)
        yield round(spoken(ours.tokens) / spoken(theirs.tokens), 3)


def plan_of(scene: str) -> Plan:
    if scene == "duel":
        return make_plan(parse_scene(DUEL, "duel.yaml"))
    return make_plan(load_scene(SCENES / f"{scene}.yaml"))


@pytest.mark.parametrize("scene", ["umbrella", "monologue", "hello", "duel"])
async def test_tokens_are_within_a_quarter_of_what_is_billed(house: Understudy, scene: str, tmp_path: Path) -> None:
    plan = plan_of(scene)
    told = forecast(plan)
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "a")
    take = await perform(plan, stage_for(house), folder)
    assert take.ended == "complete", take.problem
    paid = billed(folder)
    found = list(ratios(told, paid))
    assert all(0.75 < ratio < 1.25 for ratio in found), found
    assert 0.75 < told.seconds.likely * RATE / take.samples < 1.25
    total, least, most = take.cost.total, told.cost.low.total, told.cost.high.total
    assert total is not None
    assert least is not None
    assert most is not None
    assert least < total < most


async def test_text_is_foreseen_to_the_token(house: Understudy, tmp_path: Path) -> None:
    plan = plan_of("umbrella")
    told = forecast(plan)
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "a")
    await perform(plan, stage_for(house), folder)
    paid = billed(folder)
    for player in told.players:
        ours, theirs = player.cost.likely.tokens, paid[player.name].tokens
        assert (ours.text_in, ours.cached_text_in) == (theirs.text_in, theirs.cached_text_in)
        assert abs(ours.text_out - theirs.text_out) <= 8 * player.lines  # what is thought before a line is 15 to 30


async def test_the_plan_of_umbrella_is_within_a_tenth_of_what_a_current_model_bills(tmp_path: Path) -> None:
    plan = plan_of("umbrella")
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "a")
    await perform(plan, stage_for(Understudy(Aloud(), profile=profile_named("gpt-realtime-2.1"))), folder)
    ours = forecast(plan).cost.likely.tokens
    theirs = sum(billed(folder).values(), Cost()).tokens
    for kind in ("text_in", "audio_in", "cached_text_in", "cached_audio_in", "text_out", "audio_out"):
        assert abs(getattr(ours, kind) / getattr(theirs, kind) - 1) <= 0.1, kind
