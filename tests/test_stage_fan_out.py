"""What others hear: built once, the next speaker first, one player's trouble nobody else's."""

from __future__ import annotations

import json

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import SessionError
from tau_stage.session import Deadlines, Session
from tau_stage.session.arguments import LONGEST_APPEND
from tau_stage.stage.fan_out import (
    QUEUED_CLIPS,
    ClipForm,
    HeadStart,
    Heard,
    HeardClip,
    HearingNews,
    Listener,
    NotHeard,
    Sent,
    open_fan_out,
)
from tau_stage.transport import MemoryTransport
from tests.support.counted_calls import counted_calls
from tests.support.openai_types import check_client_event
from tests.support.tone_voice import tone


def test_a_clip_is_one_valid_event_with_the_very_samples() -> None:
    audio = tone("ash", 'A "line", said')
    clip = HeardClip("ann-1", "7", "ann", audio, 'A "line", said')
    ((frame, request),) = clip.frames(ClipForm())
    check_client_event(frame)
    told = json.loads(frame)
    assert told["item"]["content"] == [
        {"type": "input_audio", "audio": audio.base64.decode(), "transcript": 'A "line", said'}
    ]
    assert (request.event_id, request.item_id) == (told["event_id"], told["item"]["id"])
    assert clip.audio.sha256 == audio.sha256


def test_a_clip_that_is_too_long_for_one_event_is_split_on_a_sample() -> None:
    audio = Pcm.silence(LONGEST_APPEND // 4 * 3 // 2 + 10)
    clip = HeardClip("ann-1", "7", "ann", audio, "")
    sounds = [json.loads(frame)["item"]["content"][0]["audio"] for frame, _ in clip.frames(ClipForm())]
    assert [len(sound) <= LONGEST_APPEND for sound in sounds] == [True, True]
    assert len({request.item_id for _, request in clip.frames(ClipForm())}) == 2
    assert sum(len(sound) // 4 * 3 - sound.count("=") for sound in sounds) == len(audio.data)


def test_a_line_without_sound_is_heard_as_its_words() -> None:
    ((frame, _),) = HeardClip("ann-1", "7", "ann", Pcm(), "One.").frames(ClipForm())
    check_client_event(frame)
    assert json.loads(frame)["item"]["content"] == [{"type": "input_text", "text": "One."}]


def test_who_hears_as_text_is_sent_the_words_and_perhaps_who_says_them() -> None:
    clip = HeardClip("ann-1", "7", "ann", tone("ash", "One."), "One.")
    for form, text in ((ClipForm(as_text=True), "One."), (ClipForm(as_text=True, labelled=True), "ann: One.")):
        ((frame, _),) = clip.frames(form)
        check_client_event(frame)
        assert json.loads(frame)["item"]["content"] == [{"type": "input_text", "text": text}]


def test_a_label_stands_before_the_sound_once_and_an_effect_has_none() -> None:
    audio = Pcm.silence(LONGEST_APPEND // 4 * 3 // 2 + 10)
    first, second = (
        json.loads(frame) for frame, _ in HeardClip("a", "7", "ann", audio, "").frames(ClipForm(labelled=True))
    )
    assert first["item"]["content"][0] == {"type": "input_text", "text": "ann says:"}
    assert [part["type"] for part in second["item"]["content"]] == ["input_audio"]
    ((frame, _),) = HeardClip("sfx-1", "sfx-1", "", tone("ash", "One."), "").frames(ClipForm(labelled=True))
    check_client_event(frame)
    assert [part["type"] for part in json.loads(frame)["item"]["content"]] == ["input_audio"]


def test_a_form_is_built_once_for_all_who_hear_so() -> None:
    clip = HeardClip("ann-1", "7", "ann", tone("ash", "One."), "One.")
    assert clip.frames(ClipForm()) is clip.frames(ClipForm())


FORMS = dict.fromkeys(("bob", "cid", "dan"), ClipForm())


class Hearers:
    """Sessions whose servers acknowledge by hand, and what was taken in which order."""

    def __init__(self, *names: str) -> None:
        self.order: list[str] = []
        self.servers: dict[str, MemoryTransport] = {}
        self.sessions: dict[str, Session] = {}
        self.news: list[HearingNews] = []
        for name in names:
            ours, self.servers[name] = MemoryTransport.pair()
            session = self.sessions[name] = Session(name=name, deadlines=Deadlines(request_s=5))
            session.swap(session.new_wire(ours))

    @property
    def outcomes(self) -> list[HearingNews]:
        """What was heard or missed, without what was sent."""
        return [news for news in self.news if not isinstance(news, Sent)]

    async def attend(self, name: str) -> None:
        """Take and acknowledge everything."""
        while True:
            told = json.loads(await self.servers[name].receive())
            self.order.append(name)
            item = {"id": told["item"]["id"], "type": "message"}
            await self.servers[name].send(json.dumps({"type": "conversation.item.added", "item": item}).encode())

    async def hear(self, clips: list[HeardClip], *, first: str = "", deaf: frozenset[str] = frozenset()) -> None:
        async with anyio.create_task_group() as group:
            for name, session in self.sessions.items():
                group.start_soon(session.wire.listen)
                if name not in deaf:
                    group.start_soon(self.attend, name)
            async with open_fan_out(self.sessions, self.news.append, FORMS) as fan_out:
                for clip in clips:
                    fan_out.send_to(clip, list(self.sessions), [first])
                    await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()


CLIP = HeardClip("ann-1", "1", "ann", tone("ash", "One."), "One.")


async def test_who_speaks_next_hears_first_and_then_all_others() -> None:
    hearers = Hearers("bob", "cid", "dan")
    await hearers.hear([CLIP], first="dan")
    assert hearers.order[0] == "dan"
    assert sorted(hearers.order) == ["bob", "cid", "dan"]
    assert all(isinstance(news, Heard) for news in hearers.outcomes)


async def test_without_a_next_speaker_all_hear_at_once() -> None:
    hearers = Hearers("bob", "cid")
    await hearers.hear([CLIP])
    assert [type(news) for news in hearers.news] == [Sent, Sent, Heard, Heard]


async def test_a_next_speaker_that_is_stuck_holds_the_others_up_for_two_seconds_only() -> None:
    hearers = Hearers("bob", "cid")
    for _ in range(16):
        await hearers.sessions["bob"].raw.send(b"stuck")
    began = anyio.current_time()
    hearers.news = news = Noted()
    await hearers.hear([CLIP], first="bob", deaf=frozenset({"bob"}))
    (sent, heard, deaf), (after_s, _, _) = news, news.times
    assert isinstance(sent, Sent)
    assert isinstance(heard, Heard)
    assert round(after_s - began) == 2
    assert isinstance(deaf, NotHeard)
    assert deaf.lost


async def test_the_others_are_sent_a_clip_when_the_next_speaker_has_acknowledged_it() -> None:
    hearers = Hearers("bob", "cid", "dan")
    hearers.news = news = Noted()

    async def answer_late() -> None:
        await anyio.sleep(0.3)
        await hearers.attend("bob")

    async with anyio.create_task_group() as group:
        for session in hearers.sessions.values():
            group.start_soon(session.wire.listen)
        group.start_soon(answer_late)
        group.start_soon(hearers.attend, "cid")
        group.start_soon(hearers.attend, "dan")
        began = anyio.current_time()
        async with open_fan_out(hearers.sessions, news.append, FORMS) as fan_out:
            fan_out.send_to(CLIP, list(hearers.sessions), ["bob"])
        group.cancel_scope.cancel()
    told = [(type(each), each.hearer, round(at - began, 3)) for each, at in zip(news, news.times, strict=True)]
    assert told[:2] == [(Sent, "bob", 0.0), (Heard, "bob", 0.3)]
    assert sorted(told[2:], key=str) == sorted(
        [(kind, name, 0.3) for kind in (Sent, Heard) for name in ("cid", "dan")], key=str
    )


async def test_who_is_to_speak_after_all_is_held_back_no_longer() -> None:
    hearers = Hearers("bob", "cid", "dan")
    async with anyio.create_task_group() as group:
        group.start_soon(hearers.sessions["cid"].wire.listen)
        group.start_soon(hearers.attend, "cid")
        async with open_fan_out(hearers.sessions, hearers.news.append, FORMS) as fan_out:
            fan_out.send_to(CLIP, list(hearers.sessions), ["bob"])
            await anyio.wait_all_tasks_blocked()
            assert [(type(news), news.hearer) for news in hearers.news] == [(Sent, "bob")]
            fan_out.hurry(["cid"])
            await fan_out.listeners["cid"].wait_until_confirmed()
            await anyio.wait_all_tasks_blocked()
            assert [(type(news), news.hearer) for news in hearers.news[1:]] == [(Sent, "cid"), (Heard, "cid")]
            group.cancel_scope.cancel()


async def test_clips_are_sent_one_behind_the_other_without_waiting_for_an_answer() -> None:
    hearers = Hearers("bob")
    clips = [HeardClip("ann-1", str(number), "ann", tone("ash", "One."), "One.") for number in range(3)]
    async with anyio.create_task_group() as group:
        async with open_fan_out(hearers.sessions, hearers.news.append, FORMS) as fan_out:
            for clip in clips:
                fan_out.send_to(clip, ["bob"])
            await anyio.wait_all_tasks_blocked()
            assert [news.clip for news in hearers.news if isinstance(news, Sent)] == clips
            group.start_soon(hearers.sessions["bob"].wire.listen)
            group.start_soon(hearers.attend, "bob")
        group.cancel_scope.cancel()
    assert [news.clip for news in hearers.outcomes if isinstance(news, Heard)] == clips


async def test_a_clip_is_encoded_framed_and_hashed_once_for_all_hearers() -> None:
    hearers = Hearers(*(f"p{number}" for number in range(7)))
    audio = Pcm.silence(24_000)
    async with anyio.create_task_group() as group:
        for name, session in hearers.sessions.items():
            group.start_soon(session.wire.listen)
            group.start_soon(hearers.attend, name)
        forms = dict.fromkeys(hearers.sessions, ClipForm())
        hashes: list[str] = []

        def report(news: HearingNews) -> None:
            assert isinstance(news, Sent | Heard)
            hashes.append(news.clip.audio.sha256)

        with counted_calls() as calls:
            async with open_fan_out(hearers.sessions, report, forms) as fan_out:
                fan_out.send_to(HeardClip("ann-1", "1", "ann", audio, "One."), list(forms), ["p3"])
        group.cancel_scope.cancel()
    assert hashes == [audio.sha256] * 14
    assert [calls[name] for name in ("openssl_sha256", "b64encode", "to_json")] == [1, 1, 1]


class Noted(list[HearingNews]):
    """A list that notes when it grew."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def append(self, news: HearingNews) -> None:
        self.times.append(anyio.current_time())
        super().append(news)


async def test_who_falls_too_far_behind_is_lost_and_told_once() -> None:
    hearers = Hearers("bob")
    clips = [HeardClip("ann-1", str(number), "ann", tone("ash", "One."), "One.") for number in range(QUEUED_CLIPS + 5)]
    await hearers.hear(clips, deaf=frozenset({"bob"}))
    lost = [news for news in hearers.news if isinstance(news, NotHeard)]
    assert lost
    assert all(news.lost for news in lost)
    assert "free slot in the clip queue" in str(lost[0].why)


async def test_a_clip_that_is_refused_is_missed_and_the_player_goes_on() -> None:
    hearers = Hearers("bob")
    news = hearers.news

    async def refuse() -> None:
        told = json.loads(await hearers.servers["bob"].receive())
        error = {"type": "invalid_request_error", "message": "no", "event_id": told["event_id"]}
        await hearers.servers["bob"].send(json.dumps({"type": "error", "error": error}).encode())
        await hearers.attend("bob")

    async with anyio.create_task_group() as group:
        group.start_soon(hearers.sessions["bob"].wire.listen)
        group.start_soon(refuse)
        async with open_fan_out(hearers.sessions, news.append, FORMS) as fan_out:
            fan_out.send_to(CLIP, ["bob"])
            fan_out.send_to(HeardClip("ann-2", "2", "ann", tone("ash", "Two."), "Two."), ["bob"])
        group.cancel_scope.cancel()
    missed, heard = hearers.outcomes
    assert isinstance(missed, NotHeard)
    assert not missed.lost
    assert "line ann-1, player bob: the model refused" in str(missed.why)
    assert isinstance(heard, Heard)


async def test_a_failure_of_the_performance_still_closes_the_house() -> None:
    hearers = Hearers("bob")
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_fan_out(hearers.sessions, hearers.news.append, FORMS):
            raise SessionError(player="ann")
    assert caught.group_contains(SessionError)


async def test_who_has_left_is_sent_nothing_and_fails_nobody() -> None:
    hearers = Hearers("bob")
    listener = Listener(hearers.sessions["bob"], hearers.news.append)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    listener.enqueue(CLIP, HeadStart())
    listener.close()
    assert hearers.news == []
