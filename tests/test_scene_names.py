"""Which voice is asked for, which names are taken for misspelt ones, and what is said of unknown ones."""

import re

import pytest

from tau_stage.errors import SceneError
from tau_stage.scene.load import parse_scene
from tau_stage.scene.names import (
    ELSEWHERE,
    VOICES,
    default_voice,
    is_known,
    key_meant,
    kind_of,
    misspelt,
    nearest,
    ranked,
    shortened,
    voice_problem,
    voice_warning,
)
from tau_stage.scene.planner import make_plan


def voice_at(endpoint: str, player: str = "") -> str:
    scene = f"endpoint: {endpoint}\nplayers: {{ann: {{{player}}}}}\nlines: [ann: Hello.]\n"
    return make_plan(parse_scene(scene)).players[0].voice


@pytest.mark.parametrize(
    ("endpoint", "voice"),
    [
        ("openai", "marin"),
        ("azure", "marin"),
        ("xai", "ara"),
        ("vllm", ""),
        ("ws://127.0.0.1:8000", "marin"),
        ("xai+ws://127.0.0.1:8000", "ara"),
        ("vllm+wss://host", ""),
        ("ga+ws://host", "marin"),
    ],
)
def test_the_voice_of_who_names_none(endpoint: str, voice: str) -> None:
    assert voice_at(endpoint) == voice
    assert voice_at(endpoint, "voice: voice_mine") == "voice_mine"


def test_default_voices_are_known() -> None:
    for endpoint in VOICES:
        assert is_known(default_voice(endpoint), endpoint)


@pytest.mark.parametrize(("endpoint", "voice"), [("openai", "marinn"), ("openai", "Marin"), ("xai", "zenit")])
def test_a_misspelt_voice_is_an_error_that_says_what_was_meant(endpoint: str, voice: str) -> None:
    with pytest.raises(SceneError, match=f"{endpoint} has no voice '{voice}'") as error:
        voice_at(endpoint, f"voice: {voice}")
    assert error.value.hint.startswith(f"did you mean '{misspelt(voice, endpoint)}'?")


def test_without_an_endpoint_a_voice_of_any_known_one_is_possible() -> None:
    def plan(voice: str) -> None:
        make_plan(parse_scene(f"players: {{ann: {{voice: {voice}}}}}\nlines: [ann: Hello.]\n"))

    plan("rex")
    assert voice_warning("rex", None).startswith("'rex' is a voice of xai: write 'endpoint: xai'")
    assert voice_problem("ash", "openai") == ("", "")
    for voice in ("Marin", "robot"):
        assert voice_problem(voice, "openai")[0] == f"openai has no voice '{voice}'"
        with pytest.raises(SceneError, match=f"openai has no voice '{voice}'"):
            plan(voice)


@pytest.mark.parametrize(
    ("endpoint", "voice"), [("xai", "Rex"), ("xai", "quincy"), ("speaches", "af_heart"), ("openai", "voice_marinn")]
)
def test_other_voices_are_possible_where_not_all_are_known(endpoint: str, voice: str) -> None:
    assert voice_at(endpoint, f"voice: {voice}") == voice
    assert misspelt(voice, endpoint) == ""
    warning = voice_warning(voice, endpoint)
    assert bool(warning) == (voice == "quincy")
    assert not warning or warning.startswith("'quincy' is not a known voice of xai; known voices: altair, ara,")


@pytest.mark.parametrize(
    ("endpoint", "problem", "hint"),
    [
        ("xia+ws://host", "unknown kind of server 'xia'", "did you mean 'xai'?"),
        ("+ws://host", "this endpoint is not a valid address", "for example: wss://host/v1/realtime"),
        ("xai+ws://me:pass@host", "an address in a scene must not contain a key", "set the key in the environment"),
    ],
)
def test_an_address_is_like_a_server_that_is_known(endpoint: str, problem: str, hint: str) -> None:
    with pytest.raises(SceneError, match=problem) as error:
        voice_at(f"'{endpoint}'")
    assert error.value.hint.startswith(hint)


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_key_that_stands_elsewhere_is_shown_there(key: str) -> None:
    shown = re.search(r"for example (\w+: \{.*\})", ELSEWHERE[key])
    assert shown
    top, scene = shown[1], "players: {%s, bob: }\nlines: [ann: Hello.]\n"
    parse_scene(scene % top if top.startswith("ann: ") else f"{top}\n{scene % 'ann: '}")
    with pytest.raises(SceneError, match=f"unknown key '{key}'") as error:
        parse_scene(f"{key}: x\n{scene % 'ann: '}")
    assert error.value.hint == ELSEWHERE[key]


def test_an_address_says_what_its_server_is_like() -> None:
    assert [*map(kind_of, ("xai+wss://host/v1", "xai", "wss://host/v1"))] == ["xai", "xai", ""]


@pytest.mark.parametrize(("word", "near"), [("voise", "voice"), ("cut_in", "")])
def test_the_nearest_word(word: str, near: str) -> None:
    assert nearest(word, ["voice", "persona"]) == near


def test_the_likeliest_words_come_first() -> None:
    assert ranked("wate", ["voice", "note", "gate"]) == ["gate", "note", "voice"]


@pytest.mark.parametrize(("key", "meant"), [("title", "scene"), ("voise", "voice"), ("x", "")])
def test_the_option_that_an_unknown_key_means(key: str, meant: str) -> None:
    assert key_meant(key, ["voice", "scene"]) == meant


def test_a_short_name_stays_and_a_long_one_has_sixty_characters() -> None:
    assert shortened("calm-oslo") == "calm-oslo"
    assert shortened("a" * 61) == f"{'a' * 51}-35d5fc17"
