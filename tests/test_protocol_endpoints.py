"""Endpoints are data: where to dial and how a key travels."""

import re

import pytest

from tau_stage.errors import UsageError
from tau_stage.protocol.dialects import BETA, DIALECTS
from tau_stage.protocol.endpoints import BETA_HEADER, ENDPOINTS, Opening, endpoint
from tau_stage.scene.names import KINDS, OPENAI_VOICES, VOICES
from tau_stage.understudy.voices import TIMBRES


@pytest.mark.parametrize("resource", ["https://stage.openai.azure.com/", "stage.openai.azure.com"])
def test_azure_dials_the_users_own_resource_with_the_deployment_as_model(resource: str) -> None:
    address = ENDPOINTS["azure"].address("my deployment", resource)
    assert address == "wss://stage.openai.azure.com/openai/v1/realtime?model=my%20deployment"


def test_a_url_without_a_path_gets_the_usual_one() -> None:
    assert endpoint("ws://localhost:8000").address("m") == "ws://localhost:8000/v1/realtime?model=m"


def test_openai_takes_a_bearer_key_and_no_beta_header() -> None:
    assert ENDPOINTS["openai"].headers("k") == {"Authorization": "Bearer k"}


def test_without_a_key_or_where_none_is_wanted_nothing_is_sent() -> None:
    assert ENDPOINTS["openai"].headers(None) == {}
    assert ENDPOINTS["understudy"].headers("k") == {}


def test_a_name_that_is_no_endpoint_is_unknown() -> None:
    with pytest.raises(KeyError):
        endpoint("opensesame")


def test_every_endpoint_says_where_its_facts_come_from() -> None:
    assert all(place.source for place in ENDPOINTS.values())


def test_every_endpoint_that_a_scene_can_name_can_be_dialled_and_its_voices_are_told() -> None:
    assert VOICES.keys() == ENDPOINTS.keys()
    assert set(OPENAI_VOICES) == set(TIMBRES)


def test_inworld_is_dialled_with_an_id_of_our_own_and_its_key_is_no_bearers() -> None:
    place = ENDPOINTS["inworld"]
    first, second = place.address("openai/gpt-4.1-mini"), place.address("openai/gpt-4.1-mini")
    assert re.fullmatch(r"wss://api\.inworld\.ai/api/v1/realtime/session\?key=\w{32}&protocol=realtime", first)
    assert first != second
    assert place.headers("k") == {"Authorization": "Basic k"}
    assert place.names_model_in_session


def test_an_endpoint_says_what_it_sends_when_it_opens_and_of_an_address_that_is_not_known() -> None:
    assert ENDPOINTS["openai"].opening == Opening("session.created", confirms=True, is_known=True)
    assert ENDPOINTS["xai"].opening.greeting == "conversation.created"
    assert not ENDPOINTS["vllm"].opening.confirms
    assert not endpoint("ws://localhost:8000").opening.is_known


@pytest.mark.parametrize("kind", [*ENDPOINTS, *DIALECTS])
def test_an_address_may_say_what_its_server_is_like(kind: str) -> None:
    place = endpoint(f"{kind}+wss://host:9/v1/realtime?tenant=x&key=0123")
    like = ENDPOINTS.get(kind)
    assert place.dialect == (like.dialect if like else DIALECTS[kind])
    assert place.name == f"{kind}+wss://host:9/v1/realtime?tenant=x&key=[key]"
    assert place.address("m").startswith("wss://host:9/v1/realtime?tenant=x&key=0123")
    assert (
        place.key_in({"TAU_STAGE_API_KEY": "mine", **dict.fromkeys(like.key_env if like else (), "theirs")}) == "mine"
    )
    assert not place.opening.is_known
    if like:
        assert (place.auth, place.heard_rate, place.cap_s) == (like.auth, like.heard_rate, like.cap_s)
    assert (place.extra_headers == BETA_HEADER) is (place.dialect is BETA)
    assert kind in KINDS


@pytest.mark.parametrize("name", ["klingon+wss://host", "+wss://host", "XAI+wss://host"])
def test_a_kind_of_server_that_is_none_is_unknown(name: str) -> None:
    with pytest.raises(KeyError):
        endpoint(name)


@pytest.mark.parametrize("name", ["ftp://host", "xai+ftp://host", "xai+http://host", "xai+wss://", "xai+wss://host:0"])
def test_an_address_of_another_scheme_cannot_be_dialled(name: str) -> None:
    with pytest.raises(UsageError, match="cannot connect to"):
        endpoint(name)


def test_a_plus_in_a_path_is_no_kind() -> None:
    assert endpoint("ws://host/a+b").address("m") == "ws://host/a+b?model=m"


def test_some_servers_can_speak_a_text_as_it_stands() -> None:
    assert {name for name, place in ENDPOINTS.items() if place.speaks_verbatim} == {"xai", "azure-voice-live"}
    assert endpoint("xai+ws://host").speaks_verbatim
    assert not endpoint("xai+ws://host", "ga").speaks_verbatim
    assert not endpoint("ws://host").speaks_verbatim
