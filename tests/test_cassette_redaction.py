"""What a cassette must not hold."""

from __future__ import annotations

from tau_stage.cassette.redaction import Redactor, secrets_in


def test_ids_of_the_provider_are_numbered_and_those_of_the_client_stay() -> None:
    redactor = Redactor("clerk")
    ask = {"event_id": "say_1", "type": "conversation.item.create", "item": {"id": "line_1", "type": "message"}}
    assert redactor.redact_sent(ask) == ask
    added = {"type": "conversation.item.added", "previous_item_id": "item_Zx9", "item": {"id": "line_1"}}
    assert redactor.redact_received(added) == added | {"previous_item_id": "item_clerk_1"}
    done = {"type": "response.done", "response": {"id": "resp_Q", "output": [{"id": "item_Zx9"}, {"id": "item_New"}]}}
    assert redactor.redact_received(done)["response"] == {
        "id": "resp_clerk_1",
        "output": [{"id": "item_clerk_1"}, {"id": "item_clerk_2"}],
    }
    cut = {"event_id": "tau_evt_3", "type": "conversation.item.truncate", "item_id": "item_Zx9", "audio_end_ms": 4}
    assert redactor.redact_sent(cut)["item_id"] == "item_clerk_1"
    called = {"type": "response.function_call_arguments.done", "call_id": "call_77", "arguments": "{}"}
    assert redactor.redact_received(called)["call_id"] == "call_clerk_1"
    answer = {"item": {"id": "tau_item_1", "type": "function_call_output", "call_id": "call_77", "output": "{}"}}
    assert redactor.redact_sent(answer)["item"]["call_id"] == "call_clerk_1"


def test_a_provider_s_sentences_lose_keys_and_organisations_and_words_lose_nothing() -> None:
    redactor = Redactor("clerk", {"hunter2secret"})
    error = {
        "type": "error",
        "event_id": "event_1",
        "error": {
            "code": "item_truncate_invalid_item_id",
            "event_id": "tau_evt_1",
            "message": "Rate limit for gpt in organization org-AbC123xyz, project proj_9aZ8, key sk-proj-Ab_12**34, "
            "request req_0123456789 and hunter2secret; see session sess_Unknown1.",
        },
    }
    told = redactor.redact_received(error)
    assert "event_id" not in told
    assert told["error"]["event_id"] == "tau_evt_1"
    assert told["error"]["code"] == "item_truncate_invalid_item_id"
    for private in ("AbC123", "9aZ8", "Ab_12", "0123456789", "hunter2", "Unknown1"):
        assert private not in str(told)
    words = {"type": "response.output_audio_transcript.delta", "delta": "a user-friendly key-holder says sk-eleton"}
    assert redactor.redact_received(words) == words
    assert redactor.redact_received(words | {"delta": "hunter2secret"})["delta"] == "<redacted>"


def test_what_is_new_each_time_is_left_out() -> None:
    told = Redactor("a").redact_received(
        {"type": "session.created", "session": {"id": "s", "expires_at": 9, "client_secret": {}}}
    )
    assert told == {"type": "session.created", "session": {"id": "sess_a_1"}}


def test_secrets_are_the_keys_hosts_and_organisations_of_the_environment() -> None:
    environment = {
        "OPENAI_API_KEY": "sk-1234567",
        "OPENAI_ORG_ID": "org-7654321",
        "AZURE_OPENAI_ENDPOINT": "me.azure.com",
    }
    assert secrets_in(environment | {"PATH": "/usr/bin", "XAI_API_KEY": "x"}) == set(environment.values())
