"""What a player goes by: words heard since its own last answer, lines asked for, whispers, silence."""

from __future__ import annotations

from typing import Any

import pytest

from tau_stage.protocol.client_events import ConversationItemCreate, ResponseConfig, ResponseCreate
from tau_stage.protocol.items import AssistantMessage, InputAudio, InputText, OutputText, SystemMessage, UserMessage
from tau_stage.understudy.actor import SpeechRequest, Utterance
from tau_stage.understudy.delivery import plan_speech, wants_silence
from tau_stage.understudy.dialogue import Dialogue
from tau_stage.understudy.listening import request_for
from tau_stage.understudy.server import Understudy
from tau_stage.understudy.settings import new_session
from tau_stage.understudy.sound_store import KnownSpeech
from tests.support.memory_server import MODEL, bare_client, in_session
from tests.support.tone_voice import Tones, tone

LINE = 'Perform this line, slowly: "Give it a minute."'


def heard(*parts: str | tuple[str, str | None]) -> UserMessage:
    """A user's message: a text, or a pair of what a sound says and its transcript."""
    return UserMessage(content=tuple(_part(part) for part in parts))


def _part(part: str | tuple[str, str | None]) -> InputText | InputAudio:
    if isinstance(part, str):
        return InputText(text=part)
    sound = tone("ash", part[0]).base64.decode()
    return InputAudio(audio=sound, transcript=part[1]) if part[1] else InputAudio(audio=sound)


def whisper(text: str) -> SystemMessage:
    return SystemMessage(content=(InputText(text=text),))


def own(text: str) -> AssistantMessage:
    return AssistantMessage(content=(OutputText(text=text),))


def cue(*items: Any, library: KnownSpeech | None = None, **wanted: Any) -> SpeechRequest:
    dialogue = Dialogue(1, new_session("sess_1", MODEL, 0))
    for item in items:
        dialogue.take(ConversationItemCreate(item=item).encode())
    run = dialogue.take(ResponseCreate(response=ResponseConfig(**wanted)).encode()).begin
    assert run is not None
    return request_for(run, library or KnownSpeech())


def performed(*items: Any, **wanted: Any) -> str:
    return plan_speech(cue(*items, **wanted)).transcript


def test_words_heard_come_in_order_with_their_labels() -> None:
    found = cue(
        heard(("Hello.", "Hello.")),
        heard("keeper says:", ("No boat.", "No boat.")),
        heard("Marlow says: I am tired."),
        heard("The stranger:"),
        heard(("Hm.", "Hm.")),
        heard("Who are you?"),
    )
    assert found.heard == (
        Utterance("Hello."),
        Utterance("No boat.", "keeper"),
        Utterance("I am tired.", "Marlow"),
        Utterance("Hm.", "The stranger"),
        Utterance("Who are you?"),
    )
    assert found.user == "Who are you?"
    assert cue(heard("keeper says:", ("No boat.", "No boat."))).user == ""


def test_a_sound_without_a_transcript_has_the_words_the_house_knows() -> None:
    library = KnownSpeech()
    library.add(tone("ash", "Hello."), "Hello.")
    found = cue(heard(("Hello.", None)), heard(("Never said here.", None)), library=library)
    assert found.heard == (Utterance("Hello."), Utterance(""))


def test_what_was_answered_is_not_answered_again() -> None:
    found = cue(heard("Who are you?"), own("Nobody."), heard(("Hm.", "Hm.")), whisper("Your turn."))
    assert (found.heard, found.said) == ((Utterance("Hm."),), ("Nobody.",))
    assert cue(heard(LINE), own("Give it a minute.")).user == ""


def test_a_line_is_no_remark_and_is_performed_wherever_it_is_asked_for() -> None:
    assert cue(heard(("Hm.", "Hm.")), heard(LINE)).heard == (Utterance("Hm."),)
    assert performed(heard(("Hm.", "Hm.")), heard(LINE)) == "Give it a minute."
    assert performed(heard(("Hm.", "Hm.")), input=(heard(LINE),), conversation="none") == "Give it a minute."
    assert performed(heard(LINE), whisper("Softly.")) == "Give it a minute."


def test_a_whisper_that_comes_last_may_hold_the_line() -> None:
    asked = whisper(f'You often say: "Ahoy".\n{LINE}')
    assert performed(heard(("Hm.", "Hm.")), asked) == "Give it a minute."
    assert performed(asked, heard("Who are you?")) != "Give it a minute."
    assert performed(asked, own("Give it a minute.")) != "Give it a minute."
    assert plan_speech(cue(asked)).style.rate < 1


def test_instructions_of_a_response_may_hold_the_line_but_those_of_the_session_may_not() -> None:
    assert performed(heard("Who are you?"), instructions=LINE) == "Give it a minute."
    assert performed(heard('Say: "No."'), instructions=LINE) == "No."
    assert performed(heard('Say: "No."'), whisper(LINE)) == "Give it a minute."
    assert plan_speech(SpeechRequest(LINE, (), "", (), "ash")).transcript != "Give it a minute."


def test_the_words_of_a_line_do_not_colour_it() -> None:
    asked = 'Perform this line: "He whispers and shouts."'
    plain = plan_speech(cue(whisper(asked))).style
    assert (plain.whispered, plain.gain_db) == (False, 0.0)


# ---- silence


@pytest.mark.parametrize("conversation", ["auto", "none"])
async def test_who_is_told_to_say_nothing_passes(conversation: str) -> None:
    async with bare_client() as client:
        for role, text in (("user", "Who is there?"), ("system", "It is not your turn. Say nothing.")):
            item = {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
            await client.send("conversation.item.create", item=item)
            await client.until("conversation.item.done")
        await client.send("response.create", response={"conversation": conversation})
        events = await client.until("response.done")
    assert [event["type"] for event in events] == ["response.created", "response.done"]
    response = events[1]["response"]
    assert (response["status"], response["output"]) == ("completed", [])
    assert (response["usage"]["input_tokens"] > 0, response["usage"]["output_tokens"]) == (True, 0)


async def test_a_player_that_passed_still_answers_what_it_heard_before() -> None:
    async with in_session() as session:
        await session.user("Have you seen the umbrella?")
        await session.system("Say nothing.")
        passed = await session.response()
        assert (passed.status, passed.transcript, len(passed.audio)) == ("completed", "", 0)
        await session.system("Now it is your turn.")
        assert "umbrella" in (await session.response()).transcript.lower()


@pytest.mark.parametrize(
    "items",
    [
        (whisper("Say nothing."), heard("Who is there?")),
        (whisper("Say nothing else than your line."),),
        (whisper('Say nothing, but perform this line: "No."'),),
        (whisper("If you know nothing, say nothing."),),
    ],
)
def test_only_a_plain_order_that_comes_last_is_obeyed(items: tuple[Any, ...]) -> None:
    assert not wants_silence(cue(*items))


async def test_players_answer_one_another() -> None:
    house = Understudy(Tones())
    async with in_session(house) as keeper, in_session(house) as guest:
        for session, name in ((keeper, "keeper"), (guest, "guest")):
            await session.system(f"You are {name}. With you play: keeper, guest. It is about: the last boat.")
        said = []
        for number in range(6):
            speaker, hearer = (keeper, guest) if number % 2 == 0 else (guest, keeper)
            line = await speaker.response()
            said.append(line.transcript)
            await hearer.create_audio(line.audio, line.transcript)
    assert all("boat" in words for words in said), said
    assert len(set(said)) == 6
