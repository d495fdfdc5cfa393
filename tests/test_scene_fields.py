"""Fields of a scene made in Python, and what each refuses."""

from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter, ValidationError

from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.scene.fields import DocumentedSchema
from tau_stage.scene.model import Line, Player, Scene, SpeechEvent, ToolDefinition
from tau_stage.scene.names import VOICES


def test_a_scene_can_be_made_in_python() -> None:
    scene = Scene(
        title="Duet",
        pause=0.5,
        players={"ann": Player(voice="ash", speed=0.9, hears=("ben",)), "ben": Player()},
        lines=(Line(speaker="ann", text="Hello", to=("ben",)),),
    )
    assert (scene.pause, scene.players["ann"].hears) == (0.5, ("ben",))


@pytest.mark.parametrize(
    "field",
    [
        {"endpoint": "wss://me:secret@host"},
        {"endpoint": "wss://host/?token=x"},
        {"endpoint": "ws://host:99999"},
        {"endpoint": "ws://ho st/"},
        {"endpoint": "nowhere"},
        {"model": ""},
        {"output": "smell"},
        {"hears": 7},
        {"voize": "ash"},
        {"turn_detection": 7},
        {"tools": 7},
    ],
)
def test_a_player_refuses(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Player.model_validate(field)


@pytest.mark.parametrize("value", ["a", "A-1", "x.y_z", "7", "a" * 64])
def test_ids_that_may_name_files(value: str) -> None:
    assert Line(speaker="ann", text="hi", id=value).id == value


@pytest.mark.parametrize("value", ["", "-a", ".a", "a/b", "a b", "ä", "a" * 65, "a."])
def test_ids_that_may_not(value: str) -> None:
    with pytest.raises(ValidationError):
        Line(speaker="ann", text="hi", id=value)


def test_every_endpoint_we_can_reach_can_be_named() -> None:
    assert ENDPOINTS.keys() <= VOICES.keys()


def test_what_a_tool_made_in_python_returns_stays_as_it_is() -> None:
    assert ToolDefinition(returns={"n": 5, "s": None}).returns == {"n": 5, "s": None}


@pytest.mark.parametrize("words", [7, "(", "(" * 5000 + ")" * 5000, ""])
def test_what_is_said_is_a_pattern(words: object) -> None:
    with pytest.raises(ValidationError):
        SpeechEvent.model_validate({"words": words})


def test_an_odd_pattern_is_taken_without_a_warning() -> None:
    assert SpeechEvent(words="[[a]").words == "[[a]"


@dataclass
class Spot:
    """A place on a stage.

    Attributes:
        left: Metres from the ``left`` wall.
    """

    left: float


def test_the_schema_of_a_dataclass_describes_its_attributes() -> None:
    made = TypeAdapter(Spot).json_schema(schema_generator=DocumentedSchema)
    assert made["description"] == "A place on a stage."
    assert made["properties"]["left"]["description"] == "Metres from the 'left' wall."
