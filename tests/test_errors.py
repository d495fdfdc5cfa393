"""Errors say where, what and what to do."""

import pickle
from collections.abc import Callable
from copy import copy
from decimal import Decimal

import pytest

from tau_stage.errors import (
    BudgetExceeded,
    ConnectFailed,
    ModelRefused,
    ProtocolError,
    SceneError,
    SessionClosed,
    SessionError,
    StageError,
    TakeError,
    Timeout,
    lone,
)


def test_a_scene_error_points_at_the_place() -> None:
    error = SceneError("duel.yaml", 6, 5, "unknown key 'voise'", "did you mean 'voice'?", "    voise: ash")
    assert str(error).splitlines() == [
        "duel.yaml:6:5: unknown key 'voise'",
        "      voise: ash",
        "      ^",
        "  hint: did you mean 'voice'?",
    ]


def test_a_scene_error_without_source_or_hint_is_one_line() -> None:
    assert str(SceneError("x.yaml", 1, 1, "is a directory")) == "x.yaml:1:1: is a directory"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ProtocolError("ours", "no id"), "tau-stage violated the Realtime protocol: no id"),
        (ProtocolError("theirs", "no type"), "the server violated the Realtime protocol: no type"),
        (SessionError(), "the session failed"),
        (
            ConnectFailed(reason="slow down", status=429, player="clerk", endpoint="openai"),
            "player clerk, at openai: could not open the session (HTTP 429): slow down",
        ),
        (
            ConnectFailed(reason="no", code="invalid_api_key", close_code=3000),
            "could not open the session (invalid_api_key, close 3000): no",
        ),
        (ConnectFailed(reason="unreachable"), "could not open the session: unreachable"),
        (SessionClosed(code=1001, reason="too old"), "the session was closed (1001: too old)"),
        (SessionClosed(code=1006), "the session was closed (1006)"),
        (ModelRefused(code="invalid_value", message="bad"), "the model refused (invalid_value): bad"),
        (Timeout(what="answer", waited_s=2.5, line="clerk-1"), "line clerk-1: no answer within 2.5 s"),
        (
            BudgetExceeded(Decimal("0.5"), Decimal("0.4"), "x"),
            (
                "stopped before line x: $0.4000 of the budget of $0.5000 is used; "
                "raise limits.budget or --budget to continue"
            ),
        ),
        (TakeError("takes/x", "is full"), "takes/x: is full"),
        (TakeError("takes/x", "is full", "make room"), "takes/x: is full\n  hint: make room"),
    ],
)
def test_every_error_builds_its_sentence(error: StageError, sentence: str) -> None:
    assert str(error) == sentence


def test_about_fills_in_only_what_is_not_known() -> None:
    error = SessionClosed(code=1000, player="clerk").about(player="tourist", line="tourist-1")
    assert (error.player, error.line, error.code) == ("clerk", "tourist-1", 1000)


def test_a_group_of_several_stays_a_group() -> None:
    several = ExceptionGroup("two", [ValueError("a"), ValueError("b")])
    assert lone(several) is several


@pytest.mark.parametrize(
    "error",
    [
        SceneError("duel.yaml", 6, 5, "unknown key 'voise'", "did you mean 'voice'?"),
        ConnectFailed(reason="slow down", status=429, player="clerk"),
        SessionClosed(code=1006, endpoint="openai"),
        ModelRefused(code="x", message="No."),
        Timeout(what="session.updated", waited_s=5.0, line="a-1"),
        ProtocolError("theirs", "no type"),
    ],
)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy])  # noqa: S301 - our own
def test_an_error_can_be_pickled_and_copied(error: StageError, copied: Callable[[StageError], StageError]) -> None:
    again = copied(error)
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
