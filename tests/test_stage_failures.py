"""What goes wrong in a performance: tried again, brought back, gone on without, or told; nothing paid is lost."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from tau_stage.audio.wav import read_wav
from tau_stage.cost import price
from tau_stage.cost.forecasting import expected_usage
from tau_stage.devices import sound_cards
from tau_stage.errors import Timeout, UsageError
from tau_stage.session import Deadlines
from tau_stage.stage.takes import wait_until_idle
from tau_stage.take import records as record
from tau_stage.take.take_model import Take
from tau_stage.understudy import faults as fault
from tau_stage.understudy.actor import SpeechRequest, SpokenLine
from tau_stage.understudy.server import Understudy
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.support.memory_server import in_session
from tests.support.tone_voice import Tones, tone
from tests.test_faults import OTHERS, STRIKES

LONG = "This line is long enough to be cut somewhere in its middle, I should think."
TRIO = f"""
direction: You are an actor.
players:
  ann: {{voice: ash, setup: [user: Good evening.]}}
  bob: {{voice: sage}}
  cid: {{voice: coral}}
lines:
  - ann: One.
  - prompt: {{bob: Be brief.}}
  - bob: '{LONG}'
  - ann: Three.
  - bob: Four.
"""
QUICK = Deadlines(opening_s=2, request_s=3, response_s=4, closing_s=1)
ANN, BOB, CID = 1, 2, 3
LONGEST_S = 60.0


class Chatterbox(Tones):
    """Does not come to an end."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        del request
        return SpokenLine("And so on.", tone("ash", "and so on, " * 200))


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (fault.Strike("stray", "in_response"), "player ann: the server reported an error (server_error): Hiccup."),
        (fault.Strike("close", "in_response"), "player ann: the server reported an error (server_error): Sorry."),
        (
            fault.Strike("refuse", "hearing"),
            "line ann-1, player bob: the model refused (server_error): No; the player did not hear the line",
        ),
        (
            fault.Strike("close", "opening"),
            "player ann, at understudy: could not open the session (close 1011): Sorry; waited ",
        ),
        (
            fault.FailResponses(code="server_error", message="No."),
            "line ann-1, player ann: the response failed (server_error): No; retried after ",
        ),
    ],
)
async def test_a_message_says_where_and_what_once(order: fault.Fault, told: str, tmp_path: Path) -> None:
    take = await Playhouse(tmp_path, [order], judges=False).perform(TRIO)
    assert any(text.startswith(told) for text in take.warnings), take.warnings


@pytest.mark.slow
@pytest.mark.parametrize("order", [*STRIKES, *OTHERS], ids=str)
async def test_no_message_says_a_thing_twice(order: fault.Fault, tmp_path: Path) -> None:
    """Slow: a scene on each fault."""
    house = Playhouse(tmp_path, [order], judges=False)
    take = await house.perform(TRIO)
    for text in (*take.warnings, take.problem):
        assert ".;" not in text
        assert text.count("player ") - text.count("the player ") <= 1, text
        assert not ("error" in text.partition(":")[0] and "refused" in text), text


async def performed(house: Playhouse, scene: str = TRIO) -> Take:
    """A take, in time: whatever goes wrong, nothing waits for ever."""
    began = anyio.current_time()
    take = await house.perform(scene, deadlines=QUICK)
    assert anyio.current_time() - began < LONGEST_S
    return take


def said(take: Take) -> list[str]:
    return [line.said for line in take.lines]


WHOLE = ["One.", LONG, "Three.", "Four."]


# ---- a player is lost


@pytest.mark.parametrize("what", ["drop", "close", "stall"])
@pytest.mark.parametrize("where", ["response", "in_response", "after_response"])
async def test_who_is_lost_around_a_response_is_opened_again_and_asked_once_more(
    what: fault.What, where: fault.Where, tmp_path: Path
) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike(what, where, visit=BOB)])
    take = await performed(house)
    assert (take.ended, take.problem, said(take)) == ("complete", "", WHOLE)
    line = take.lines[1]
    assert house.file(line) == tone("sage", LONG)
    assert [hearing.heard_at_s is None for line in take.lines for hearing in line.hearers] == [False] * 8
    if where == "response":
        (failed,) = line.failed_attempts
        assert (failed.reason, failed.file) == ("silent" if what == "stall" else "dropped", None)
        assert (failed.cost.total, line.cost.total, take.cost.total) == (None, None, None)
        assert line.cost.known > 0
    if line.attempts == 1:
        assert where == "after_response" or what in ("stall", "close")
    assert take.players[1].status == "played"
    is_noticed = (what, where) != ("stall", "after_response")  # nothing more was to come
    assert any("player bob was reconnected" in warning for warning in take.warnings) == is_noticed


@pytest.mark.parametrize("where", ["opening", "update", "item", "hearing", "response", "after_response"])
async def test_a_frame_that_is_no_event_is_left_out_and_told_of(where: fault.Where, tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("malformed", where, visit=BOB)], keeps=False)
    take = await performed(house)
    assert (take.ended, said(take)) == ("complete", WHOLE)
    assert take.lines[1].attempts == 1
    assert any("a frame is not valid JSON (" in warning for warning in take.warnings)


async def test_a_response_that_lost_some_of_its_sound_is_asked_for_again_and_what_came_is_kept(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("malformed", "in_response", visit=BOB)], keeps=False)
    take = await performed(house)
    assert (take.ended, said(take)) == ("complete", WHOLE)
    line = take.lines[1]
    assert (line.attempts, house.file(line)) == (2, tone("sage", LONG))
    (failed,) = line.failed_attempts
    assert failed.reason == "damaged"
    assert failed.cost is not None
    assert take.players[1].opening_attempts == 1


async def test_sound_that_was_paid_for_is_a_file_of_the_take(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "in_response", visit=BOB)])
    take = await performed(house)
    (failed,) = take.lines[1].failed_attempts
    assert failed.file == "lines/002-bob-1.attempt-1.wav"
    kept = read_wav(house.folder.path / failed.file)
    assert 0 < len(kept) < len(tone("sage", LONG))
    assert tone("sage", LONG)[: len(kept)] == kept


async def test_a_new_conversation_is_told_what_was_said_heard_and_whispered(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("stall", "hearing", visit=BOB)])
    take = await performed(house, TRIO.replace("  - ann: Three.", "  - ann: Three.\n  - ann: And a half."))
    assert take.ended == "complete"
    assert take.players[1].sessions == ("sess_0002", "sess_0004")
    assert house.items("bob") == [
        "user: <ann-1>",
        "system: Be brief.",
        f'user: Perform this line: "{LONG}"',
        "user: <ann-2>",
        "user: <ann-3>",
        'user: Perform this line: "Four."',
    ]
    assert take.lines[0].hearers[0].heard_at_s is not None


async def test_what_it_has_said_itself_is_told_as_words(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "after_response", visit=ANN)])
    take = await performed(house)
    assert said(take) == WHOLE
    assert house.items("ann")[:4] == ["user: Good evening.", 'user: Perform this line: "One."', "assistant: One.",
                                      "user: <bob-1>"]  # fmt: skip


async def test_effects_words_and_sound_files_are_told_again_too(tmp_path: Path) -> None:
    scene = """
players: {ann: {voice: ash, hears_as: text, label_speakers: true}, bob: {voice: sage}}
lines:
  - sfx: sounds/door.wav
    heard: true
  - user: {ann: Listen.}
  - ann: One.
  - bob: Two.
  - ann: Three.
"""
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "after_response", visit=1)])
    take = await performed(house, scene)
    assert (take.ended, said(take)) == ("complete", ["One.", "Two.", "Three."])
    assert house.items("ann")[1:] == ["user: Listen.", 'user: Perform this line: "One."', "assistant: One.",
                                      "user: bob: Two.", 'user: Perform this line: "Three."']  # fmt: skip


async def test_who_says_nothing_more_is_not_opened_again(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "hearing", visit=CID)])
    take = await performed(house)
    assert (take.ended, said(take)) == ("complete", WHOLE)
    assert [player.status for player in take.players] == ["played", "played", "lost"]
    assert len(house.understudy.visits) == 3


async def test_a_player_that_is_lost_while_it_is_told_something_is_told_when_it_is_back(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("stall", "item", visit=BOB)])
    take = await performed(house)
    assert (take.ended, said(take)) == ("complete", WHOLE)
    assert house.items("bob")[1] == "system: Be brief."
    lost = [text for text in take.warnings if text.endswith(" is lost")]  # whichever of its items was waited for
    assert lost
    assert all("no conversation.item.added within 3 s" in text for text in lost)


@pytest.mark.parametrize("what", ["drop", "stall"])
async def test_a_scene_may_go_on_without_who_is_lost(what: fault.What, tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike(what, "in_response", visit=BOB)])
    take = await performed(house, TRIO + "limits: {on_lost_player: continue}\n")
    assert (take.ended, said(take)) == ("complete", ["One.", "Three."])
    assert take.players[1].status == "lost"
    assert [fact.line for fact in house.facts(record.LineLost)] == ["bob-1", "bob-2"]
    assert sum("continued without the line" in warning for warning in take.warnings) == 2
    assert len(house.understudy.visits) == 3


async def test_a_scene_may_stop_when_somebody_is_lost_though_it_has_nothing_more_to_say(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "hearing", visit=CID)])
    take = await performed(house, TRIO + "limits: {on_lost_player: stop}\n")
    assert take.ended == "failed"
    assert said(take) in (["One."], ["One.", LONG])  # the line under way is still spoken
    assert take.problem == "line ann-1, player cid: the session was closed (1006: the connection was lost)"


async def test_a_player_is_opened_again_only_so_often(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "in_response", times=9)])
    take = await performed(house)
    assert (take.ended, take.lines) == ("failed", ())
    assert "line ann-1, player ann: the session was closed" in take.problem
    assert len(house.understudy.visits) == 3 + 2
    kept = sorted(path.name for path in (house.folder.path / "lines").iterdir())
    assert kept == [f"001-ann-1.attempt-{attempt}.wav" for attempt in (1, 2, 3)]


async def test_a_new_conversation_may_break_too(tmp_path: Path) -> None:
    faults = [fault.Strike("drop", "after_response", visit=ANN), fault.Strike("drop", "item", visit=4)]
    house = Playhouse(tmp_path, faults=faults)
    take = await performed(house)
    assert (take.ended, said(take)) == ("complete", WHOLE)
    assert len(house.understudy.visits) == 5


async def test_a_line_that_has_called_tools_is_not_begun_anew(tmp_path: Path) -> None:
    scene = """
players: {ann: {voice: ash}, bob: {voice: sage}}
tools: {lamp: {description: Light the lamp., returns: {ok: true}}}
lines: [{user: {ann: Light the lamp!}}, {ann: , improvise: Answer., tool_choice: lamp}, bob: Two.]
"""
    house = Playhouse(tmp_path, faults=[fault.Strike("drop", "in_response", visit=1)])
    take = await performed(house, scene)
    assert (take.ended, len(house.facts(record.ToolCalled))) == ("failed", 1)
    assert "line ann-1, player ann: the session was closed" in take.problem
    assert [fact.file for fact in house.facts(record.LineFailed)] == ["lines/001-ann-1.attempt-1.wav"]


async def test_a_lines_timeout_covers_its_reopenings(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("stall", "response", visit=BOB)])
    scene = TRIO.replace(f"  - bob: '{LONG}'", f"  - bob: '{LONG}'\n    timeout: 2s")
    take = await performed(house, scene)
    assert (take.lines[1].ended, take.lines[1].reason) == ("failed", "timeout")
    assert take.ended == "incomplete"


# ---- a response goes wrong


@pytest.mark.parametrize(
    ("order", "reason", "sounds"),
    [
        (fault.FailResponses(times=2), "rate limit", False),
        (fault.FailResponses(times=2, message="Try again in 1m2.5s."), "refused", False),
        (fault.FailResponses(times=2, code="server_error", message=""), "server error", False),
        (fault.Strike("refuse", "response", times=2), "server error", False),
        (fault.BreakOff(), "content filter", True),
        (fault.BreakOff(reason="who_knows"), "incomplete", True),
        (fault.EmptyResponses(), "empty", False),
    ],
)
async def test_a_response_that_goes_wrong_in_passing_is_asked_for_again(
    order: fault.Fault, reason: str, sounds: bool, tmp_path: Path
) -> None:
    house = Playhouse(tmp_path, faults=[order], keeps=reason != "incomplete")
    take = await performed(house)
    if reason == "refused":
        assert (take.ended, take.lines) == ("failed", ())
        assert "rate_limit_exceeded" in take.problem
        return
    assert (take.ended, said(take)) == ("complete", WHOLE)
    line = take.lines[0]
    assert {failed.reason for failed in line.failed_attempts} == {reason}
    assert line.attempts == len(line.failed_attempts) + 1 == (3 if getattr(order, "times", 1) == 2 else 2)
    paid = [failed.cost.total for failed in line.failed_attempts if failed.cost]
    assert all(paid) == (sounds or reason == "empty")
    assert [failed.file is not None for failed in line.failed_attempts] == [sounds] * len(paid)
    assert line.cost.total is not None
    assert line.cost.total > sum(cost or 0 for cost in paid)
    if reason == "incomplete":
        return  # no provider says so, and so nobody judges it
    asked = [item for item in house.items("ann") if "One." in item]
    assert asked == ['user: Perform this line: "One."']
    told = sum(usage["output_tokens"] for usage in house.understudy.visits[0].bill.values())
    assert take.players[0].usage.audio_out + take.players[0].usage.text_out == told


async def test_words_that_were_refused_are_put_once_more(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike("refuse", "item", visit=CID)])
    take = await performed(house, TRIO + "  - cid: Five.\n")
    assert (take.ended, said(take)) == ("complete", [*WHOLE, "Five."])
    (failed,) = take.lines[-1].failed_attempts
    assert (failed.reason, failed.file) == ("server error", "lines/005-cid-1.attempt-1.wav")
    assert failed.cost is not None
    assert failed.cost.total
    assert house.items("cid")[-2:] == ['user: Perform this line: "Five."'] * 2


async def test_what_is_filtered_again_and_again_stands_as_far_as_it_came(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.BreakOff(times=9)])
    take = await performed(house)
    assert (take.ended, take.lines[0].attempts, take.lines[0].ended) == ("complete", 2, "incomplete")
    assert "line ann-1, player ann: the response is incomplete (content_filter)" in take.warnings


async def test_a_response_that_meets_its_cap_stands_and_is_not_paid_twice(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await performed(house, TRIO.replace(f"'{LONG}'", f"'{LONG}'\n    max_output_tokens: 40"))
    assert (take.lines[1].attempts, take.lines[1].ended, take.lines[1].reason) == (1, "incomplete", "max_output_tokens")


async def test_what_a_line_has_cost_that_was_never_had_is_counted(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.FailResponses(times=9, code="content_policy", message="No.")])
    take = await performed(house)
    assert take.problem == "line ann-1, player ann: the model refused (content_policy): No."
    assert [(fact.line, fact.problem) for fact in house.facts(record.LineFailed)] == [("ann-1", "No.")]


# ---- openings


@pytest.mark.parametrize("what", ["drop", "close", "stall", "silence"])
@pytest.mark.parametrize("where", ["opening", "update"])
async def test_an_opening_that_breaks_in_passing_is_tried_again(
    what: fault.What, where: fault.Where, tmp_path: Path
) -> None:
    house = Playhouse(tmp_path, faults=[fault.Strike(what, where, visit=ANN)])
    take = await performed(house)
    assert (take.ended, said(take)) == ("complete", WHOLE)
    assert take.players[0].opening_attempts == (1 if (what, where) == ("silence", "opening") else 2)


async def test_a_provider_that_asks_for_more_patience_than_there_is_is_told_of(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, faults=[fault.BusyDoor(times=1, retry_after_s=3600)])
    take = await performed(house)
    assert take.ended == "failed"
    assert "HTTP 429, retry after 3600 s" in take.problem


@pytest.mark.parametrize(
    ("order", "limit", "what"),
    [
        (fault.SlowOpening(9), "opening: 1s", "session.created within 1 s; the server sent nothing"),
        (fault.Strike("stall", "response", times=9), "silence: 7s", "response event within 7 s"),
        (fault.Strike("stall", "item", times=9), "hearing: 5s", "conversation.item.added within 5 s"),
    ],
)
async def test_the_scene_says_how_long_it_waits(order: fault.Fault, limit: str, what: str, tmp_path: Path) -> None:
    scene = "players: {ann: {voice: ash}}\nlines: [" + ("user: {ann: Be brief.}, " if "hearing" in limit else "")
    scene += "ann: One.]\nlimits: {on_lost_player: stop, " + limit + "}"
    take = await Playhouse(tmp_path, faults=[order]).perform(scene)
    assert (take.ended, take.lines) == ("failed", ())
    assert what in take.problem


# ---- money

RICH = "model: gpt-realtime-2.1\n" + TRIO


def limited(budget: str, scene: str = RICH) -> str:
    return scene + f"limits: {{budget: ${budget}}}\n"


async def spent(tmp_path: Path, scene: str = RICH) -> list[Decimal]:
    """What each line costs when there is no budget."""
    take = await performed(Playhouse(tmp_path / "free"), scene)
    return [line.cost.total or Decimal(0) for line in take.lines]


def planned(scene: str) -> Decimal:
    """What a scene of one line is expected_usage to cost."""
    (usage,) = expected_usage(plan_of(scene)).values()
    loud = replace(usage, text_out=0, audio_out=usage.text_out + usage.audio_out)
    return price(loud, "gpt-realtime-2.1").total or Decimal(0)


async def test_a_line_is_not_begun_that_is_likely_to_cost_too_much_though_nothing_was_measured(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    take = await performed(house, limited("0.0001"))
    assert (take.ended, take.lines) == ("budget", ())
    assert (
        "stopped before line ann-1: $0.0000 of the budget of $0.0001 is used, and the line is likely to cost $0.0"
        in (take.problem)
    )
    assert house.sent("ann", "response.create") == []


async def test_the_run_stops_before_the_line_that_would_go_beyond_and_warns_once_at_four_fifths(tmp_path: Path) -> None:
    costs = await spent(tmp_path)
    house = Playhouse(tmp_path)
    take = await performed(house, limited(f"{sum(costs[:3]) * Decimal('1.1'):.6f}"))
    assert (take.ended, len(take.lines)) == ("budget", 3)
    assert all(line.ended == "completed" for line in take.lines)
    (warned,) = [text for text in take.warnings if "of the budget" in text]
    assert warned.startswith("line ann-2: 85% of the budget of $")


async def test_a_response_is_capped_by_what_is_left(tmp_path: Path) -> None:
    house = Playhouse(tmp_path)
    await performed(house, limited("0.02"))
    caps = [event["response"].get("max_output_tokens") for event in house.sent("bob", "response.create")]
    assert len(caps) == 2
    assert 0 < caps[1] < caps[0] < 4096
    await performed(house, limited("0.02", RICH.replace("bob: Four.", "bob: Four.\n    max_output_tokens: 50")))
    assert house.sent("bob", "response.create")[1]["response"]["max_output_tokens"] == 50


async def test_no_response_goes_beyond_the_budget_however_long_it_would_be(tmp_path: Path) -> None:
    scene = "model: gpt-realtime-2.1\nplayers: {ann: {voice: ash}}\nlines: [{ann: , improvise: Go on.}, ann: Two.]\n"
    house = Playhouse(tmp_path)
    house.understudy.actor = Chatterbox()
    take = await performed(house, limited("0.01", scene))
    assert (take.ended, take.lines[0].reason) == ("budget", "max_output_tokens")
    assert take.cost.total is not None
    assert Decimal("0.008") < take.cost.total <= Decimal("0.01")


async def test_lines_together_begin_only_where_there_is_money_for_all(tmp_path: Path) -> None:
    scene = RICH.split("lines:", maxsplit=1)[0] + f"lines: [{{together: [ann: '{LONG}', bob: '{LONG}']}}]\n"
    one, two = await spent(tmp_path, scene)
    house = Playhouse(tmp_path)
    take = await performed(house, limited(f"{(one + two) * Decimal('0.6'):.6f}", scene))
    assert (take.ended, take.lines) == ("budget", ())
    assert house.sent("ann", "response.create") == house.sent("bob", "response.create") == []


async def test_takes_end_where_there_is_no_money_for_another(tmp_path: Path) -> None:
    scene = f"model: gpt-realtime-2.1\nplayers: {{ann: {{voice: ash}}}}\nlines: [{{ann: '{LONG}', takes: 3}}]\n"
    (cost,) = await spent(tmp_path, scene)
    house = Playhouse(tmp_path)
    take = await performed(house, limited(f"{cost * Decimal('0.86'):.6f}", scene))
    assert (take.ended, len(take.lines[0].alternatives)) == ("complete", 1)
    assert "line ann-1: stopped after 2 of 3 takes because another take would exceed the budget" in take.warnings


async def test_free_play_ends_with_the_budget_between_two_turns(tmp_path: Path) -> None:
    scene = RICH.split("lines:", maxsplit=1)[0] + "lines: [improvise: {players: [ann, bob], about: rain, turns: 40}]\n"
    take = await performed(Playhouse(tmp_path), limited("0.03", scene))
    assert take.ended == "budget"
    assert 1 < len(take.lines) < 40
    assert all(line.ended == "completed" for line in take.lines)
    assert take.cost.total is not None
    assert take.cost.total <= Decimal("0.03")


async def test_a_further_attempt_must_fit_into_the_budget(tmp_path: Path) -> None:
    scene = f"model: gpt-realtime-2.1\nplayers: {{ann: {{voice: ash}}}}\nlines: [ann: '{LONG}']\n"
    tight = limited(f"{planned(scene) * Decimal('1.1'):.6f}", scene)
    house = Playhouse(tmp_path / "dropped", faults=[fault.Strike("drop", "in_response")])
    take = await performed(house, tight)
    assert (take.ended, take.lines, len(house.understudy.visits)) == ("budget", (), 1)
    house = Playhouse(tmp_path / "filtered", faults=[fault.BreakOff(times=9)])
    take = await performed(house, tight)
    assert (take.ended, take.lines[0].ended, take.lines[0].attempts) == ("complete", "incomplete", 1)
    house = Playhouse(tmp_path / "refused", faults=[fault.Strike("refuse", "item")])
    take = await performed(house, limited(f"{planned(scene) * Decimal('1.001'):.6f}", scene))
    assert (take.ended, take.lines) == ("budget", ())
    assert take.cost.total


async def test_who_never_finishes_an_answer_is_not_waited_for_for_ever() -> None:
    house = Understudy(Tones(), faults=[fault.Strike("stall", "in_response")])
    async with in_session(house, deadlines=QUICK) as session:
        await session.speak(instructions="Hello.")
        await session.wait_for("response.created")
        with pytest.raises(Timeout, match=r"no response\.done for the previous response within 4 s"):
            await wait_until_idle(session)


async def test_a_device_that_does_not_open_is_not_waited_for_for_ever() -> None:
    hanging = threading.Event()
    try:
        with pytest.raises(UsageError, match="the microphone did not open within 10 s"):
            await sound_cards.open_in_time(hanging.wait, sound_cards.MICROPHONE)
    finally:
        hanging.set()
