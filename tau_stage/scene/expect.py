"""``expect:``: what a line, or the whole scene, is to be like when it is performed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from tau_stage.scene import ranges
from tau_stage.scene.fields import SCALAR, Hearing, Name, Regex, Text
from tau_stage.scene.part import IGNORED, Part
from tau_stage.scene.ranges import Range, Tolerance, Unit, ranged, tolerance
from tau_stage.scene.units import wrong


def phrases(value: object) -> object:
    """Read words to look for: one text, or a list of them.

    Raises:
        PydanticCustomError: It is something else, or holds no word.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise wrong("words belong here, one text or a list", "write it like [umbrella, the last one]")
    if not texts or not all(re.search(r"\w", text) for text in texts):
        raise wrong("words to look for must hold a letter", "write the words, or remove the key")
    return tuple(text.strip() for text in texts)


def _range(unit: Unit, *words: str) -> WithJsonSchema:
    """Describe a range to an editor."""
    end: dict[str, Any] = {"type": ["string", "number"]}
    whole = {
        **IGNORED,
        "type": "object",
        "properties": {
            "min": {**end, "description": "The least."},
            "max": {**end, "description": "The most."},
        },
        "additionalProperties": False,
        "minProperties": 1,
    }
    short: dict[str, Any] = {"type": "string", "pattern": r"\.\.", "examples": [unit.example]}
    return WithJsonSchema({"anyOf": [*([{"type": "string", "enum": list(words)}] if words else []), short, whole]})


def _apart(*examples: str) -> WithJsonSchema:
    """Describe a tolerance to an editor."""
    return WithJsonSchema({"type": ["string", "number"], "examples": [*examples, "off"]})


Length = Annotated[Range, BeforeValidator(ranged(ranges.SECONDS)), _range(ranges.SECONDS)]
Loudness = Annotated[Range, BeforeValidator(ranged(ranges.LUFS)), _range(ranges.LUFS)]
NONE, OWN = Range(None, 0.0), Range(None, 1.0)
Clipping = Annotated[Range, BeforeValidator(ranged(ranges.SAMPLES, none=NONE)), _range(ranges.SAMPLES, "none")]
PerSecond = Annotated[Range, BeforeValidator(ranged(ranges.PER_SECOND)), _range(ranges.PER_SECOND)]
Voice = Annotated[Range, BeforeValidator(ranged(ranges.DISTANCE, own=OWN)), _range(ranges.DISTANCE, "own")]
Cost = Annotated[Range, BeforeValidator(ranged(ranges.DOLLARS)), _range(ranges.DOLLARS)]
Share = Annotated[Range, BeforeValidator(ranged(ranges.SHARE)), _range(ranges.SHARE)]

SharesApart = Annotated[Tolerance, BeforeValidator(tolerance(ranges.SHARE)), _apart("5%")]
SecondsApart = Annotated[Tolerance, BeforeValidator(tolerance(ranges.SECONDS)), _apart("300ms", "15%", "300ms 15%")]
LoudnessApart = Annotated[Tolerance, BeforeValidator(tolerance(ranges.LU)), _apart("2 LU")]
SamplesApart = Annotated[Tolerance, BeforeValidator(tolerance(ranges.SAMPLES)), _apart("3")]
RatesApart = Annotated[Tolerance, BeforeValidator(tolerance(ranges.PER_SECOND)), _apart("0.3/s", "15%")]
VoicesApart = Annotated[Tolerance, BeforeValidator(tolerance(ranges.DISTANCE)), _apart("0.5")]
DollarsApart = Annotated[Tolerance, BeforeValidator(tolerance(ranges.DOLLARS)), _apart("$0.001", "25%")]

Phrases = Annotated[
    tuple[str, ...],
    BeforeValidator(phrases),
    WithJsonSchema({"anyOf": [SCALAR, {"type": "array", "items": SCALAR, "minItems": 1}]}),
]


@dataclass(frozen=True, slots=True)
class PassRate:
    """In how many of so many performances all must be well."""

    passed: int
    of: int


def passes(value: object) -> object:
    """Read ``4 of 5``.

    Raises:
        PydanticCustomError: It is something else.
    """
    found = re.fullmatch(r"\s*(\d{1,4}) of (\d{1,4})\s*", value, re.ASCII) if isinstance(value, str) else None
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise wrong("this says in how many of several performances all must be well", "write it like 4 of 5")
    return PassRate(int(found[1]), int(found[2]))


Passes = Annotated[
    PassRate,
    BeforeValidator(passes),
    WithJsonSchema({"type": "string", "pattern": r"^\d+ of \d+$", "examples": ["4 of 5"]}),
]


class Says(Part):
    """Which words are said. Case and punctuation make no difference, but for ``matches`` the latter."""

    contains: Phrases = Field((), description="Words that are said, one text or a list.")
    matches: Regex | None = Field(None, description="A regular expression that is found, whatever its case.")
    exact: Text | None = Field(None, description="All that is said.")
    wer: Share | None = Field(None, description="Share of the words asked for that are said otherwise, like {max: 5%}.")


class CallWanted(Part):
    """A call of a tool."""

    tool: Name = Field("", description="Which tool.")
    arguments: SkipJsonSchema[Mapping[str, Any]] = Field(default_factory=dict, exclude=True)

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """List the keys an author may write."""
        return (*super().options(), "arguments")


class Tolerances(Part):
    """How much figures may differ from the snapshot's: 300ms, 15%, both (the larger counts), or off."""

    words: SharesApart | None = Field(None, description="Share of the words said otherwise. Default: 0%.")
    length: SecondsApart | None = Field(None, description="Default: 250ms 10%.")
    loudness: LoudnessApart | None = Field(None, description="Default: 1.5 LU.")
    silence: SecondsApart | None = Field(None, description="Default: 300ms 20%.")
    clipping: SamplesApart | None = Field(None, description="Default: 0.")
    first_audio: SecondsApart | None = Field(None, description="Default: 300ms 50%.")
    dead_air: SecondsApart | None = Field(None, description="Default: 50ms 5%.")
    rate: RatesApart | None = Field(None, description="Default: 0.3/s 10%.")
    voice: VoicesApart | None = Field(None, description="Default: 0.25.")
    cost: DollarsApart | None = Field(None, description="Default: $0.00002 25%.")


class Expect(Part):
    """What is expected; each figure is measured, and kept with the take."""

    says: Says | None = Field(None, description="Words: those that are said, or {contains, matches, exact, wer}.")
    says_not: Phrases | None = Field(None, description="Words that are not said, one text or a list.")
    calls: SkipJsonSchema[tuple[CallWanted, ...] | None] = Field(None, exclude=True)
    length: Length | None = Field(None, description="How long it is, like 1s..4s.")
    loudness: Loudness | None = Field(None, description="Integrated loudness, like -30..-18 LUFS.")
    silence: Length | None = Field(None, description="The longest silence within a line, like {max: 1s}.")
    clipping: Clipping | None = Field(
        None, description="Samples at full scale, two or more in a row: none, or {max: 3}."
    )
    first_audio: Length | None = Field(None, description="From the request to the first sound, like {max: 800ms}.")
    dead_air: Length | None = Field(None, description="Silence in the recording before a line, like {max: 1s}.")
    rate: PerSecond | None = Field(None, description="Words per second, like 2..4/s.")
    voice: Voice | None = Field(
        None, description="Distance from the player's own voice: own, which is {max: 1}, or a range."
    )
    cost: Cost | None = Field(None, description="Estimated cost, like {max: $0.01}.")
    heard_by: Hearing | None = Field(None, description="Who heard it, nobody else: everyone, nobody, or names.")
    passes: Passes | None = Field(
        None,
        alias="pass",
        description="In how many of several performances all must be well, like 4 of 5. Default: all.",
    )
    tolerances: Tolerances | None = Field(
        None, description="How much figures may differ from the snapshot's, by figure."
    )

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """List the keys an author may write."""
        return (*super().options(), "calls")


CALLS_SCHEMA: dict[str, Any] = {
    "description": "Tools that are called, each with some of its arguments: a name, a list, or none.",
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": {
                            "tool": {"type": "string", "description": "Which tool."},
                            "arguments": {"type": "object", "description": "Some of its arguments, by name."},
                        },
                        "required": ["tool"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
    ],
}
