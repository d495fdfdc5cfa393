"""The understudy held against recorded sessions with live models: what it sends that they do not, and the reverse.

``python -m tests.recordings_diff`` plays what the client sent in each recording to an understudy that behaves as the
model of the recording, and lists every difference in what comes back: fields, their types, the values of fields that
have a few, and the order of events. Sound, ids, words, and counts that follow from them are no difference.
The recordings lie in ``TAU_STAGE_RECORDINGS``, by default ``../shared/recordings``.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import trio
from trio.testing import MockClock

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.transport import Handshake, Transport
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.delivery import plan_speech
from tau_stage.understudy.server import Understudy
from tau_stage.understudy.settings import CURRENT, XAI, Profile, profile_of
from tau_stage.understudy.sound_store import KnownSpeech
from tests.support.live_recordings import FOLDER
from tests.support.memory_server import connected
from tests.support.tone_voice import tone

Event = dict[str, Any]

PLACES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("openai_ws", "/v1/realtime", {}),
    ("parity_ws", "/v1/realtime", {}),
    ("xai_ws", "/v1/realtime", {}),
    ("azure_ws", "/openai/v1/realtime", {}),
)
"""Recordings by the beginnings of their names: the path and the query of their server."""

OPAQUE = frozenset({"parameters", "metadata"})
"""What a client makes up: it is told as it came."""

FEW = frozenset({"type", "object", "role", "status", "phase", "voice", "reason", "status_details", "transport"})
"""Fields with a few values, which are compared."""

FREE = frozenset({"id", "expires_at", "instructions", "description", "name"})
"""Fields of a session with values that nobody can foresee."""

EXPECTED: tuple[tuple[str, str], ...] = (
    (
        r"transcription\.(delta|completed): only the understudy|transcription\.failed",
        "the deployment at Azure had no model for transcripts; the understudy always has one",
    ),
)
"""Differences that stay: a pattern, and why."""


@dataclass(frozen=True)
class RecordedDialogue:
    """One conversation with a live model.

    Attributes:
        name: The file's, without its ending.
        entries: What was sent and received, in order: whether the client sent it, and the event.
        is_excerpt: Whether parts of it are missing: then only what is there counts.
    """

    name: str
    entries: tuple[tuple[bool, Event], ...]
    is_excerpt: bool = False

    @property
    def received(self) -> list[Event]:
        """What the server sent."""
        return [event for is_sent, event in self.entries if not is_sent]

    @property
    def profile(self) -> Profile:
        """The model it was recorded with."""
        created = next((event for event in self.received if event["type"] == "session.created"), None)
        if created is None:
            return CURRENT
        model = created["session"].get("model", "").removesuffix("-global-standard")
        return replace(XAI, model=model) if model.startswith("grok") else profile_of(model) or CURRENT

    @property
    def handshake(self) -> Handshake:
        """How its client dialled."""
        path, query = next((path, query) for prefix, path, query in PLACES if self.name.startswith(prefix))
        return Handshake(path=path, query={"model": self.profile.model, **query})


def recordings(folder: Path = FOLDER) -> list[RecordedDialogue]:
    """Every recording of a server whose protocol we speak, by name."""
    names = tuple(prefix for prefix, _, _ in PLACES)
    return [load(path) for path in sorted(folder.glob("*.jsonl")) if path.name.startswith(names)]


def load(path: Path) -> RecordedDialogue:
    """One recording; an excerpt holds only what was received."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if all("dir" in line for line in lines):
        return RecordedDialogue(path.stem, tuple((line["dir"] == "sent", line["event"]) for line in lines))
    received = [{key: value for key, value in line.items() if key != "at"} for line in lines]
    return RecordedDialogue(path.stem, tuple(_with_a_client(received)), is_excerpt=True)


def _with_a_client(received: list[Event]) -> Iterator[tuple[bool, Event]]:
    """What the client must have sent where somebody falls silent after the first answer."""
    done = next(number for number, event in enumerate(received) if event["type"] == "response.done")
    heard = {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}
    heard |= {"transcription": {"model": "gpt-realtime-whisper"}}
    content = [{"type": "input_text", "text": "Say a short greeting."}]
    yield True, {"type": "session.update", "session": {"type": "realtime", "audio": {"input": heard}}}
    yield True, {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
    yield True, {"type": "response.create", "response": {"metadata": received[done]["response"]["metadata"]}}
    yield from ((False, event) for event in received[: done + 1])
    yield from ((True, {"type": "input_audio_buffer.append", "audio": ""}) for _ in range(60))
    yield from ((False, event) for event in received[done + 1 :])


# ---- playing


class Slow:
    """Speaks slowly enough to be interrupted."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        words = plan_speech(request).transcript
        return SpokenLine(words, Pcm.join([tone(request.voice, words)] * 5) if request.wants_audio else None)


@dataclass
class Player:
    """Plays one recording's client to an understudy.

    Attributes:
        recording: What is played.
        profile: The model that answers; the recording's own, if none is given.
        received: What came back so far.
    """

    recording: RecordedDialogue
    profile: Profile | None = None
    received: list[Event] = field(default_factory=list)

    async def play(self) -> list[Event]:
        """What the understudy sends."""
        library = KnownSpeech()
        appends = iter(self._input(library))
        house = Understudy(Slow(), profile=self.profile or self.recording.profile, known_speech=library)
        async with connected(house, self.recording.handshake, judged=False) as transport:
            seen: list[Event] = []
            for is_sent, event in self.recording.entries:
                if not is_sent:
                    seen.append(event)
                    continue
                await self._read(transport.inner, seen)
                sent = self._meant(event, seen)
                if event["type"] == "input_audio_buffer.append":
                    sent = event | {"audio": next(appends).base64.decode()}
                await self._send(transport.inner, json.dumps(sent).encode())
            await self._read(transport.inner, None)
        return self.received

    async def _send(self, transport: Transport, frame: bytes) -> None:
        """Send, and read on while the understudy waits for that."""
        while True:
            with anyio.move_on_after(1) as sending:
                await transport.send(frame)
            if not sending.cancelled_caught:
                return
            self.received.append(json.loads(await transport.receive()))

    async def _read(self, transport: Transport, seen: list[Event] | None) -> None:
        """Read until the understudy is where the recording was, or says nothing more."""
        anchor = next((event["type"] for event in reversed(seen or ()) if _is_anchor(event)), None)
        if seen is not None and anchor is None:
            return
        wanted = sum(event["type"] == anchor for event in seen or ())
        with anyio.move_on_after(30):
            while seen is None or sum(event["type"] == anchor for event in self.received) < wanted:
                self.received.append(json.loads(await transport.receive()))

    def _meant(self, event: Event, seen: list[Event]) -> Event:
        """A client's event with our ids for theirs, and a place to cut that lies within our sound."""
        text = json.dumps(event)
        for kind in ("item_id", "call_id", "response_id"):
            for theirs, ours in zip(_ids(seen, kind), _ids(self.received, kind), strict=False):
                text = text.replace(json.dumps(theirs), json.dumps(ours))
        found: Event = json.loads(text)
        cut = {e["item_id"] for e in self.recording.received if e["type"] == "conversation.item.truncated"}
        if found["type"] == "conversation.item.truncate" and event["item_id"] in cut:
            found["audio_end_ms"] = 100
        return found

    def _input(self, library: KnownSpeech) -> list[Pcm]:
        """Sound for each append: a voice where the recording heard one, and silence."""
        received = self.recording.received
        number = sum(is_sent and event["type"].endswith("append") for is_sent, event in self.recording.entries)
        words = [e["transcript"] for e in received if e["type"].endswith("transcription.completed")]
        starts = [e["audio_start_ms"] for e in received if e["type"].endswith("speech_started")]
        ends = [e["audio_end_ms"] for e in received if e["type"].endswith(("speech_stopped", "timeout_triggered"))]
        step_ms = max(100, (max(ends, default=0) + 1000) // max(1, number))
        sound = bytearray(2 * RATE * step_ms * number // 1000)
        for turn, start in enumerate(starts):
            voice = Pcm.join([tone("ash", f"{turn}" * 5)] * 12)
            at = 2 * RATE * (start + 400) // 1000
            sound[at : at + len(voice.data)] = voice.data
            library.teach(voice, words[-1] if words else "Hello.")
        size = 2 * RATE * step_ms // 1000
        return [Pcm(bytes(sound[at : at + size])) for at in range(0, len(sound), size)]


def _is_anchor(event: Event) -> bool:
    """Whether a client may have waited for an event: not for deltas, nor for limits, which come at times."""
    return not event["type"].endswith("delta") and event["type"] not in {"rate_limits.updated", "ping"}


def _ids(events: Iterable[Event], kind: str) -> list[str]:
    """Ids of one kind, in the order in which they are first told."""
    found: dict[str, None] = {}
    for event in events:
        if kind == "response_id" and "response" in event:
            found[event["response"]["id"]] = None
        for holder in (event, event.get("item") or {}):
            key = "id" if holder is not event and kind == "item_id" else kind
            if isinstance(holder.get(key), str):
                found[holder[key]] = None
    return list(found)


# ---- comparing


@dataclass(frozen=True, order=True)
class Difference:
    """One way in which the understudy is not the model.

    Attributes:
        where: The kind of event, or ``order``.
        what: What differs.
    """

    where: str
    what: str

    @property
    def reason(self) -> str | None:
        """Why it stays, if it may."""
        told = f"{self.where}: {self.what}"
        return next((why for pattern, why in EXPECTED if re.search(pattern, told)), None)


def differences(recording: RecordedDialogue, ours: list[Event]) -> Iterator[Difference]:
    """Everything in which two answers to the same client differ."""
    theirs = recording.received
    for kind, (their_facts, our_facts) in sorted(_paired(theirs, ours).items()):
        if not our_facts:
            yield Difference(kind, "only the model sends it")
        elif not their_facts:
            if not recording.is_excerpt:
                yield Difference(kind, "only the understudy sends it")
        else:
            held = _within(their_facts, our_facts) if recording.is_excerpt else our_facts
            yield from (Difference(kind, what) for what in _apart(their_facts, held))
    for name, pick in (("order", _order), ("order of transcripts", _transcripts)):
        their_order, our_order = pick(theirs), pick(ours)
        if recording.is_excerpt:
            our_order = _subsequence(their_order, our_order)
        matcher = difflib.SequenceMatcher(None, their_order, our_order, autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag != "equal":
                yield Difference(
                    name, f"the model {' '.join(their_order[a:b]) or '-'} | {' '.join(our_order[c:d]) or '-'}"
                )


Facts = dict[str, tuple[set[str], set[str]]]
"""Of one kind of event, by path: types, and values where they are few."""


def _paired(theirs: list[Event], ours: list[Event]) -> dict[str, tuple[Facts, Facts]]:
    found: dict[str, tuple[Facts, Facts]] = {}
    for side, events in enumerate((theirs, ours)):
        for event in events:
            facts = found.setdefault(kind_of(event), ({}, {}))[side]
            for path, kind, value in _walk(event, "", event.get("type", "").startswith("session.")):
                kinds, values = facts.setdefault(path, (set(), set()))
                kinds.add(kind)
                values.add(value)
    return found


def kind_of(event: Event) -> str:
    """An event's type, and what kind of thing it tells of.

    >>> kind_of({"type": "conversation.item.done", "item": {"type": "message", "role": "user"}})
    'conversation.item.done message user'
    """
    item, part = event.get("item") or {}, event.get("part") or {}
    about = [event["type"], item.get("type"), item.get("role"), item.get("phase"), part.get("type")]
    if isinstance(event.get("response"), dict):
        about += [event["response"].get("status"), *event["response"].get("output_modalities", ())]
    if event["type"] == "error":
        about.append(event["error"].get("code"))
    return " ".join(filter(None, about))


def _walk(value: Any, path: str, is_session: bool) -> Iterator[tuple[str, str, str]]:
    """Every path in an event: its type, and its value where that is one of a few."""
    name = path.rpartition(".")[2].removesuffix("[]")
    told = ""
    if isinstance(value, dict):
        kind = "object"
    elif isinstance(value, list):
        kind = "list"
    else:
        kind = {bool: "yes or no", type(None): "null", str: "text"}.get(type(value), "number")
        if name in FEW or name.endswith("modalities") or (is_session and "." in path and name not in FREE):
            told = json.dumps(value)
    yield path, kind, told
    if name in OPAQUE:
        return
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from _walk(inner, f"{path}.{key}" if path else key, is_session)
    for inner in value if isinstance(value, list) else ():
        yield from _walk(inner, f"{path}[]", is_session)


def _within(theirs: Facts, ours: Facts) -> Facts:
    """What of ours an excerpt holds, too."""
    return {
        path: (kinds & theirs[path][0], values & theirs[path][1])
        for path, (kinds, values) in ours.items()
        if path in theirs
    }


def _apart(theirs: Facts, ours: Facts) -> Iterator[str]:
    for path in sorted(theirs.keys() | ours.keys()):
        if path not in ours:
            yield f"only the model has {path}"
        elif path not in theirs:
            yield f"only the understudy has {path}"
        else:
            for mine, told in zip(ours[path], theirs[path], strict=True):
                if mine != told:
                    yield f"{path} is {_list(mine)}, at the model {_list(told)}"
                    break


def _list(values: set[str]) -> str:
    return " or ".join(sorted(filter(None, values))) or "-"


def _order(events: list[Event]) -> list[str]:
    """The order of kinds: of the deltas of an item only the first of each type counts."""
    found, begun = list[str](), set[tuple[str, str]]()
    for event in events:
        if "transcription" in event["type"] or event["type"] in {"rate_limits.updated", "ping"}:
            continue
        if event["type"].endswith("delta"):
            key = (event["item_id"], event["type"])
            if key in begun:
                continue
            begun.add(key)
        found.append(kind_of(event))
    return found


def _transcripts(events: list[Event]) -> list[str]:
    """The order in which the words of the input are told, and whether that begins after the answer."""
    kinds = [event["type"] for event in events]
    told = [kind.removeprefix("conversation.item.input_audio_") for kind in kinds if "transcription" in kind]
    if not told:
        return []
    first = next(number for number, kind in enumerate(kinds) if "transcription" in kind)
    answered = "response.created" in kinds[:first]
    runs = [kind for kind, before in zip(told, ["", *told], strict=False) if kind != before]
    return ["after the answer began" if answered else "before the answer", *runs]


def _subsequence(theirs: list[str], ours: list[str]) -> list[str]:
    """What of ours an excerpt holds, in our order."""
    rest, found = iter(ours), []
    for kind in theirs:
        for mine in rest:
            if mine == kind:
                found.append(kind)
                break
    return found


# ---- the table


async def _compare(found: dict[Difference, list[str]], names: list[str]) -> None:
    for recording in recordings():
        if names and not any(name in recording.name for name in names):
            continue
        ours = await Player(recording).play()
        for difference in dict.fromkeys(differences(recording, ours)):
            found.setdefault(difference, []).append(recording.name)


def compared(names: Iterable[str] = ()) -> dict[Difference, list[str]]:
    """Every difference, and the recordings that show it.

    Args:
        names: Parts of the names of the recordings to play; all, if none is given.
    """
    found: dict[Difference, list[str]] = {}
    trio.run(_compare, found, list(names), clock=MockClock(autojump_threshold=0))
    return found


def main() -> int:
    """Print the table; 1 if a difference is in it that nobody gave a reason for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of the names of recordings")
    names = parser.parse_args().names
    if not recordings():
        sys.exit(f"there are no recordings in {FOLDER}: set TAU_STAGE_RECORDINGS")
    found = compared(names)
    for difference, where in sorted(found.items()):
        why = f"\n    because {difference.reason}" if difference.reason else ""
        sys.stdout.write(f"{difference.where}: {difference.what}\n    {', '.join(where)}{why}\n")
    new = [difference for difference in found if difference.reason is None]
    sys.stdout.write(
        f"{len(found)} differences, {len(new)} of them without a reason, in {len(recordings())} recordings\n"
    )
    return bool(new)


if __name__ == "__main__":
    sys.exit(main())
