"""A bucket refills steadily, up to its limit; what a provider tells corrects it, downwards only."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.protocol import RateLimit, TokenBucket


def told(remaining: int, reset_s: float, limit: int = 600) -> RateLimit:
    return RateLimit(name="tokens", limit=limit, remaining=remaining, reset_seconds=reset_s)


def test_without_a_limit_nobody_waits() -> None:
    bucket = TokenBucket.unknown(0.0)
    bucket.take(10**9, 1.0)
    assert bucket.wait_s(10**9, 2.0) == 0.0
    assert bucket.level(3.0) == math.inf


def test_what_was_taken_comes_back_within_a_minute() -> None:
    bucket = TokenBucket.per_minute(600, 0.0)
    bucket.take(600, 0.0)
    assert [bucket.level(at) for at in (0.0, 30.0, 60.0, 90.0)] == [0, 300, 600, 600]
    bucket.take(900, 60.0)
    assert bucket.wait_s(0, 60.0) == 30.0
    bucket.take(-300, 60.0)
    assert bucket.wait_s(0, 60.0) == 0.0


@pytest.mark.parametrize(
    ("what", "limit", "level", "per_s"),
    [
        (told(300, 30.0), 600, 300, 10),
        (told(590, 0.06), 600, 590, 10),  # rounded: it tells no pace
        (told(500, 8640.0), 600, 500, 100 / 8640),  # of a day
        (told(-50, 65.0), 600, 0, 10),
        (told(600, 0.0), 600, 600, 10),
        (told(0, 0.0, limit=0), math.inf, math.inf, math.inf),
        (told(900, 0.0), 600, 600, 10),
    ],
)
def test_what_a_provider_tells_is_taken_over(what: RateLimit, limit: float, level: float, per_s: float) -> None:
    bucket = TokenBucket.unknown(0.0)
    bucket.correct(what, 5.0)
    assert (bucket.limit, bucket.level(5.0), bucket.per_s) == (limit, level, per_s)


def test_a_limit_that_a_user_has_set_holds_against_a_higher_one() -> None:
    bucket = TokenBucket.per_minute(60, 0.0)
    bucket.take(50, 0.0)
    bucket.correct(told(550, 5.0), 0.0)
    assert (bucket.limit, bucket.level(0.0), bucket.per_s) == (60, 10, 1)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 900), st.integers(0, 600)), max_size=20))
def test_no_news_gives_more_than_the_limit_and_its_pace_allow(events: list[tuple[float, int, int]]) -> None:
    bucket, now, taken = TokenBucket.per_minute(600, 0.0), 0.0, 0.0
    for pause, amount, remaining in events:
        now += pause
        if bucket.wait_s(amount, now) == 0.0:
            bucket.take(min(amount, 600), now)
            taken += min(amount, 600)
        bucket.correct(told(remaining, 0.0), now)
        assert bucket.level(now) <= 600
        assert taken <= 600 + now * 10 + 1e-6
