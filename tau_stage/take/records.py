"""What can happen in a performance: one record per fact, as the journal keeps it. No audio, no secrets."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from tau_stage.protocol import Usage, VisemeTime, WordTime
from tau_stage.scene import Deliver
from tau_stage.text import one_line, with_clause

Ending = Literal["complete", "incomplete", "failed", "budget", "limit", "interrupted"]


class TakePart(BaseModel):
    """What all parts of a take share: they never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(TakePart):
    """What all records share: seconds since curtain up, and a name for what it tells of."""

    at_s: float = 0.0
    type: str

    @property
    def warning(self) -> str:
        """What the take's reader should know of it, or empty."""
        return self._warning()

    def _warning(self) -> str:
        return ""


class LineRecord(Record):
    """A fact of one line, and of the player that it is asked of."""

    line: str
    player: str


class Role(TakePart):
    """One player and what plays it."""

    name: str
    voice: str
    model: str
    endpoint: str
    prices: str
    human: str | None = None
    pan: float = 0.0


class Retake(TakePart):
    """What a retake performs again, and how.

    Attributes:
        lines: Their ids.
        direction: How they are said, if otherwise than the scene has it.
        takes: How often each is said.
        through: Whether the lines after the first of them are performed again, too.
        changed: Whether they are all that differ from the scene; ``through``: and those that have heard others.
    """

    lines: tuple[str, ...]
    direction: str | None = None
    takes: int = 1
    through: bool = False
    changed: bool = False


class TakeBegan(Record):
    """The take starts."""

    type: Literal["take_began"] = "take_began"
    version: Literal[1] = 1
    tau_stage: str
    started: str
    title: str
    slug: str
    path: str
    sha256: str
    variant: str = ""
    given: dict[str, str] = {}
    overlays: tuple[str, ...] = ()
    language: str = ""
    spent: bool
    deliver: Deliver = Deliver()
    resolved: str = ""  # the plan as JSON
    budget: Decimal | None = None
    former: str = ""  # the take that a ``retake`` takes lines from
    retake: Retake | None = None
    recording: str = ""  # the folder of its cassette until that is whole; empty: nothing is recorded
    roles: tuple[Role, ...]


class TakeResumed(Record):
    """A stopped take is resumed; these settings apply from now on.

    Attributes:
        started: UTC.
        resolved: The plan as JSON; empty if the plan has not changed.
        torn_bytes: The length of an incomplete last record, which was removed.
    """

    type: Literal["take_resumed"] = "take_resumed"
    tau_stage: str
    started: str
    sha256: str
    spent: bool
    deliver: Deliver = Deliver()
    resolved: str = ""
    budget: Decimal | None = None
    torn_bytes: int = 0
    roles: tuple[Role, ...]

    def _warning(self) -> str:
        return f"the take was stopped and resumed at {self.started}"


class TakeFacts(TakePart):
    """What came of a line once it was asked for: of each of its takes, where there are several."""

    take: int = Field(1, description="Number of the picked take, starting at 1.")
    said: str = Field(description="The spoken words, as transcribed by the provider.")
    file: str | None = Field(description="Path of the audio file, relative to the take's folder.")
    sha256: str = Field(description="Hash of the samples.")
    samples: int
    first_audio_s: float | None = Field(None, description="Seconds from the request to the first audio.")
    first_words_s: float | None = Field(None, description="Seconds from the request to the first words.")
    took_s: float = Field(0.0, description="Seconds from the request to the end of the response.")
    usage: Usage
    response: str = Field(description="The provider's id for the response.")
    attempts: int = Field(1, description="Number of requests for the line.")
    reason: str | None = None
    problem: str = Field("", description="Why the line failed. Empty if it did not.")
    written: str = Field("", description="Words that arrived without audio, although audio was requested.")
    commentary: str = Field(
        "", description="The model's remarks about its own work. They are billed but are not part of the line."
    )
    commentary_s: float = Field(0.0, description="Duration of the commentary in seconds.")
    word_times: tuple[WordTime, ...] = Field(
        (), description="The times of the words, in samples of the line's file, if the provider reports them."
    )
    visemes: tuple[VisemeTime, ...] = Field(
        (), description="The mouth shapes and their times in samples, if the provider reports them."
    )
    exact: bool | None = Field(
        None, description="For exact words: whether the words match the scene. null if this is unknown or not required."
    )


class Asked(TakePart):
    """What a line is, whoever speaks it and whatever comes of it."""

    player: str
    asked: str = Field(description="The words in the scene.")
    direction: str


class LineFacts(TakeFacts, Asked):
    """All that is known of one line; the journal's record and ``take.json`` have it."""

    number: int = Field(description="Position in the scene, starting at 1.")
    scripted: bool = Field(True, description="Whether the scene specifies the words.")
    human: bool = Field(False, description="Whether a person spoke the line.")
    remembered: bool = Field(True, description="Whether the player remembers the line.")
    former: bool = Field(False, description="Whether the line was copied from an earlier take.")
    key: str = Field("", description="Hash of everything that was sent: words, direction, player and options.")
    context_key: str = Field("", description="Hash of 'key' and everything that the player heard and said earlier.")
    offset_samples: int


class OpeningRefused(Record):
    """A provider asks tau-stage to wait before it opens a session."""

    type: Literal["opening_refused"] = "opening_refused"
    player: str
    problem: str
    wait_s: float

    def _warning(self) -> str:
        return with_clause(self.problem, f"waited {self.wait_s:.1f} s")


class PlayerOpened(Record):
    """A session is open; ``took_s`` includes waiting times.

    >>> PlayerOpened(player="clerk", session="sess_1", attempts=1, took_s=0.4).took_s
    0.4
    """

    type: Literal["player_opened"] = "player_opened"
    player: str
    session: str
    attempts: int
    took_s: float


class ModelNamed(Record):
    """A server reports that a different model answers; from now on, the price of this model applies."""

    type: Literal["model_named"] = "model_named"
    player: str
    asked: str
    model: str


class ItemGiven(Record):
    """An item was added to a player's conversation: a private instruction, or words that a user or the player said.

    ``sound`` is the path of the audio file, if the item is not text.
    """

    type: Literal["item_given"] = "item_given"
    player: str
    role: Literal["system", "user", "assistant"]
    words: str
    sound: str = ""


class StepSkipped(Record):
    """A step was skipped, because its condition is not met."""

    type: Literal["step_skipped"] = "step_skipped"
    source_line: int


class StepBegan(Record):
    """A step started, or started again because the performance was stopped during the step.

    ``branch`` is the start of the cue that the step belongs to, like ``cue-1``, or ``cue-1.2`` for its second start;
    it is empty for steps of the scene. ``step`` consists of the ids of the step's lines, or describes the step.
    """

    type: Literal["step_began"] = "step_began"
    branch: str
    step: str


class StepEnded(Record):
    """A step ended; ``dollars`` is the known cost of its line."""

    type: Literal["step_ended"] = "step_ended"
    branch: str
    step: str
    dollars: Decimal = Decimal(0)


class CueStarted(Record):
    """A cue started; ``line`` is the line that triggered it, if there is one."""

    type: Literal["cue_started"] = "cue_started"
    cue: str
    source_line: int
    line: str = ""


class LineBegan(LineRecord):
    """A line was requested from its player."""

    type: Literal["line_began"] = "line_began"


class LineAgain(LineRecord):
    """A line is requested again; the audio of the failed attempt is kept in ``file``.

    ``reason`` is the kind of failure. If the attempt ended before its usage was reported, the usage is ``untold``. If
    the attempt was ``interrupted`` when the performance stopped, it only counts for the cost.
    """

    type: Literal["line_again"] = "line_again"
    problem: str
    wait_s: float
    file: str | None = None
    interrupted: bool = False
    usage: Usage
    reason: str = ""

    def _warning(self) -> str:
        place = f"line {self.line}, player {self.player}"
        if self.interrupted:
            kept_in = f"; the first attempt is kept in {self.file}" if self.file else ""
            return f"{place}: {self.problem}; it was performed again{kept_in}"
        waited = f"{self.wait_s:.1f}"
        when = "immediately" if waited == "0.0" else f"after {waited} s"
        return f"{place}: {with_clause(self.problem, f'retried {when}')}"


class LineFailed(LineRecord):
    """A line failed and is not requested again; its cost and its audio are kept."""

    type: Literal["line_failed"] = "line_failed"
    problem: str
    file: str | None = None
    usage: Usage = Usage()


class PlayerLost(Record):
    """A player's connection was lost, or its server stopped answering."""

    type: Literal["player_lost"] = "player_lost"
    player: str
    line: str = ""
    problem: str

    def _warning(self) -> str:
        return with_clause(self.problem, "the player is lost")


class ToolBegan(LineRecord):
    """A model calls a tool; the result follows."""

    type: Literal["tool_began"] = "tool_began"
    tool: str
    arguments: str


class ToolCalled(LineRecord):
    """A model called a tool and received the result."""

    type: Literal["tool_called"] = "tool_called"
    tool: str
    arguments: str
    output: str
    failed: bool
    took_s: float

    def _warning(self) -> str:
        return f"line {self.line}, player {self.player}: tool {self.tool} failed: {self.output}" if self.failed else ""


class ToolTurn(LineRecord):
    """A response called tools; its other content belongs to the line."""

    type: Literal["tool_turn"] = "tool_turn"
    response: str
    usage: Usage


class Transcribed(LineRecord):
    """The provider transcribed what a person said, which is billed separately."""

    type: Literal["transcribed"] = "transcribed"
    model: str
    usage: Usage


class LineLost(LineRecord):
    """A line failed, and the scene continues without it."""

    type: Literal["line_lost"] = "line_lost"
    problem: str
    usage: Usage = Usage()

    def _warning(self) -> str:
        return with_clause(self.problem, "the scene continued without the line")


class LineDropped(Record):
    """A line, effect or chapter was removed from the take: its audio is missing, or the scene has changed."""

    type: Literal["line_dropped"] = "line_dropped"
    line: str
    problem: str

    def _warning(self) -> str:
        return f"{self.line} was dropped: {self.problem}"


class ListenBegan(Record):
    """A microphone was opened."""

    type: Literal["listen_began"] = "listen_began"
    step: str


class ListenEnded(Record):
    """A microphone was closed at the end of its step."""

    type: Literal["listen_ended"] = "listen_ended"
    step: str


class SoundPlayed(Record):
    """An effect or a bed started; ``samples`` is the length of one repetition.

    ``sha256`` is the hash of its mono samples, ``stereo_sha256`` the hash of the samples of a stereo stem.
    """

    type: Literal["sound_played"] = "sound_played"
    sound: str
    kind: Literal["sfx", "bed"]
    source: str
    stem: str
    gain_db: float
    offset_samples: int
    samples: int
    sha256: str
    stereo_sha256: str = ""
    hearers: tuple[str, ...]


class ChapterBegan(Record):
    """A chapter started; its id is the id of its step."""

    type: Literal["chapter_began"] = "chapter_began"
    chapter: str
    title: str
    offset_samples: int


class BedEnded(Record):
    """A bed ended."""

    type: Literal["bed_ended"] = "bed_ended"
    sound: str
    at_samples: int


class TakeKept(TakeFacts, LineRecord):
    """One of several takes of a line ended; it is paid for, and kept.

    The picked take is recorded again as the line, without its usage, and its file becomes the file of the line.
    """

    type: Literal["take_kept"] = "take_kept"
    status: str = "completed"


class LineSpoken(LineFacts, LineRecord):
    """A line was spoken and its audio is on the disk; with the status ``failed``, there is no audio.

    ``problem`` is the reason of a failure, and ``written`` contains words without audio. ``commentary`` contains the
    model's remarks about its own work, which are not part of the line. ``heard_as`` lists earlier lines that have
    changed since the player heard or said them, with the hash of the version that it heard.

    >>> LineSpoken.model_fields["said"].description is not None
    True
    """

    type: Literal["line_spoken"] = "line_spoken"
    status: str
    rate: int
    hearers: tuple[str, ...]
    heard_as: dict[str, str] = {}

    def _warning(self) -> str:
        if self.exact is False and self.status == "completed":
            problem = "the spoken words differ from the scene"
            return f"line {self.line}, player {self.player}: {problem}: “{one_line(self.said)}”"
        if self.status in ("completed", "failed") or self.reason in ("cut_in", "turn_detected"):
            return ""
        return f"line {self.line}, player {self.player}: the response is {self.status} ({self.reason})"


class TakePicked(Record):
    """Another take of a line was picked."""

    type: Literal["take_picked"] = "take_picked"
    line: str
    take: int


HearingWay = Literal["create_audio", "stream", "text"]
"""How a line is heard: as one item after it, while it is spoken, or as its words."""


class LineHeard(Record):
    """A player heard a line: the server acknowledged it."""

    type: Literal["line_heard"] = "line_heard"
    line: str
    hearer: str
    sha256: str
    took_s: float
    by: HearingWay = "create_audio"


class LineMissed(Record):
    """A player did not hear a line; if it is ``lost``, it does not hear further lines."""

    type: Literal["line_missed"] = "line_missed"
    line: str
    hearer: str
    problem: str
    lost: bool

    def _warning(self) -> str:
        return self.problem


class Warned(Record):
    """A warning for the author of the scene.

    >>> Warned(text="gpt-realtime ends on 2027-01-01").text
    'gpt-realtime ends on 2027-01-01'
    """

    type: Literal["warned"] = "warned"
    player: str = ""
    line: str = ""
    text: str

    def _warning(self) -> str:
        return self.text


class TakeEnded(Record):
    """The take ended; ``silence_samples`` is the length of a pause at the end of the scene."""

    type: Literal["take_ended"] = "take_ended"
    ended: Ending
    problem: str = ""
    silence_samples: int = 0


class TakeDelivered(Record):
    """All files of the take were created, and its expectations were checked.

    Attributes:
        made: The created files, one line for each.
        judged: A summary of the expectations; empty if there are none.
        problems: The failures, one line for each.
        code: The exit code of the delivery.
    """

    type: Literal["take_delivered"] = "take_delivered"
    made: tuple[str, ...] = ()
    judged: str = ""
    problems: tuple[str, ...] = ()
    code: int = 0


PAID = LineSpoken | LineAgain | LineFailed | LineLost | TakeKept | ToolTurn | Transcribed
"""Facts that carry a usage; each response stands in one of them only."""

LED_TO = (
    LineSpoken
    | LineLost
    | LineHeard
    | TakeKept
    | SoundPlayed
    | BedEnded
    | ToolBegan
    | ToolCalled
    | CueStarted
    | ChapterBegan
)
"""What a line or an effect leads to, and is no part of the take where that was dropped."""

DURABLE = LineSpoken | LineLost | TakeBegan | TakeResumed | TakeEnded | TakeDelivered | TakePicked
"""Records that are brought to the disk at once."""

RECORDS = tuple(kind for base in (Record, LineRecord) for kind in base.__subclasses__() if kind is not LineRecord)
"""Every record there is."""

RecordT = TypeVar("RecordT", bound=Record)
LineRecordT = TypeVar("LineRecordT", bound=LineRecord)


def of_type(journal: Iterable[Record], kind: type[RecordT]) -> list[RecordT]:
    """Return the records of one type."""
    return [fact for fact in journal if isinstance(fact, kind)]


def last_of(journal: Sequence[Record], *kinds: type[Record]) -> Record | None:
    """Return the last record of some types."""
    return next((fact for fact in reversed(journal) if isinstance(fact, kinds)), None)
