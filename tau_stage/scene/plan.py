"""The plan: a scene with every default resolved, frozen. The stage performs plans, never scenes."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True)
class PlayerPlan:
    """One player, ready to be opened.

    Attributes:
        name: As the scene spells it.
        voice: Voice of the model.
        model: Model name (a deployment on Azure).
        endpoint: Name or URL the scene asks for; None leaves the choice to whoever runs it.
        instructions: Direction, persona and accent as the session's instructions, one per line.
        speed: Rate of speech, 0.25 to 1.5; None is the model's own.
        output: What the model answers with.
        max_output_tokens: Cap per response; None is the model's own.
    """

    name: str
    voice: str
    model: str
    endpoint: str | None = None
    instructions: str = ""
    speed: float | None = None
    output: Literal["audio", "text"] = "audio"
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One line, ready to be performed.

    Attributes:
        number: Place among the scene's lines, from 1.
        id: Unique in the scene; the author's, or player and ordinal (``clerk-2``).
        player: Who speaks.
        words: What to say, without the direction, moments and stars as written.
        direction: How to say it, or empty.
        prompt: The user item's text: the scene's template filled in.
        hearers: Who hears it, in the order of the scene's players; never the speaker.
        pause_s: Silence after the line, before the next one.
        source_line: Line in the scene file, from 1.
        max_output_tokens: Cap for this line; None is the player's.
    """

    number: int
    id: str
    player: str
    words: str
    direction: str
    prompt: str
    hearers: tuple[str, ...]
    pause_s: float
    source_line: int
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """The prompter whispers: system items for players, no response.

    Attributes:
        prompts: Player's name and the words whispered, in the order written.
        source_line: Line in the scene file, from 1.
    """

    prompts: tuple[tuple[str, str], ...]
    source_line: int


Step = LinePlan | PromptPlan


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole scene, ready to be performed.

    Attributes:
        title: The scene's name.
        slug: The title as a folder name: lower case, digits and hyphens.
        path: The scene file, as the user named it.
        sha256: Hash of the scene file's bytes.
        players: In the order of the file.
        steps: In the order of the file.
        budget: Dollars the scene may cost; None is no limit.
        opening_gap_s: Pause between two openings of sessions.
    """

    title: str
    slug: str
    path: str
    sha256: str
    players: tuple[PlayerPlan, ...]
    steps: tuple[Step, ...]
    budget: Decimal | None = None
    opening_gap_s: float = 0.2

    @property
    def lines(self) -> tuple[LinePlan, ...]:
        """The spoken lines only."""
        return tuple(step for step in self.steps if isinstance(step, LinePlan))

    @property
    def opening_order(self) -> tuple[PlayerPlan, ...]:
        """Players in the order of their first line; the silent ones last."""
        first = {line.player: line.number for line in reversed(self.lines)}
        return tuple(sorted(self.players, key=lambda player: first.get(player.name, len(self.steps) + 1)))

    def player(self, name: str) -> PlayerPlan:
        """The player of that name.

        Raises:
            KeyError: Nobody has it.
        """
        return next(player for player in self.players if player.name == name)
