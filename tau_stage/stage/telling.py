"""What a player has said and heard: told to a new conversation, or forgotten by an old one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import read_wav
from tau_stage.errors import ModelRefused, TakeError
from tau_stage.protocol.conversation import Response
from tau_stage.scene.plan import LinePlan, SoundPlan
from tau_stage.session import Session
from tau_stage.stage.hearing import Clip, Form, deliver
from tau_stage.stage.mixing import levelled


@dataclass(frozen=True, slots=True)
class Said:
    """A line that was spoken; its sound lies on the disk.

    Attributes:
        line: As it was performed.
        words: What was said.
        file: Where its sound lies.
        hearers: Who heard it, whoever listened at an open microphone too.
    """

    line: LinePlan
    words: str
    file: Path | None
    hearers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Given:
    """An item that was put into one player's conversation: words, or a sound file of the scene."""

    player: str
    role: Literal["system", "user", "assistant"]
    words: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True)
class Sound:
    """An effect that was played."""

    step: SoundPlan


Past = Said | Given | Sound


async def tell(session: Session, past: Past, form: Form, sounds: Mapping[str, Pcm]) -> str | None:
    """Tell a new conversation of something: what was heard as sound, what its own player said as words.

    Args:
        session: The player's.
        past: What happened.
        form: How the player hears.
        sounds: The scene's sound files, by name.

    Returns:
        The line or effect that was heard; empty, if it was something else; None, if it is none of the player's.

    Raises:
        SessionError: It cannot be told.
        TakeError: A line's sound is not there any more.
    """
    me = session.name
    match past:
        case Given(player=player) if player == me:
            await _give(session, past, sounds)
        case Said() if past.line.player == me and not past.line.apart:
            await retell(session, past.line, past.words)
        case Said() if me in past.hearers:
            line = past.line
            await deliver(session, Clip(line.id, str(line.number), line.player, _read(past.file), past.words), form)
            return line.id
        case Sound(step=step) if me in step.hearers:
            audio = levelled(sounds[step.file], step.gain_db)
            await deliver(session, Clip(step.id, step.id, "", audio, ""), form)
            return step.id
        case _:
            return None
    return ""


async def _give(session: Session, given: Given, sounds: Mapping[str, Pcm]) -> None:
    if given.sound:
        await session.create_audio(sounds[given.sound])
    else:
        put = {"system": session.system, "user": session.user, "assistant": session.assistant}
        await put[given.role](given.words)


def _read(file: Path | None) -> Pcm:
    if file is None:
        return Pcm()
    try:
        return read_wav(file)
    except (OSError, ValueError) as error:
        raise TakeError(str(file), f"a player must hear the line again: {error}", "perform the scene again") from None


async def retell(session: Session, line: LinePlan, said: str) -> None:
    """Tell a new conversation of a line that its player said in a former one."""
    if line.prompt:
        await (session.system(line.prompt) if line.improvised else session.user(line.prompt))
    if said:
        await session.assistant(said)


async def forget(session: Session, response: Response) -> None:
    """Take what a player has said out of its conversation, so that it says it as if for the first time."""
    for item_id in response.item_ids:
        try:
            await session.delete_conversation_item(item_id)
        except ModelRefused as refused:  # one beside the conversation was never in it
            session.warnings.append(str(refused))


async def remember(session: Session, said: Response, words: str) -> None:
    """Make a player believe that it said other words than those it said last: sound cannot be put back."""
    await forget(session, said)
    if words:
        await session.assistant(words)
