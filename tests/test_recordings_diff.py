"""What the understudy sends is what live models sent, but for a list that is written down."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tau_stage.understudy.settings import MODELS, XAI
from tests.recordings_diff import EXPECTED, Player, RecordedDialogue, differences, load, recordings
from tests.support.live_recordings import FOLDER

needs_recordings = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"there are no recordings of live sessions in {FOLDER}: set TAU_STAGE_RECORDINGS"
)


@needs_recordings
@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.name)
async def test_every_difference_from_a_live_model_has_a_reason(recording: RecordedDialogue) -> None:
    found = list(differences(recording, await Player(recording).play()))
    assert [difference for difference in found if difference.reason is None] == []


def test_few_differences_stay() -> None:
    assert len(EXPECTED) <= 5


@needs_recordings
@pytest.mark.parametrize("wrong", [MODELS["gpt-realtime"], XAI])
async def test_another_model_is_told_apart(wrong: object) -> None:
    recording = load(FOLDER / "parity_ws--text_tool_round_parity-openai-current.jsonl")
    other = await Player(recording, profile=wrong).play()  # type: ignore[arg-type]
    found = {difference.where for difference in differences(recording, other)}
    assert {"order", "session.created"} <= found


async def test_a_field_a_value_and_an_event_too_many_are_found(tmp_path: Path) -> None:
    event = {"type": "session.created", "session": {"model": "gpt-realtime", "voice": "ash"}}
    (tmp_path / "openai_ws--x.jsonl").write_text(json.dumps({"dir": "received", "event": event}))
    recording = load(tmp_path / "openai_ws--x.jsonl")
    assert recording.profile == MODELS["gpt-realtime"]
    (created,) = recording.received
    assert list(differences(recording, [created])) == []
    changed = created | {"session": {"model": None, "voice": "marin", "speed": 1}}
    told = [difference.what for difference in differences(recording, [changed, {"type": "ping"}])]
    assert told == [
        "only the understudy sends it",
        "session.model is null, at the model text",
        "only the understudy has session.speed",
        'session.voice is "marin", at the model "ash"',
    ]
    assert replace(recording, is_excerpt=True).is_excerpt
