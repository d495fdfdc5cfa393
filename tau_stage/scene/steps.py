"""The steps of a scene: lines, and all that is not a player's line."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from tau_stage.scene.conditions import When
from tau_stage.scene.expect import Expect
from tau_stage.scene.fields import (
    SCALAR,
    Apart,
    Comments,
    Count,
    Dollars,
    Effort,
    Gain,
    Hearing,
    Id,
    Metadata,
    Name,
    Names,
    Order,
    Output,
    Pick,
    Regex,
    Seconds,
    Span,
    Takes,
    Text,
    Tokens,
    ToolChoice,
    Transcription,
    Truth,
)
from tau_stage.scene.part import IGNORED, Part, Placed


class Step(Placed):
    """What all steps share."""

    when: When = Field(None, description="Performed only if this has happened or holds; else left out.")


class CutIn(Part):
    """How a line cuts into another player's."""

    on: Name | None = Field(
        None, description="Whose line is cut: the player who speaks just before, or that line's id."
    )
    after: Seconds = Field(1.0, description="How much of it is heard before this line begins, like 900ms. Default: 1s.")
    overlap: Seconds = Field(0.2, description="How long both are heard, until the other stops. Default: 200ms.")


class Line(Step):
    """One line: the speaker is the key, the words are the value, everything else is optional."""

    model_config = ConfigDict(
        json_schema_extra={
            **IGNORED,
            "minProperties": 1,
            "additionalProperties": {
                **SCALAR,
                "description": "The speaker's name, and the words: (how to say it) what to say [a moment] *stressed*.",
            },
        }
    )

    speaker: SkipJsonSchema[str] = Field(exclude=True, description="Who speaks: the key.")
    words: SkipJsonSchema[str] = Field(exclude=True, description="What to say: the value, without its direction.")
    improvise: Text | None = Field(None, description="Instead of words: what to answer to, in character; may be empty.")
    direction: Text | None = Field(None, description="How to say the whole line; never spoken.")
    id: Id | None = Field(None, description="A name for this line, used in files. Default: player and ordinal.")
    to: Hearing | None = Field(None, description="Who hears this line: everyone, nobody, or names.")
    pause: Seconds | None = Field(None, description="Silence after this line, like 800ms. Default: the scene's.")
    cut_in: CutIn | None = Field(None, description="Starts over the line before, which is cut: {on: clerk, after: 1s}.")
    takes: Takes = Field(1, description="How often the line is performed; one of them is picked. Default: 1.")
    pick: Pick | None = Field(
        None, description="closest (to the words, the default), first, shortest, or ask. The others are kept beside it."
    )
    timeout: Seconds | None = Field(None, description="How long the line may take; then it is cut off, and we go on.")
    conversation: Apart | None = Field(
        None, description="none: the player looks back at what was said, but will not remember this line."
    )
    output: Output | None = Field(None, description="What this line is answered with. Default: the player's.")
    tools: Names | None = Field(None, description="Tools for this line. Default: the player's.")
    tool_choice: ToolChoice | None = Field(
        None, description="auto, none, required, or a tool's name. Default: none for words, auto for improvise."
    )
    reasoning: Effort | None = Field(None, description="How long the model thinks about this line.")
    commentary: Comments | None = Field(
        None, description="Whether what the model says about its work is part of this line. Default: the player's."
    )
    max_output_tokens: Tokens | None = Field(None, description="Cap of output tokens for this line.")
    expect: Expect | None = Field(None, description="What it is to be like: words, length, loudness, cost...")
    metadata: Metadata | None = Field(None, description="Kept with the response at the provider: names and texts.")


class Told(Step):
    """An item is put into players' conversations; they say nothing."""

    role: SkipJsonSchema[Literal["system", "user", "assistant"]] = Field(exclude=True)
    told: SkipJsonSchema[Mapping[str, str]] = Field(exclude=True, description="Words by player.")
    wav: SkipJsonSchema[Mapping[str, str]] = Field(exclude=True, description="Sound files by player.")


class Pause(Step):
    """Silence on the timeline."""

    pause: Seconds = Field(1.0, description="Silence before the next step, added to the pause of the line before.")


class Sound(Step):
    """A sound effect, or a bed that lies under everything until it ends; each on a stem of its own."""

    kind: SkipJsonSchema[Literal["sfx", "bed"]] = Field(exclude=True)
    file: SkipJsonSchema[str] = Field(exclude=True, description="The sound file, relative to the scene.")
    gain: Gain = Field(0.0, description="How much louder or softer, like -18 dB. Default: 0 dB.")
    heard: Truth = Field(False, description="Whether the players hear it too. Default: false.")
    until: Text | None = Field(
        None, description="A bed's end: 'end', or the id of the line it ends with. Default: end."
    )
    pause: Seconds | None = Field(None, description="Silence after an effect. Default: the scene's.")


class Together(Step):
    """Lines and effects that begin at once."""

    together: tuple[Line | Sound, ...] = Field((), description="Lines of different players, and effects.")
    pause: Seconds | None = Field(None, description="Silence after the last of them ends. Default: the scene's.")


class Improvise(Step):
    """Free play: players answer what they hear."""

    players: Names = Field((), description="Who plays. Default: all players with a model.")
    about: Text | None = Field(None, description="What it is about; whispered to each of them.")
    order: Order = Field("round", description="round, called (whoever is addressed answers), or a list of names.")
    turns: Count | None = Field(None, description="Ends after so many turns.")
    for_s: Span | None = Field(None, alias="for", description="Ends when so much was spoken, like 45s.")
    words: Count | None = Field(None, description="Ends when so many words were spoken.")
    budget: Dollars | None = Field(None, description="Ends when it has cost so much, like $0.05.")
    until: Regex | None = Field(None, description="Ends when this is said: words, or a regular expression.")
    pause: Seconds | None = Field(None, description="Silence after each turn. Default: the scene's.")
    to: Hearing | None = Field(None, description="Who hears it. Default: everyone.")


class Listen(Step):
    """Open microphone: a person speaks, turn detection drives the turns, and the player answers."""

    player: Name | None = Field(None, description="Who listens and answers. Default: the only player with a model.")
    from_: Name | None = Field(None, alias="from", description="Whose voice it is. Default: the only human player.")
    for_s: Span | None = Field(None, alias="for", description="Ends after so long, like 2m.")
    turns: Count | None = Field(None, description="Ends after so many answers.")
    until: Regex | None = Field(None, description="Ends when this is said by either: words, or a regular expression.")
    key: Text | None = Field(None, description="Ends when this key is pressed, like q.")
    pause: Seconds | None = Field(None, description="Silence after it. Default: the scene's.")
    to: Hearing | None = Field(None, description="Who else hears it. Default: everyone.")
    transcription: Transcription | None = Field(
        None, description="Who writes down what the person says: a model, or off. Default: the player's."
    )


AnyStep = Line | Told | Pause | Sound | Together | Improvise | Listen


_WAV = {"type": "string", "description": "A sound file, relative to the scene: what the user says in it."}


def _anything(role: str, *, with_sound: bool) -> dict[str, Any]:
    words: dict[str, Any] = dict(SCALAR)
    sound = {"type": "object", "properties": {"wav": _WAV}, "additionalProperties": False}
    return {
        "type": "object",
        "description": f"Each player's name, and what is put into that player's conversation as {role}.",
        "additionalProperties": {"anyOf": [words, sound]} if with_sound else words,
    }


TOLD_SCHEMAS = {
    "prompt": _anything("a whisper of the prompter's", with_sound=False),
    "user": _anything("something the user said", with_sound=True),
    "assistant": _anything("something it said itself", with_sound=False),
}
ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "prompt": "system",
    "user": "user",
    "assistant": "assistant",
}
"""The words of the steps that put an item into a conversation, and the item's role."""
