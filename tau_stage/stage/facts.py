"""What is performed, as the journal tells it. Pure."""

from __future__ import annotations

from tau_stage.audio.files import Playable
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.stereo import Stereo
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import LinePlan, SoundPlan
from tau_stage.stage.line import Delivery
from tau_stage.take.records import LineSpoken, SoundPlayed, TakeKept
from tau_stage.take.take_model import Alternative, Performed


def spoken(line: LinePlan, audio: Pcm, said: str, at: int, file: str | None, hearers: tuple[str, ...]) -> LineSpoken:
    """Record a line of a person.

    Args:
        line: As it was performed.
        audio: What is heard of it.
        said: Its words.
        at: The sample of the timeline it begins at.
        file: Its file in the take.
        hearers: Who hears it.
    """
    return LineSpoken(
        line=line.id,
        number=line.number,
        player=line.player,
        asked=line.words,
        direction=line.direction,
        said=said,
        status="completed",
        reason=None,
        file=file,
        sha256=audio.sha256,
        samples=len(audio),
        rate=RATE,
        offset_samples=at,
        scripted=not line.improvised,
        human=True,
        take=1,
        first_audio_s=None,
        first_words_s=None,
        took_s=0.0,
        hearers=hearers,
        response="",
        attempts=1,
        usage=Usage(),
    )


def delivered(fact: LineSpoken, delivery: Delivery, took_s: float, take: int) -> LineSpoken:
    """Record the same of a model.

    Args:
        fact: Who spoke what.
        delivery: How.
        took_s: Seconds from the request to its end.
        take: Which of its takes it is.
    """
    response = delivery.response
    facts = {
        "status": response.status,
        "reason": delivery.reason,
        "human": False,
        "take": take,
        "first_audio_s": response.first_audio_s,
        "first_words_s": delivery.first_words_s,
        "took_s": round(took_s, 6),
        "response": response.id,
        "attempts": delivery.attempts,
        "usage": response.usage,
        "problem": delivery.problem,
        "written": delivery.written,
        "commentary": delivery.commentary,
        "commentary_s": delivery.commentary_s,
    }
    return fact.model_copy(update=facts)


def taken_over(
    line: LinePlan, audio: Pcm, at: int, file: str | None, former: Performed, outdated: tuple[str, ...]
) -> LineSpoken:
    """Record a line as it was in a former take: nobody is paid.

    Args:
        line: With its number now.
        audio: Its sound.
        at: The sample of the timeline it begins at.
        file: Its file in this take.
        former: As it was.
        outdated: Lines that were heard in it otherwise than they are now.
    """
    hearers = tuple(hearing.player for hearing in former.hearers)
    told = {"asked", "direction", "scripted", "human", "take", "reason", "first_audio_s", "first_words_s", "took_s",
            "response", "attempts", "problem", "written", "commentary", "commentary_s"}  # fmt: skip
    outdated = tuple(dict.fromkeys((*former.outdated, *outdated)))
    facts = {**former.model_dump(include=told), "status": former.ended, "former": True, "outdated": outdated}
    return spoken(line, audio, former.said, at, file, hearers).model_copy(update=facts)


def take_kept(line: LinePlan, take: int, delivery: Delivery, file: str | None, took_s: float) -> TakeKept:
    """Record one of several takes of a line, as it has ended."""
    response = delivery.response
    return TakeKept(
        line=line.id,
        player=line.player,
        take=take,
        said=response.transcript,
        file=file,
        sha256=response.audio.sha256,
        samples=len(response.audio),
        response=response.id,
        usage=response.usage,
        status=response.status,
        reason=delivery.reason,
        first_audio_s=response.first_audio_s,
        first_words_s=delivery.first_words_s,
        took_s=round(took_s, 6),
        attempts=delivery.attempts,
        problem=delivery.problem,
        written=delivery.written,
        commentary=delivery.commentary,
        commentary_s=delivery.commentary_s,
    )


def former_take(line: LinePlan, other: Alternative, file: str | None) -> TakeKept:
    """Record one of several takes of a line, as it was in a former take: nobody is paid."""
    told = {"take", "said", "sha256", "samples", "problem"}
    return TakeKept(
        line=line.id,
        player=line.player,
        file=file,
        response="",
        usage=Usage(),
        status=other.ended,
        **other.model_dump(include=told),
    )


def played(sound: SoundPlan, audio: Playable, at: int) -> SoundPlayed:
    """Record an effect or a bed, as loud as it is, from a sample of the timeline on."""
    return SoundPlayed(
        sound=sound.id,
        kind=sound.kind,
        source=sound.file,
        stem=sound.stem,
        gain_db=sound.gain_db,
        offset_samples=at,
        samples=len(audio.heard),
        sha256=audio.heard.sha256,
        stereo_sha256=audio.laid.sha256 if isinstance(audio.laid, Stereo) else "",
        hearers=sound.hearers,
    )
