"""Tell a new conversation what its player has said and heard, or delete from it what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from tau_stage.audio import Pcm, Playable, read_wav
from tau_stage.errors import ModelRefused, TakeError
from tau_stage.protocol import FunctionCall, Response
from tau_stage.scene import LinePlan, SoundPlan
from tau_stage.session import Session
from tau_stage.stage.fan_out import ClipForm, HeardClip, confirm, send_clip
from tau_stage.take import Called
from tau_stage.take import records as record

Sounds = Mapping[tuple[str, float], Playable]
"""A scene's sound files, by the name it gives them and their gain in dB."""


Calls = Sequence[record.ToolCalled | Called]  # what a model called in a line, and what it was answered


@dataclass(frozen=True, slots=True)
class LineItem:
    """A line that was spoken; its sound lies on the disk. Hearers are those who listened at an open microphone, too."""

    line: LinePlan
    words: str
    file: Path | None
    hearers: frozenset[str]
    calls: Calls = ()


HistoryItem = LineItem | record.ItemGiven | SoundPlan


async def restore_context(
    session: Session, history: Sequence[HistoryItem], form: ClipForm, sounds: Sounds
) -> dict[str, float]:
    """Tell a new conversation all that its player said, heard and was given, in order; it may grow meanwhile.

    Return the lines and effects that were heard, and how many seconds each took. A ``SessionError`` says that it
    cannot be told, a ``TakeError`` that a line's sound is not there any more.
    """
    heard: dict[str, float] = {}
    at = 0
    while at < len(history):
        began = anyio.current_time()
        name = await add_item(session, history[at], form, sounds)
        at += 1
        if name:
            heard[name] = anyio.current_time() - began
    return heard


async def add_item(session: Session, history: HistoryItem, form: ClipForm, sounds: Sounds) -> str:
    """Tell a new conversation of something: what was heard as sound, what its own player said as words.

    Return the line or effect that was heard; empty, if it was something else, or none of the player's.
    """
    me = session.name
    match history:
        case record.ItemGiven(player=player, sound="") if player == me:
            await put_words(session, history.role, history.words)
        case record.ItemGiven(player=player, sound=sound) if player == me:
            await session.create_audio(sounds[sound, 0.0].heard)
        case LineItem(line=line) if line.player == me and not line.apart:
            await add_line(session, line, history.words, history.calls)
        case LineItem(line=line) if me in history.hearers:
            audio = _read(history.file)
            return await _hear(session, HeardClip(line.id, str(line.number), line.player, audio, history.words), form)
        case SoundPlan() if me in history.hearers:
            audio = sounds[history.file, history.gain_db].heard
            return await _hear(session, HeardClip(history.id, history.id, "", audio, ""), form)
    return ""


async def _hear(session: Session, clip: HeardClip, form: ClipForm) -> str:
    await confirm(session, await send_clip(session, clip, form))
    return clip.line


async def put_words(session: Session, role: str, words: str) -> None:
    """Put words into a player's conversation, as if somebody had said them."""
    await {"system": session.system, "user": session.user, "assistant": session.assistant}[role](words)


def _read(file: Path | None) -> Pcm:
    if file is None:
        return Pcm()
    try:
        return read_wav(file)
    except (OSError, ValueError) as error:
        raise TakeError(
            str(file),
            f"cannot read the audio of a line that a player must hear again: {error}",
            "perform the scene again",
        ) from None


async def add_line(session: Session, line: LinePlan, said: str, calls: Calls = ()) -> None:
    """Tell a new conversation of a line that its player said in a former one, and of what it called."""
    if line.prompt:
        await (session.system(line.prompt) if line.improvised else session.user(line.prompt))
    for call in calls:
        call_id = session.fresh("item")
        made = FunctionCall(id=session.fresh("item"), name=call.tool, arguments=call.arguments, call_id=call_id)
        await session.create(made)
        await session.tool_output(call_id, call.output)
    if said:
        await session.assistant(said)


async def delete_response(session: Session, response: Response) -> None:
    """Take what a player has said out of its conversation, so that it says it as if for the first time."""
    for item_id in response.item_ids:
        try:
            await session.delete_conversation_item(item_id)
        except ModelRefused as refused:  # one beside the conversation was never in it
            session.warn(refused.what_happened())


async def replace_last_answer(session: Session, said: Response, words: str) -> None:
    """Make a player believe that it said other words than those it said last: sound cannot be put back."""
    await delete_response(session, said)
    if words:
        await session.assistant(words)
