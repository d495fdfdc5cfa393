"""The policy for what is tried again, with plain data."""

from __future__ import annotations

import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import ConnectFailed, ModelRefused, SessionClosed, SessionError, Timeout
from tau_stage.protocol.responses import Response
from tau_stage.session.retrying import (
    RULES,
    Rule,
    Tally,
    Trouble,
    loss_trouble,
    opening_trouble,
    trouble_with,
    wished_wait_s,
)
from tests.support.tone_voice import tone


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (ConnectFailed(reason="", status=429), "busy"),
        (ConnectFailed(reason="", status=503), "unwell"),
        (ConnectFailed(reason="", status=401), None),
        (ConnectFailed(reason="", close_code=1006), "cut short"),
        (ConnectFailed(reason="", close_code=1011, code="server_error"), "cut short"),
        (ConnectFailed(reason="", close_code=1013), None),
        (ConnectFailed(reason="", close_code=1001, code="session_expired"), None),
        (ConnectFailed(reason="nobody is there"), None),
        (ConnectFailed(reason="", code="RateLimitReached", close_code=1008), "busy"),
        (ConnectFailed(reason="", code="too_many_requests"), "busy"),
        (ConnectFailed(reason="", code="rate_limit_exceeded", close_code=1013), None),
        (ConnectFailed(reason="You exceeded your current quota, please check your plan.", status=429), None),
        (ConnectFailed(reason="You have insufficient_quota.", code="429"), None),
        (ConnectFailed(reason="", code="invalid_api_key"), None),
        (Timeout(what="session.created", waited_s=1), "unanswered"),
        (ModelRefused(code="x", message="y"), None),
    ],
)
def test_an_opening_that_may_pass_is_told_from_one_that_never_will(
    error: SessionError, trouble: Trouble | None
) -> None:
    assert opening_trouble(error) == trouble


@pytest.mark.parametrize(
    ("response", "trouble"),
    [
        (Response("r", "completed", audio=Pcm.silence(9)), None),
        (Response("r", "completed", text="Yes."), None),
        (Response("r", "completed"), "empty"),
        (Response("r", "cancelled"), None),
        (Response("r", "failed", "rate_limit_exceeded"), "rate limit"),
        (Response("r", "failed", "server_error"), "server error"),
        (Response("r", "failed", "conversation_already_has_active_response"), "still speaking"),
        (Response("r", "failed", "insufficient_quota"), "refused"),
        (Response("r", "failed"), "refused"),
        (Response("r", "incomplete", "content_filter"), "content filter"),
        (Response("r", "incomplete", "max_output_tokens"), "truncated"),
        (Response("r", "incomplete"), "incomplete"),
    ],
)
def test_what_is_wrong_with_a_response(response: Response, trouble: Trouble | None) -> None:
    assert trouble_with(response) == trouble


@pytest.mark.parametrize(
    "code",
    [
        "inference_rate_limit_exceeded",
        "RATE_LIMIT_EXCEEDED",
        "RateLimitReached",
        "rateLimitExceeded",
        "rate-limit-exceeded",
        "too_many_requests",
        "TooManyRequests",
        "Too Many Requests",
        "Throttling.RateQuota",
        "RATE_LIMITED",
        "429",
    ],
)
def test_a_rate_limit_is_known_by_every_providers_name_for_it(code: str) -> None:
    assert trouble_with(Response("r", "failed", code)) == "rate limit"


@pytest.mark.parametrize("code", ["insufficient_quota", "InsufficientQuota", "429", "rate_limit_exceeded"])
def test_a_spent_quota_is_not_waited_for_whatever_its_code_is(code: str) -> None:
    said = "You exceeded your current quota, please check your plan and billing details."
    assert trouble_with(Response("r", "failed", code, message=said)) == "refused"


@pytest.mark.parametrize(
    ("response", "trouble"),
    [
        (Response("r", "completed", audio=tone("ash", "One.")), None),
        (Response("r", "completed", text="Yes.", audio=Pcm.silence(24_000)), "in writing"),
        (Response("r", "completed", transcript="Yes.", audio=Pcm.silence(24_000)), "inaudible"),
        (Response("r", "completed", audio=tone("ash", "One.")[:239]), "inaudible"),
        (Response("r", "completed", transcript="Yes."), "inaudible"),
        (Response("r", "cancelled"), "empty"),
        (Response("r", "completed"), "empty"),
    ],
)
def test_a_line_that_is_to_be_spoken_must_be_heard(response: Response, trouble: Trouble | None) -> None:
    assert trouble_with(response, sounds=True) == trouble
    assert trouble_with(response, sounds=True, may_be_empty=True) is None


def test_in_free_play_nothing_is_an_answer() -> None:
    assert trouble_with(Response("r", "completed"), may_be_empty=True) is None


def test_a_player_is_lost_where_it_is_cut_off_or_silent() -> None:
    assert loss_trouble(SessionClosed(code=1006)) == "dropped"
    assert loss_trouble(Timeout(what="sign", waited_s=1)) == "silent"


def test_waits_double_up_to_the_longest_and_troubles_are_counted_apart() -> None:
    tally = Tally({**RULES, "busy": Rule(5, first_wait_s=1, longest_wait_s=3)})
    assert [tally.wait_s("busy") for _ in range(5)] == [1, 2, 3, 3, None]
    assert tally.wait_s("server error") == 0.5
    assert tally.attempts == 1


def test_a_wish_is_kept_to_within_bounds() -> None:
    tally = Tally()
    assert [tally.wait_s("rate limit", wished) for wished in (0.0, 20.0, 60.0, 61.0)] == [0.0, 20.0, 60.0, None]


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 300ms.", 0.3),
        ("Please try again in 20s. Visit ...", 20),
        ("try again in 6m0s", 360),
        ("Try again in 1h2m3.5s", 3723.5),
        ("Try again in a while.", None),
        ("Rate limit is exceeded. Try again in 2 seconds.", 2),
        ("Please retry after 86400 seconds. Please contact Azure support service", 86400),
        ("Please retry after 1 second.", 1),
        ("Retry after 250 milliseconds", 0.25),
        ("please wait 1 minute and 5 seconds before you ask again", 65),
        ("Try again in 1 hour, 2 mins", 3720),
        ("Retry in 20 sec.", 20),
        ("try again in 3 sessions", None),
        ("retry after 9.5s", 9.5),
        ("", None),
    ],
)
def test_a_wish_in_words_is_understood(message: str, seconds: float | None) -> None:
    assert wished_wait_s(message) == seconds
