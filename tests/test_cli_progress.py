"""What a person sees while a scene is performed."""

from __future__ import annotations

import sys

import pytest

from tau_stage.cli.printing import is_plain
from tau_stage.cli.progress import LiveProgress, ProgressLines, ProgressView, TakeProgress, open_progress
from tau_stage.protocol.usage import Usage
from tau_stage.scene.load import parse_scene
from tau_stage.scene.planner import make_plan
from tau_stage.stage.events import AudioProgress, Event, HearingBegan, PersonPrompted, PlayerState, WordsProgress
from tau_stage.take import records as record
from tests.test_take import spoken

PLAN = make_plan(parse_scene("players: {ann: {voice: ash}, bob: {voice: sage}}\nlines: [ann: One., bob: '[Two].']"))
ROLES = tuple(
    record.Role(name=name, voice="ash", model="gpt-realtime-2.1", endpoint="understudy", prices="openai")
    for name in ("ann", "bob")
)
BEGAN = record.TakeBegan(tau_stage="0", started="", title="T", slug="t", path="t", sha256="0", spent=False, roles=ROLES)


def opened(player: str) -> record.PlayerOpened:
    return record.PlayerOpened(player=player, session="s", attempts=1, took_s=0.5)


def said(line: str, player: str) -> record.LineSpoken:
    return spoken(line, player, 24_000, Usage(audio_out=1000), number=1)


def states(*news: Event) -> list[str]:
    board = TakeProgress(PLAN)
    for item in news:
        board.apply(item)
    return [row.state for row in board.rows.values()]


SPEAKING = (BEGAN, opened("ann"), opened("bob"), record.LineBegan(line="ann-1", player="ann"))
SOUNDING = AudioProgress("ann", "ann-1", -24.0, 0.5)


@pytest.mark.parametrize(
    ("news", "shown"),
    [
        ((), ["waiting", "waiting"]),
        ((BEGAN,), ["opening", "waiting"]),
        ((BEGAN, opened("ann")), ["idle", "opening"]),
        (
            (BEGAN, record.OpeningRefused(player="ann", problem="429", wait_s=2.0)),
            ["asked to wait 2 s", "waiting"],
        ),
        (SPEAKING, ["thinking", "idle"]),
        ((*SPEAKING, SOUNDING), ["speaking", "idle"]),
        ((*SPEAKING, SOUNDING, said("ann-1", "ann"), HearingBegan("bob", "ann-1")), ["idle", "listening"]),
        (
            (
                *SPEAKING,
                HearingBegan("bob", "ann-1"),
                record.LineHeard(line="ann-1", hearer="bob", sha256="0", took_s=0.1),
            ),
            ["thinking", "idle"],
        ),
        (
            (
                *SPEAKING,
                HearingBegan("bob", "ann-1"),
                record.LineMissed(line="ann-1", hearer="bob", problem="deaf", lost=True),
            ),
            ["thinking", "lost"],
        ),
        ((*SPEAKING, record.PlayerLost(player="ann", problem="ann is gone")), ["lost", "idle"]),
        ((*SPEAKING, record.PlayerLost(player="ann", problem="ann is gone"), opened("ann")), ["idle", "idle"]),
        (
            (
                *SPEAKING,
                SOUNDING,
                record.LineAgain(line="ann-1", player="ann", problem="x", wait_s=1, usage=Usage()),
            ),
            ["thinking", "idle"],
        ),
        ((*SPEAKING, record.TakeEnded(ended="complete")), ["thinking", "idle"]),
    ],
)
def test_who_is_idle_listening_thinking_or_speaking(news: tuple[Event, ...], shown: list[str]) -> None:
    assert states(*news) == shown


def test_in_a_pipe_each_thing_worth_it_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    news: list[Event] = [
        BEGAN,
        opened("ann"),
        record.OpeningRefused(player="bob", problem="bob: slow down", wait_s=1),
        record.LineAgain(line="ann-1", player="ann", problem="it failed", wait_s=1, usage=Usage()),
        said("ann-1", "ann"),
        said("ann-1", "ann").model_copy(update={"former": True}),
        record.LineMissed(line="ann-1", hearer="bob", problem="bob is deaf", lost=True),
        record.PlayerLost(player="ann", problem="player ann: no sign"),
        record.LineFailed(line="ann-1", player="ann", problem="no sign"),
        record.Warned(text="odd"),
        SOUNDING,
    ]
    for item in news:
        ProgressLines([PLAN]).show(PLAN, item)
        ProgressView().show(PLAN, item)
    assert capsys.readouterr().err.splitlines() == [
        "opened ann in 0.50 s",
        "bob: slow down; waiting 1.0 s",
        "line ann-1: it failed; retrying in 1.0 s",
        "1/2 ann: words (1.0 s)",
        "1/2 ann: words (reused)",
        "bob is deaf",
        "player ann: no sign; the player is lost",
        "odd",
    ]
    ProgressLines([PLAN, PLAN]).show(PLAN, opened("ann"))
    assert capsys.readouterr().err == f"{PLAN.slug}: opened ann in 0.50 s\n"


def test_the_view_suits_where_the_output_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_progress([PLAN], quiet=True) as screen:
        assert type(screen) is ProgressView
    with open_progress([PLAN], quiet=False) as screen:
        assert isinstance(screen, ProgressLines)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with open_progress([PLAN], quiet=False) as screen:
        assert isinstance(screen, LiveProgress)
    with open_progress([FREE], quiet=False) as screen:
        assert isinstance(screen, ProgressLines)
    with open_progress([ASKING], quiet=False) as screen:
        assert isinstance(screen, ProgressLines)
    with open_progress([PLAN], quiet=False, aside=True) as screen:
        assert isinstance(screen, ProgressLines)


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("TERM", "unknown"), ("NO_COLOR", "1")])
def test_it_is_plain_where_that_is_asked_for(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert not is_plain(sys.stderr)
    monkeypatch.setenv(name, value)
    assert is_plain(sys.stderr)
    with open_progress([PLAN], quiet=False) as screen:
        assert isinstance(screen, ProgressLines)


ASKING = make_plan(parse_scene("players: {ann: }\nlines: [{ann: One., takes: 2, pick: ask}]"))
FREE = make_plan(
    parse_scene(
        "players: {ann: {voice: ash}, bob: {voice: sage}, guest: {human: tty}}\n"
        "lines: [ann: One., {improvise: {players: [ann, bob], turns: 2}}]"
    )
)


def test_people_are_told_what_to_say_and_when() -> None:
    board = TakeProgress(FREE)
    board.apply(PersonPrompted("guest", "guest-1", "Good evening.", "tired", in_s=2))
    assert board.prompt == "guest, in 2: (tired) Good evening."
    board.apply(record.LineBegan(line="ann-1", player="ann"))
    assert (board.prompt, board.said) == ("", "ann: One.")


def test_words_of_nobodys_script_are_shown_as_they_arrive_and_states_as_they_are() -> None:
    board = TakeProgress(FREE)
    for words in ("Well, ", "well."):
        board.apply(WordsProgress("bob", "improvise-1-1", words, spoken=True))
    assert board.said == "bob: Well, well."
    board.apply(WordsProgress("ann", "ann-1", "One.", spoken=True))
    assert board.said == "bob: Well, well."
    board.apply(PlayerState("ann", "listening"))
    assert board.rows["ann"].state == "listening"


def test_lines_that_nobody_can_count_are_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    call = record.ToolCalled(
        player="ann", line="ann-1", tool="lamp", arguments="{}", output="ok", failed=False, took_s=0.1
    )
    sound = record.SoundPlayed(
        sound="sfx-1", kind="sfx", source="door.wav", stem="sfx-door", gain_db=0,
        offset_samples=0, samples=1, sha256="", hearers=(),
    )  # fmt: skip
    lost = record.LineLost(line="guest-1", player="guest", problem="nobody spoke")
    for item in (said("ann-1", "ann"), call, sound, lost, PersonPrompted("guest", "g", "Hi.", typed=True)):
        ProgressLines([FREE]).show(FREE, item)
    assert capsys.readouterr().err.splitlines() == [
        "1 ann: words (1.0 s)", "ann calls lamp({}): ok", "[door.wav]", "nobody spoke", "guest, type: Hi.",
    ]  # fmt: skip


def test_a_wait_that_is_too_short_to_be_shown_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    again = record.LineAgain(line="ann-1", player="ann", problem="it failed", wait_s=0.01, usage=Usage())
    ProgressLines([PLAN]).show(PLAN, again)
    assert capsys.readouterr().err == "line ann-1: it failed; retrying\n"
