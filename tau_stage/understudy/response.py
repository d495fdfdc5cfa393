"""One response: the events of its life, in the order a provider sends them."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pybase64

from tau_stage.audio import PCM16, RATE, Pcm
from tau_stage.cost import ASSISTANT_PER_S, text_tokens
from tau_stage.protocol import ContentPart, Item, JsonObject, RateLimit, StatusDetails, server_events
from tau_stage.understudy.billing import assistant_tokens, reasoning_tokens, response_usage
from tau_stage.understudy.dialogue import Dialogue
from tau_stage.understudy.settings import ResponseRun
from tau_stage.understudy.sound_store import BlobRef, load_pcm, read_bytes

DELTA_SAMPLES = 4800


@dataclass(slots=True)
class MessageStream:
    """Sends one response: iterate ``sounding`` as long as nobody cancels, then ``ending``.

    There is no ``audio`` where text was asked for. Where it is ``odd``, deltas end in the middle of samples;
    ``broken_off`` is why it ends in its middle.
    """

    dialogue: Dialogue
    run: ResponseRun
    words: str
    audio: Pcm | BlobRef | None
    phase: str = "final_answer"
    odd: bool = False
    broken_off: str | None = None
    sent_words: str = ""
    sent_bytes: int = 0
    bytes_per_sample: float = 2.0
    cut: bool = False
    has_item: bool = False
    has_part: bool = False

    def sounding(self) -> Iterator[server_events.ServerEvent]:
        """Send everything up to the last delta. What you take counts as sent, so take no more than you send."""
        self._cut_to_the_cap()
        if self.broken_off:
            self.words = self.words[: len(self.words) // 2]
            self.audio = self.audio and self.audio[: len(self.audio) // 2]
        item = self._item("in_progress", ())
        self.has_item = True
        yield server_events.OutputItemAdded(response_id=self.run.id, output_index=0, item=item)
        if self.run.conversational:
            yield from self.dialogue.place(item)
        self.has_part = True
        yield server_events.ContentPartAdded(**self._place, part=self._part("", ""))
        if self.audio is None:
            yield from self._written()
        else:
            yield from self._spoken(self.audio)

    def _cut_to_the_cap(self) -> None:
        cap = self.run.max_tokens
        if cap == "inf":
            return
        left = int(cap) - text_tokens(self.words)
        if self.audio is None:
            self.cut = left < 0
            self.words = self.words.encode()[: int(cap) * 4].decode(errors="ignore")
        elif len(self.audio) > max(left, 0) * RATE // ASSISTANT_PER_S:
            self.cut = True
            whole = len(self.audio)
            self.audio = self.audio[: max(left, 0) * RATE // ASSISTANT_PER_S]
            self.words = self.words[: len(self.words) * len(self.audio) // whole]

    @property
    def _place(self) -> JsonObject:
        return {"response_id": self.run.id, "item_id": self.run.item_id, "output_index": 0, "content_index": 0}

    def _written(self) -> Iterator[server_events.ServerEvent]:
        size = max(1, len(self.words) // 12)
        for at in range(0, len(self.words), size):
            piece = self.words[at : at + size]
            self.sent_words += piece
            yield server_events.TextDelta(**self._place, delta=piece)

    def _spoken(self, audio: Pcm | BlobRef) -> Iterator[server_events.ServerEvent]:
        self.dialogue.has_spoken = True
        form = self.run.form
        data = b"" if form == PCM16 else form.encode(load_pcm(audio))
        length = len(data) or 2 * len(audio)
        size = max(2, length * DELTA_SAMPLES // max(1, len(audio)) // 2 * 2) - (1 if self.odd else 0)
        starts = range(0, length, size)
        if audio:
            self.bytes_per_sample = length / len(audio)
        for at, piece in zip(starts, _shared(self.words, len(starts)), strict=True):
            sound = data[at : at + size] if data else read_bytes(audio, at, size)
            if piece:
                self.sent_words += piece
                yield server_events.TranscriptDelta(**self._place, delta=piece)
            self.sent_bytes += len(sound)
            yield server_events.AudioDelta(**self._place, delta=pybase64.b64encode(sound).decode("ascii"))

    def ending(self) -> Iterator[server_events.ServerEvent]:
        """Send everything after the last delta: close what was opened, and nothing else."""
        yield from self.finishing()
        output = (self.item,) if self.has_item else ()
        spent = _spent(self.dialogue, self.run, self.sent_words, self.sent, output)
        yield from end_response(self.dialogue, self.run, self._status(), output=output, spent=spent)

    def finishing(self) -> Iterator[server_events.ServerEvent]:
        """End the message, where the response goes on."""
        if self.has_part:
            yield from self._part_done()
        if self.has_item:
            item = self.item
            yield from self.dialogue.finished(item, self.sent)
            yield server_events.OutputItemDone(response_id=self.run.id, output_index=0, item=item)

    def _part_done(self) -> Iterator[server_events.ServerEvent]:
        if self.audio is None:
            yield server_events.TextDone(**self._place, text=self.sent_words)
        else:
            yield server_events.AudioDone(**self._place)
            yield server_events.TranscriptDone(**self._place, transcript=self.sent_words)
        yield server_events.ContentPartDone(**self._place, part=self._part("", self.sent_words))

    def _part(self, prefix: str, words: str) -> ContentPart:
        """Make the message's one part; ``output_`` stands before its type in an item, and not in events of its own."""
        if self.audio is None:
            return ContentPart(type=f"{prefix}text", text=words)
        return ContentPart(type=f"{prefix}audio", transcript=words)

    @property
    def sent(self) -> Pcm | BlobRef | None:
        """The sound that went out, at the stage's rate whatever its format."""
        return None if self.audio is None else self.audio[: int(self.sent_bytes / self.bytes_per_sample + 1e-6)]

    @property
    def sent_s(self) -> float:
        """Seconds of sound that went out."""
        return self.sent_bytes / self.bytes_per_sample / RATE

    @property
    def item(self) -> Item:
        """The message, as far as it was sent."""
        content = (self._part("output_", self.sent_words),) if self.has_part else ()
        return self._item("incomplete" if self._status() else "completed", content)

    def _item(self, status: str, content: tuple[ContentPart, ...]) -> Item:
        phase = {"phase": self.phase} if self.dialogue.profile.phases else {}
        return Item(id=self.run.item_id, type="message", status=status, role="assistant", content=content, **phase)

    def _status(self) -> StatusDetails | None:
        if self.run.stopped:
            return StatusDetails(type="cancelled", reason=self.run.stopped)
        why = self.broken_off or ("max_output_tokens" if self.cut else None)
        return StatusDetails(type="incomplete", reason=why) if why else None


def end_response(
    dialogue: Dialogue,
    run: ResponseRun,
    details: StatusDetails | None,
    *,
    output: Sequence[Item] = (),
    spent: JsonObject | None = None,
) -> Iterator[server_events.ServerEvent]:
    """End a response: ``response.done``, then at times what is left of the limits."""
    dialogue.running.pop(run.id, None)
    status = details.type if details and details.type else "completed"
    used = spent or response_usage((), (), "", Pcm())
    response = run.as_event(status, details=details, output=output, spent=used)
    yield server_events.ResponseDone(response=response)
    dialogue.responses += 1
    every = dialogue.profile.limits_every
    if not every or (dialogue.responses - 1) % every:
        return
    limit = RateLimit(name="tokens", limit=200_000, remaining=200_000 - used["total_tokens"], reset_seconds=0.06)
    yield server_events.RateLimitsUpdated(rate_limits=(limit,))


def call_tools(
    dialogue: Dialogue, run: ResponseRun, calls: Sequence[tuple[str, str]], comment: MessageStream | None = None
) -> Iterator[server_events.ServerEvent]:
    """Call tools, by names and arguments; ``comment`` is the message before them, as far as its last delta."""
    made: list[Item] = []
    rest = comment.finishing() if comment else iter(())
    for number, (name, arguments) in enumerate(calls, 1 if comment else 0):
        if not dialogue.profile.interleaves:
            yield from rest
        made.append((yield from _call_tool(dialogue, run, number, name, arguments, rest)))
    words, sound = "".join(name + arguments for name, arguments in calls), None
    if comment:
        made, words, sound = [comment.item, *made], comment.sent_words + words, comment.sent
    yield from end_response(dialogue, run, None, output=made, spent=_spent(dialogue, run, words, sound, made))


def _call_tool(
    dialogue: Dialogue,
    run: ResponseRun,
    index: int,
    name: str,
    arguments: str,
    between: Iterable[server_events.ServerEvent],
) -> Generator[server_events.ServerEvent, None, Item]:
    """Send one call and its arguments, then what comes before its end; return it."""
    facts = {"type": "function_call", "name": name, "call_id": dialogue.fresh("call")}
    item_id = dialogue.fresh("item") if index else run.item_id
    item = Item(id=item_id, status="in_progress", arguments="", **facts)
    at = {"response_id": run.id, "output_index": index}
    place = at | {"item_id": item.id, "call_id": item.call_id}
    yield server_events.OutputItemAdded(**at, item=item)
    if run.conversational:
        yield from dialogue.place(item)
    for piece in re.findall(r"\w+|\W+", arguments):
        yield server_events.FunctionArgumentsDelta(**place, delta=piece)
    yield from between
    yield server_events.FunctionArgumentsDone(**place, arguments=arguments, name=name)
    item = item.model_copy(update={"status": "completed", "arguments": arguments})
    yield from dialogue.finished(item)
    yield server_events.OutputItemDone(**at, item=item)
    return item


def stay_silent(dialogue: Dialogue, run: ResponseRun) -> Iterator[server_events.ServerEvent]:
    """End a response without any output: the player read everything, and says nothing."""
    yield from end_response(dialogue, run, None, spent=_spent(dialogue, run))


def _thought(run: ResponseRun, words: str, sound: Pcm | BlobRef) -> int:
    """Count the tokens of the reasoning before a line, as far as its limit has room for them."""
    if run.max_tokens == "inf":
        return reasoning_tokens(words)
    room = int(run.max_tokens) - text_tokens(words) - assistant_tokens(len(sound), sound.rate)
    return min(reasoning_tokens(words), max(0, room))


def _spent(
    dialogue: Dialogue,
    run: ResponseRun,
    words: str = "",
    sound: Pcm | BlobRef | None = None,
    output: Sequence[Item] = (),
) -> JsonObject:
    """Sum up what a response used; what it read and made is cached for the next."""
    context = dialogue.context(run)
    thought = _thought(run, words, sound) if sound and dialogue.profile.reasons and not run.verbatim else 0
    spent = response_usage(context, dialogue.read_before, words, sound or Pcm(), thought)
    if run.conversational and not run.verbatim:
        made = (dialogue.items[item.id].cost for item in output if item.id in dialogue.items)
        dialogue.read_before = (*context, *made)
    return spent


def _shared(text: str, parts: int) -> list[str]:
    """Cut a text between words into so many pieces, some of them perhaps empty, but never the first."""
    words = re.findall(r"\S+\s*", text)
    bounds = [math.ceil(len(words) * part / parts) for part in range(parts + 1)] if parts else []
    return ["".join(words[start:stop]) for start, stop in pairwise(bounds)]
