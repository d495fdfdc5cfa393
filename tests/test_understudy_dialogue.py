"""One session's state, fed with plain events."""

from __future__ import annotations

import gc
import json
from typing import Any

import pybase64
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.protocol.items import ContentPart, Item
from tau_stage.understudy.dialogue import LONGEST_APPEND, Dialogue
from tau_stage.understudy.settings import new_session
from tau_stage.understudy.stored_items import RECENT, ItemStore, StoredItem
from tests.support.memory_server import MODEL

TENTH = pybase64.b64encode(bytes(4800)).decode()


def answers(dialogue: Dialogue, kind: str, **fields: Any) -> list[dict[str, Any]]:
    reply = dialogue.take(json.dumps({"type": kind, **fields}).encode())
    return [json.loads(event.encode()) for event in reply.events]


@pytest.fixture
def dialogue() -> Dialogue:
    return Dialogue(1, new_session("sess_1", MODEL, 0))


def test_sound_is_committed_as_it_was_appended_from_a_tenth_of_a_second_on(dialogue: Dialogue) -> None:
    pieces = [pybase64.b64encode(bytes([n, 0]) * 1200).decode() for n in (1, 2)]
    assert answers(dialogue, "input_audio_buffer.append", audio=pieces[0]) == []
    (refused,) = answers(dialogue, "input_audio_buffer.commit")
    assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
    assert "only has 50.00ms" in refused["error"]["message"]
    answers(dialogue, "input_audio_buffer.append", audio=pieces[1])
    committed, added, done = answers(dialogue, "input_audio_buffer.commit")
    assert committed["item_id"] == added["item"]["id"] == done["item"]["id"]
    (told,) = answers(dialogue, "conversation.item.retrieve", item_id=committed["item_id"])
    assert pybase64.b64decode(told["item"]["content"][0]["audio"]) == bytes([1, 0]) * 1200 + bytes([2, 0]) * 1200
    (refused,) = answers(dialogue, "input_audio_buffer.commit")
    assert "only has 0.00ms" in refused["error"]["message"]


def test_one_append_has_a_limit(dialogue: Dialogue) -> None:
    (refused,) = answers(dialogue, "input_audio_buffer.append", audio="A" * (LONGEST_APPEND + 4))
    assert (refused["error"]["code"], refused["error"]["param"]) == ("string_above_max_length", "audio")
    assert dialogue.input.duration_s == 0


def test_bad_sound_in_a_responses_own_input_is_found_where_it_is(dialogue: Dialogue) -> None:
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    heard = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAA"}]}
    (refused,) = answers(dialogue, "response.create", event_id="evt_1", response={"input": [said, heard]})
    assert refused["error"]["param"] == "response.input[1].content[0].audio"
    assert refused["error"]["event_id"] == "evt_1"
    assert not dialogue.running


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_only_sound_of_the_model_is_truncated(dialogue: Dialogue, role: str) -> None:
    part = {"type": "input_audio", "audio": TENTH} if role == "user" else {"type": "output_text", "text": "x"}
    answers(dialogue, "conversation.item.create", item={"id": "a", "type": "message", "role": role, "content": [part]})
    (refused,) = answers(dialogue, "conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=1)
    assert refused["error"]["code"] == "unsupported_content_type"


def test_an_update_with_the_same_model_passes(dialogue: Dialogue) -> None:
    (told,) = answers(dialogue, "session.update", session={"type": "realtime", "model": MODEL, "instructions": "Low."})
    assert (told["type"], told["session"]["instructions"]) == ("session.updated", "Low.")


def test_what_several_players_hear_is_kept_once_and_no_event_is_kept() -> None:
    store, known = ItemStore(), sum(type(found) in (Item, ContentPart) for found in gc.get_objects())
    players = [Dialogue(number, new_session("sess_1", MODEL, 0), store=store) for number in range(12)]
    for line in range(RECENT + 6):
        part = {"type": "input_audio", "audio": pybase64.b64encode(bytes([line, 0]) * 1200).decode()}
        item = {"type": "message", "role": "user", "id": f"heard_{line}", "content": [part]}
        for player in players:
            answers(player, "conversation.item.create", item=item)
    kept = [{id(player.items[f"heard_{line}"]) for player in players} for line in range(RECENT + 6)]
    assert {len(same) for same in kept} == {1}
    gc.collect()
    assert sum(type(found) in (Item, ContentPart) for found in gc.get_objects()) <= known
    for line in (0, RECENT + 5):
        (told,) = answers(players[-1], "conversation.item.retrieve", item_id=f"heard_{line}")
        assert pybase64.b64decode(told["item"]["content"][0]["audio"]) == bytes([line, 0]) * 1200


def test_an_item_that_one_player_truncates_stays_whole_for_the_others() -> None:
    one, other = (StoredItem.of(Item(id="i", role="assistant"), Pcm.silence(4800)) for _ in range(2))
    store = ItemStore()
    kept, same = store.keep(one), store.keep(other)
    assert kept is same
    cut = kept.truncated(2400)
    assert (len(cut.audio or ()), len(same.audio or ())) == (2400, 4800)
    assert cut.cost != same.cost
