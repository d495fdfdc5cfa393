"""What may start now: plain data in, steps out."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.errors import LimitReached
from tau_stage.protocol.usage import Usage
from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import (
    ChapterPlan,
    ImprovisePlan,
    ItemPlan,
    LinePlan,
    ListenPlan,
    Plan,
    SoundPlan,
)
from tau_stage.scene.planner import make_plan
from tau_stage.stage import schedule
from tau_stage.stage.schedule import (
    MAIN,
    Branch,
    ImproviseState,
    NextStep,
    ScheduleState,
    Trigger,
    Turn,
    called,
    next_turn,
)
from tau_stage.take import records as record

HEAD = """
players: {ada: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}, guest: {human: tty}}
tools: {lamp: {returns: ok}}
"""


def plan_of(text: str, **head: str) -> Plan:
    return make_plan(parse_scene(HEAD + "".join(f"{key}: {value}\n" for key, value in head.items()) + text))


def named(start: NextStep | None) -> str:
    """What starts, in a word."""
    if start is None or isinstance(start.step, ItemPlan):
        return "item" if start else ""
    return schedule.step_name(start.step)


def line_spoken(
    player: str, said: str, line: str = "ada-1", problem: str = "", seconds: float = 0.0
) -> record.LineSpoken:
    return record.LineSpoken(
        line=line,
        number=1,
        player=player,
        asked="",
        direction="",
        said=said,
        status="completed",
        file=None,
        sha256="",
        samples=round(seconds * 24_000),
        rate=24_000,
        offset_samples=0,
        hearers=(),
        response="",
        usage=Usage(),
        problem=problem,
    )


def began(plan: Plan, state: ScheduleState, start: NextStep | None) -> ScheduleState:
    assert start
    return schedule.apply(plan, state, start.began())


def outcomes(start: NextStep, said: dict[str, str] | None = None) -> Iterator[record.Record]:
    """What comes of a step; lines say what is given for their player, or their words, and sound for two seconds."""
    for part in getattr(start.step, "parts", (start.step,)):
        if isinstance(part, LinePlan):
            words = part.words if said is None else said.get(part.player, part.words)
            yield line_spoken(part.player, words, part.id, seconds=2.0)
        elif isinstance(part, SoundPlan):
            facts = {"sound": part.id, "kind": part.kind, "source": part.file, "stem": part.stem, "gain_db": 0.0}
            yield record.SoundPlayed.model_validate(
                {**facts, "offset_samples": 0, "samples": 0, "sha256": "", "hearers": ()}
            )
        elif isinstance(part, ChapterPlan):
            yield record.ChapterBegan(chapter=part.id, title=part.title, offset_samples=0)
    yield start.ended(Decimal(1))


def cues_started(plan: Plan, state: ScheduleState) -> ScheduleState:
    while cue := schedule.next_cue(plan, state):
        state = schedule.apply(plan, state, cue)
    return state


def done(plan: Plan, state: ScheduleState, start: NextStep | None, said: dict[str, str] | None = None) -> ScheduleState:
    """A step begun and performed to its end; the cues that wait for what it led to have started."""
    state = began(plan, state, start)
    assert start
    for fact in outcomes(start, said):
        state = cues_started(plan, schedule.apply(plan, state, fact))
    return state


def performed(plan: Plan, said: dict[str, str] | None = None, most: int = 50) -> Iterator[str]:
    """The steps in the order in which they start, each done at once."""
    state = schedule.initial_state(plan)
    for _ in range(most):
        start = schedule.due(state)
        if start is None:
            assert schedule.is_over(state)
            return
        yield named(start)
        state = done(plan, state, start, said)


ORDER = plan_of("lines: [ada: One., {prompt: {bob: softly}}, bob: Two., {pause: 1s}, ada: Three.]")


def test_the_steps_follow_each_other() -> None:
    assert list(performed(ORDER)) == ["ada-1", "item", "bob-1", "pause", "ada-2"]


def test_nothing_starts_while_a_step_is_under_way() -> None:
    state = began(ORDER, schedule.initial_state(ORDER), schedule.due(schedule.initial_state(ORDER)))
    assert schedule.due(state) is None
    assert not schedule.is_over(state)


def at(plan: Plan, position: int) -> ScheduleState:
    return ScheduleState({MAIN: Branch(plan.steps, at=position)})


def test_who_speaks_in_a_step_or_listens_must_have_been_sent_everything() -> None:
    plan = plan_of("lines: [{together: [ada: A., bob: B.]}, {listen: {player: cid}}]")
    assert [schedule.speakers_of(step) for step in plan.steps] == [("ada", "bob"), ("cid",)]
    assert [schedule.speakers_of(step) for step in ORDER.steps] == [("ada",), (), ("bob",), (), ("ada",)]
    assert list(performed(ORDER)) == ["ada-1", "item", "bob-1", "pause", "ada-2"]


def test_when_the_last_step_is_done_it_is_over() -> None:
    assert schedule.due(at(ORDER, 5)) is None
    assert schedule.is_over(at(ORDER, 5))
    assert not schedule.is_over(at(ORDER, 4))


# ---- when


def under_way(plan: Plan) -> ScheduleState:
    """The first step of a scene has begun."""
    state = schedule.initial_state(plan)
    return began(plan, state, schedule.due(state))


def called_tool(tool: str, player: str = "ada", line: str = "ada-1") -> record.ToolBegan:
    return record.ToolBegan(player=player, line=line, tool=tool, arguments="{}")


def test_a_step_depends_on_what_was_said_called_or_failed() -> None:
    plan = plan_of("""
lines:
- ada: Fire!
- bob: I heard it.
  when: {said: {player: ada, words: fire}}
- bob: What?
  when: {not: {said: fire}}
- bob: Light.
  when: {call: lamp}
- bob: Oh no.
  when: {error: ada}
- together: [ada: All., cid: Together.]
  when: {said: heard it}
""")
    assert list(performed(plan)) == ["ada-1", "bob-1", "ada-2+cid-1"]
    state = under_way(plan)
    for fact in (called_tool("lamp"), record.LineMissed(line="bob-1", hearer="ada", problem="gone", lost=True)):
        state = schedule.apply(plan, state, fact)
    state = ScheduleState({MAIN: Branch(plan.steps, at=3)}, met=state.met)
    assert named(schedule.due(state)) == "bob-3"


def test_part_of_a_group_may_depend_on_something_too() -> None:
    plan = plan_of("""
lines:
- together:
  - ada: A.
  - bob: B.
    when: {said: never}
  - cid: C.
    when: calm == cross
- together:
  - ada: A.
    when: {said: never}
  - bob: B.
    when: {said: never}
- cid: Z.
""")
    assert list(performed(plan)) == ["ada-1", "cid-2"]


def test_what_is_left_out_is_told() -> None:
    plan = plan_of("lines: [{ada: A., when: {said: never}}, bob: B.]")
    start = schedule.due(schedule.initial_state(plan))
    assert start
    assert [named(NextStep(MAIN, 0, step)) for step in start.skipped] == ["ada-1"]


# ---- cues

CUED = """
on:
- said: {player: ada, words: umbrella}
  do: [cid: Mine!, bob: No.]
lines: [ada: An UMBRELLA., bob: So?, ada: An umbrella!]
"""


def test_a_cue_goes_before_the_next_step_and_its_lines_have_ids_of_their_own() -> None:
    assert list(performed(plan_of(CUED))) == [
        "ada-1", "cue-1-cid-1", "cue-1-bob-1", "bob-1", "ada-2", "cue-1-cid-1.2", "cue-1-bob-1.2",
    ]  # fmt: skip


def test_a_cue_starts_as_often_as_its_times() -> None:
    once = CUED.replace("  do:", "  times: 1\n  do:")
    assert list(performed(plan_of(once))) == ["ada-1", "cue-1-cid-1", "cue-1-bob-1", "bob-1", "ada-2"]


def test_all_kinds_of_steps_of_a_second_start_have_ids_of_their_own() -> None:
    plan = plan_of("""
on:
- said: again
  do:
  - together: [bob: B., cid: C.]
  - sfx: scenes/sounds/mug.wav
  - listen: {player: bob}
  - chapter: Once more
  - pause: 1s
lines: [ada: again, ada: again]
""")
    assert list(performed(plan))[7:] == [
        "cue-1-bob-1.2+cue-1-cid-1.2", "sfx-1.2", "listen-1.2", "chapter-1.2", "pause",
    ]  # fmt: skip


def test_a_cycle_ends_with_the_limit_and_its_place() -> None:
    plan = plan_of("on: [{said: ping, do: [bob: ping]}]\nlines: [ada: ping]", limits="{cues: 3}")
    with pytest.raises(LimitReached, match=r"scene\.yaml:5: the cue would start again, but limits\.cues is 3"):
        list(performed(plan))


def test_a_cue_waits_for_a_call_a_failure_or_anything_of_a_kind() -> None:
    plan = plan_of("""
on:
- call: {player: ada, tool: lamp}
  do: [bob: lamp]
- error: any
  do: [bob: error]
lines: [ada: A.]
""")

    def started(fact: record.Record) -> dict[str, int]:
        return dict(cues_started(plan, schedule.apply(plan, under_way(plan), fact)).started)

    assert started(called_tool("lamp")) == {"cue-1": 1}
    assert started(called_tool("lamp", "bob")) == {}
    assert started(called_tool("other")) == {}
    assert started(record.LineMissed(line="ada-1", hearer="cid", problem="gone", lost=True)) == {"cue-2": 1}
    assert started(line_spoken("ada", "lamp")) == {}
    assert schedule.is_awaited(plan, Trigger("error", "cid"))
    assert not schedule.is_awaited(plan, Trigger("said", "ada", "lamp"))


def test_a_cue_that_starts_names_the_line_that_led_to_it() -> None:
    plan = plan_of("on: [{call: lamp, do: [bob: X.]}, {error: any, do: [cid: Y.]}]\nlines: [ada: One.]")
    state = schedule.apply(plan, under_way(plan), called_tool("lamp"))
    missed = record.LineMissed(line="ada-1", hearer="bob", problem="gone", lost=True)
    state = schedule.apply(plan, state, missed)
    assert [name for name, _ in state.pending] == ["cue-1", "cue-2"]
    first = schedule.next_cue(plan, state)
    assert first == record.CueStarted(cue="cue-1", source_line=4, line="ada-1")
    state = schedule.apply(plan, state, first)
    assert schedule.next_cue(plan, state) == record.CueStarted(cue="cue-2", source_line=4)


# ---- silence, and the open microphone


def test_a_microphone_that_a_cue_has_opened_holds_up_the_scene_but_no_other_cue() -> None:
    plan = plan_of(
        "on: [{said: x, do: [{listen: {player: bob}}]}, {said: y, do: [cid: Hm.]}]\nlines: [ada: A., ada: B.]"
    )
    state = schedule.initial_state(plan)
    state = done(plan, state, schedule.due(state), {"ada": "x"})
    assert named(schedule.due(state)) == "listen-1"
    state = began(plan, state, schedule.due(state))
    assert schedule.due(state) is None
    assert not schedule.cues_pending(state)
    state = cues_started(plan, schedule.apply(plan, state, line_spoken("bob", "y", "listen-1-1")))
    assert schedule.cues_pending(state)
    listen = state.branches["cue-1"].step
    assert isinstance(listen, ListenPlan)
    assert [turn.said for turn in schedule.turns_at(state, listen)] == ["y"]
    assert schedule.turns_at(schedule.initial_state(plan), listen) == []
    assert named(schedule.due(state)) == "cue-2-cid-1"


QUIET = plan_of("""
on:
- silence: 5s
  do: [bob: Hello?]
- silence: 8s
  times: 1
  do: [bob: Anybody?]
lines: [{listen: {player: ada, from: guest}}, ada: So.]
""")


def after_silence(state: ScheduleState, now: float) -> ScheduleState:
    for cue in schedule.cues_of_silence(QUIET, state, now):
        state = schedule.apply(QUIET, state, cue)
    return state


def test_a_silence_starts_a_cue_beside_the_open_microphone_once_until_there_is_sound() -> None:
    state = schedule.set_silence(under_way(QUIET), 100.0)
    assert schedule.wakes_at(QUIET, state) == 105.0
    assert schedule.due(after_silence(state, 104.9)) is None
    state = after_silence(state, 105.0)
    start = schedule.due(state)
    assert start
    assert named(start) == "cue-1-bob-1"
    assert schedule.wakes_at(QUIET, state) == 108.0
    assert after_silence(state, 106.0) == state
    state = done(QUIET, state, start)
    assert schedule.due(state) is None
    state = after_silence(state, 109.0)
    assert named(schedule.due(state)) == "cue-2-bob-1"
    assert schedule.set_silence(state, 100.0) == state
    again = schedule.set_silence(schedule.set_silence(state, None), 200.0)
    assert schedule.wakes_at(QUIET, again) == 205.0


def test_without_a_microphone_there_is_no_silence() -> None:
    assert schedule.wakes_at(QUIET, schedule.initial_state(QUIET)) is None
    assert after_silence(schedule.initial_state(QUIET), 1e9) == schedule.initial_state(QUIET)


def test_two_microphones_are_not_open_at_once() -> None:
    plan = plan_of("on: [{said: x, do: [{listen: {player: bob}}]}]\nlines: [{listen: {player: ada}}]")
    state = cues_started(plan, schedule.apply(plan, under_way(plan), line_spoken("ada", "x", "listen-1-1")))
    assert list(state.branches) == [MAIN, "cue-1"]
    assert schedule.due(state) is None


# ---- improvisation

PLAY = "lines: [ada: Begin., {improvise: {players: [ada, bob, cid], turns: 4, %s}}, ada: End.]"


def test_free_play_goes_round_beginning_with_somebody_who_has_not_just_spoken() -> None:
    assert list(performed(plan_of(PLAY % "order: round"), {"ada": "a", "bob": "b", "cid": "c"})) == [
        "ada-1", "improvise-1-1", "improvise-1-2", "improvise-1-3", "improvise-1-4", "ada-2",
    ]  # fmt: skip


def speakers(plan: Plan, said: dict[str, str]) -> list[str]:
    """Who takes the turns of improvisation."""
    state, took = schedule.initial_state(plan), []
    for _ in range(30):
        if (start := schedule.due(state)) is None:
            break
        assert isinstance(start.step, LinePlan)
        state = done(plan, state, start, {player: said.get(player, "") for player in ("ada", "bob", "cid")})
        if start.step.improvised:
            took.append(start.step.player)
    return took


def test_free_play_in_each_order() -> None:
    said = {"ada": "What do you say, Cid?", "bob": "Hm.", "cid": "Ask Ada."}
    assert speakers(plan_of(PLAY % "order: round"), said) == ["bob", "cid", "ada", "bob"]
    assert speakers(plan_of(PLAY % "order: called"), said) == ["cid", "ada", "cid", "ada"]
    assert speakers(plan_of(PLAY % "order: called"), {**said, "cid": "Well."}) == ["cid", "ada", "cid", "ada"]
    assert speakers(plan_of(PLAY % "order: [bob, ada, ada]"), said) == ["bob", "ada", "bob", "ada"]


def test_the_name_that_is_said_last_is_called_also_a_part_of_it() -> None:
    turn = Turn("ada", "Tom, and you, keeper; not you, Ada! Old friends.")
    assert called(("ada", "keeper", "Old Tom"), turn) == "Old Tom"
    assert called(("ada", "keeper", "Tom"), turn) == "keeper"
    assert called(("ada", "maid"), turn) is None


def test_a_word_that_many_names_share_calls_nobody() -> None:
    players = ("ann", "The Stranger", "Lord of the Isles", "Old Tom")
    assert called(players, Turn("ann", "Who has paid for the umbrella, and with what?")) is None
    assert called(players, Turn("ann", "Of the two, the stranger's.")) == "The Stranger"
    assert called(players, Turn("ann", "My lord! Of the Isles?")) == "Lord of the Isles"


def test_a_whole_name_wins_over_a_part_of_another() -> None:
    for players in (("Tom", "Old Tom", "ann"), ("Old Tom", "Tom", "ann")):
        assert called(players, Turn("ann", "Well, Tom?")) == "Tom"
        assert called(players, Turn("ann", "Well, old Tom?")) == "Old Tom"
        assert called(players, Turn("Tom", "Well, Tom?")) == "Old Tom"


def test_nobody_answers_itself_whatever_the_order() -> None:
    step = plan_of(PLAY % "order: [ada, bob]").steps[1]
    assert isinstance(step, ImprovisePlan)
    alone = replace(step, order=("bob",))
    turns, play = [], ImproviseState()
    while line := next_turn(alone, play, Turn("bob", "Begin.")):
        turns.append(line.player)
        play = play.after(Turn(line.player, "Hm."))
    assert turns == ["cid", "bob", "cid", "bob"]
    assert next_turn(alone, ImproviseState(), Turn("guest", "Hm.")).player == "bob"  # type: ignore[union-attr]


def test_who_says_nothing_passes_and_when_all_pass_it_is_over() -> None:
    said = {"ada": "x", "cid": "y"}
    assert speakers(plan_of(PLAY % "order: round"), said) == ["bob", "cid", "ada", "bob", "cid", "ada"]
    assert speakers(plan_of(PLAY % "order: round"), {}) == ["bob", "cid", "ada"]


@pytest.mark.parametrize(
    ("ends", "turns"),
    [("for: 5s", 3), ("words: 5", 3), ("until: stop, turns: 9", 1), ("budget: $5, turns: 2", 2)],
)
def test_free_play_ends_by_time_words_and_what_is_said(ends: str, turns: int) -> None:
    plan = plan_of(f"lines: [ada: Begin., {{improvise: {{players: [ada, bob], {ends}}}}}]")
    assert len(speakers(plan, {"ada": "we two", "bob": "please stop" if "stop" in ends else "we two"})) == turns


def test_a_cue_goes_between_two_turns() -> None:
    plan = plan_of(f"on: [{{said: b, times: 1, do: [cid: Ha!]}}]\n{PLAY % 'order: round'}".replace("ada: Begin., ", ""))
    assert list(performed(plan, {"ada": "a", "bob": "b", "cid": "c"})) == [
        "improvise-1-1", "improvise-1-2", "cue-1-cid-1", "improvise-1-3", "improvise-1-4", "ada-1",
    ]  # fmt: skip


def test_free_play_of_a_cue_has_ids_of_its_own_each_time() -> None:
    plan = plan_of("on: [{said: go, do: [{improvise: {players: [bob, cid], turns: 1}}]}]\nlines: [ada: go, ada: go]")
    assert list(performed(plan, {"bob": "b", "cid": "c"})) == ["ada-1", "improvise-1-1", "ada-2", "improvise-1-1.2"]


# ---- who hears first


def test_who_speaks_next_hears_first_as_far_as_it_is_known() -> None:
    plan = plan_of(
        "lines: [ada: A., {prompt: {ada: x}}, bob: B., {improvise: {players: [cid, ada], turns: 2}},"
        " {listen: {player: bob}}]"
    )
    state = schedule.initial_state(plan)
    first, line, play = (NextStep(MAIN, at, plan.steps[at]) for at in (0, 2, 3))
    assert schedule.next_speakers(state, first) == ("bob",)
    assert schedule.next_speakers(state, line) == ("cid",)
    turn = plan_of("lines: [cid: x]").lines[0]
    assert schedule.next_speakers(state, NextStep(MAIN, 3, turn)) == ("ada",)
    assert schedule.next_speakers(state, play) == ("cid",)
    assert schedule.next_speakers(state, NextStep(MAIN, 4, plan.steps[4])) == ()
    assert schedule.next_speakers(state, NextStep("cue-7", 0, plan.steps[0])) == ()
    fixed = plan_of(
        "lines: [{improvise: {players: [cid, ada], order: [cid, cid, ada], turns: 2}}, {listen: {player: bob}}]"
    )
    assert schedule.next_speakers(schedule.initial_state(fixed), NextStep(MAIN, 0, turn)) == ("ada",)
    assert schedule.next_speakers(schedule.initial_state(plan), NextStep(MAIN, 1, plan.steps[1])) == ("bob",)
    listens = plan_of("lines: [ada: A., {listen: {player: bob}}]")
    assert schedule.next_speakers(schedule.initial_state(listens), NextStep(MAIN, 0, listens.steps[0])) == ("bob",)
    both = plan_of("lines: [ada: A., {pause: 1s}, {together: [bob: B., cid: C.]}]")
    assert schedule.next_speakers(schedule.initial_state(both), NextStep(MAIN, 0, both.steps[0])) == ("bob", "cid")
    alone = plan_of("lines: [{improvise: {players: [ada, bob], turns: 1}}]")
    assert schedule.next_speakers(schedule.initial_state(alone), NextStep(MAIN, 0, alone.steps[0])) == ("ada",)


@pytest.mark.parametrize(
    ("scene", "players"),
    [
        ("lines: [ada: A., {bob: B., when: {said: x}}]", []),
        ("on: [{call: lamp, do: [ada: A.]}, {error: bob, do: [ada: B.]}]\nlines: [ada: A.]", ["bob"]),
        ("on: [{error: any, do: [ada: B.]}]\nlines: [ada: A.]", ["ada", "bob", "cid"]),
        ("lines: [ada: A., {bob: B., when: {not: {error: ada}}}]", ["ada"]),
    ],
)
def test_a_scene_tells_whose_failure_it_waits_for(scene: str, players: list[str]) -> None:
    plan = plan_of(scene)
    assert [name for name in ("ada", "bob", "cid") if schedule.awaits_failure(plan, name)] == players


# ---- whatever the scene

steps = st.lists(
    st.sampled_from(
        [
            "ada: A.",
            "bob: B.",
            "{pause: 1s}",
            "{together: [ada: x, bob: y]}",
            "{prompt: {cid: w}}",
            "{ada: a, when: {said: B}}",
        ]
    ),
    min_size=1,
    max_size=12,
)


@given(steps=steps)
def test_every_step_starts_once_in_order_or_is_left_out(steps: list[str]) -> None:
    plan = plan_of(f"lines: [{', '.join(steps)}]")
    state, seen = schedule.initial_state(plan), []
    while start := schedule.due(state):
        seen += [*start.skipped, start.step]
        state = done(plan, state, start)
    rest = [step for step in plan.steps[len(seen) :] if step.when is None]
    assert rest == []
    assert seen == list(plan.steps[: len(seen)])
    assert schedule.is_over(state)


# ---- broken off, and gone on with

RESUMED = record.TakeResumed(tau_stage="1", started="", sha256="", spent=False, roles=())


def test_a_step_that_was_broken_off_begins_anew_with_what_has_come_of_it() -> None:
    plan = plan_of("lines: [ada: One., {together: [bob: Two., cid: Three.]}, ada: Four.]")
    state = done(plan, schedule.initial_state(plan), schedule.due(schedule.initial_state(plan)))
    start = schedule.due(state)
    state = began(plan, state, start)
    assert start
    two, *_, end = outcomes(start)
    state = schedule.apply(plan, state, two)
    assert schedule.apply(plan, state, end) == state  # something is missing
    assert schedule.due(state) is None
    again = schedule.due(schedule.apply(plan, state, RESUMED))
    assert again == replace(start, came={"bob-1": two})
    assert named(schedule.due(done(plan, schedule.apply(plan, state, RESUMED), again))) == "ada-2"


def test_a_record_that_belongs_to_nothing_under_way_changes_nothing() -> None:
    plan = plan_of("on: [{said: x, do: [bob: X.]}, {silence: 3s, do: [bob: Well?]}]\nlines: [ada: One., bob: Two.]")
    state = under_way(plan)
    facts: list[record.Record] = [
        record.StepBegan(branch=MAIN, step="bob-1"),
        record.StepBegan(branch="cue-1", step="bob-9"),
        record.StepEnded(branch=MAIN, step="bob-1"),
        record.StepEnded(branch=MAIN, step="ada-1"),
        record.ItemGiven(player="ada", role="system", words="x"),
        record.LineLost(line="", player="ada", problem="gone"),
        record.ListenEnded(step="listen-1"),
        record.LineBegan(line="ada-1", player="ada"),
        line_spoken("bob", "x", "bob-1"),
        called_tool("lamp", line="bob-1"),
        *(record.CueStarted(cue=cue, source_line=1) for cue in ("cue-1", "cue-2", "cue-9")),
    ]
    for fact in facts:
        assert schedule.apply(plan, state, fact) == state


@pytest.mark.parametrize("step", ["pause: 1s", "chapter: Two"])
def test_what_is_silent_and_in_addition_is_passed_over_when_a_later_step_has_begun(step: str) -> None:
    plan = plan_of(f"lines: [ada: One., {{{step}}}, bob: Two.]")
    state = done(plan, schedule.initial_state(plan), schedule.due(schedule.initial_state(plan)))
    state = schedule.apply(plan, state, record.StepBegan(branch=MAIN, step="bob-1"))
    assert state.branches[MAIN].step == plan.lines[1]
    for place in (0, 1, 3):  # a line comes before it, another line is next, or nothing
        assert schedule.apply(plan, at(plan, place), record.StepBegan(branch=MAIN, step="ada-2")) == at(plan, place)


def test_a_chapter_that_has_begun_is_known_when_its_step_goes_on_and_its_end_is_none_without_it() -> None:
    plan = plan_of("lines: [{chapter: One}, ada: One.]")
    state = under_way(plan)
    ended = record.StepEnded(branch=MAIN, step="chapter-1")
    assert schedule.apply(plan, state, ended) == state
    mark = record.ChapterBegan(chapter="chapter-1", title="One", offset_samples=0)
    state = schedule.apply(plan, state, mark)
    start = schedule.due(schedule.apply(plan, state, RESUMED))
    assert start
    assert dict(start.came) == {"chapter-1": mark}
    after = schedule.due(schedule.apply(plan, state, ended))
    assert after
    assert after.step == plan.lines[0]


def test_a_line_that_is_to_be_cut_is_not_where_the_one_who_cuts_is_left_out() -> None:
    plan = plan_of("lines: [ada: One., {bob: Two., cut_in: {after: 1s}, when: {said: never}}]")
    start = schedule.due(schedule.initial_state(plan))
    assert start
    assert start.step == replace(plan.lines[0], cut=None) != plan.lines[0]


def test_items_belong_to_the_step_that_gives_them_or_to_the_first_turn_of_free_play() -> None:
    plan = plan_of("lines: [{prompt: {bob: softly}}, {improvise: {players: [ada, bob], about: rain, turns: 2}}]")
    state = under_way(plan)
    given = record.ItemGiven(player="bob", role="system", words="softly")
    state = schedule.apply(plan, schedule.apply(plan, state, given), RESUMED)
    start = schedule.due(state)
    assert start
    assert dict(start.came) == {"system bob: softly": given}
    state = done(plan, state, start)
    state = began(plan, state, schedule.due(state))
    sound = record.ItemGiven(player="ada", role="user", words="[x.wav]", sound="x.wav")
    assert list(schedule.apply(plan, state, sound).branches[MAIN].came) == ["user ada: x.wav"]


def test_a_turn_of_free_play_that_is_lost_is_passed() -> None:
    plan = plan_of("lines: [{improvise: {players: [ada, bob], turns: 2}}]")
    state = schedule.apply(plan, under_way(plan), record.LineLost(line="improvise-1-1", player="ada", problem="gone"))
    state = schedule.apply(plan, state, record.StepEnded(branch=MAIN, step="improvise-1-1"))
    play = state.branches[MAIN].play
    assert play
    assert (play.asked, play.turns, play.passes) == (1, 0, 1)


def test_an_item_that_cannot_be_given_is_an_error_of_its_player() -> None:
    plan = plan_of("on: [{error: ada, do: [bob: Y.]}]\nlines: [{prompt: {ada: softly}}]")
    state = schedule.apply(plan, under_way(plan), record.LineLost(line="", player="ada", problem="refused"))
    assert [name for name, _ in state.pending] == ["cue-1"]


def test_a_microphone_that_is_closed_is_known_to_be() -> None:
    state = schedule.apply(QUIET, under_way(QUIET), record.ListenEnded(step="listen-1"))
    assert list(state.branches[MAIN].came) == ["listen-1"]


def tool_called(*, failed: bool) -> record.ToolCalled:
    return record.ToolCalled(
        player="ada", line="ada-1", tool="lamp", arguments="{}", output="", failed=failed, took_s=0.1
    )


@pytest.mark.parametrize(
    ("fact", "started"),
    [
        (line_spoken("ada", "Boo!"), {"cue-1": 1}),
        (line_spoken("ada", "Well."), {}),
        (line_spoken("ada", ""), {}),
        (line_spoken("ada", "", problem="it has no sound"), {"cue-2": 1}),
        (record.LineLost(line="ada-1", player="ada", problem="gone"), {"cue-2": 1}),
        (record.LineMissed(line="bob-1", hearer="ada", problem="gone", lost=True), {"cue-2": 1}),
        (tool_called(failed=True), {"cue-2": 1}),
        (tool_called(failed=False), {}),
        (record.LineBegan(line="ada-1", player="ada"), {}),
    ],
)
def test_records_start_the_cues_that_wait_for_what_they_tell(fact: record.Record, started: dict[str, int]) -> None:
    plan = plan_of("on: [{said: boo, do: [bob: X.]}, {error: ada, do: [bob: Y.]}]\nlines: [ada: One.]")
    state = cues_started(plan, schedule.apply(plan, under_way(plan), fact))
    assert dict(state.started) == started
    assert state.last == (Turn("ada", fact.said) if isinstance(fact, record.LineSpoken) else None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        "on: [{said: ^(a|aa)+$, do: [bob: ping]}]\nlines: [ada: ping]",
        "lines:\n- ada: ping\n  when: {said: ^(a|aa)+$}\n- bob: pong",
    ],
)
def test_a_search_without_end_is_told_with_its_line(steps: str) -> None:
    """Slow: the search takes a quarter of a second."""
    plan = plan_of(steps)
    line = plan.cues[0].source_line if plan.cues else plan.lines[0].source_line
    start = under_way(plan).branches[MAIN].step
    assert isinstance(start, LinePlan)
    with pytest.raises(LimitReached, match=f"^line {line} of the scene: the regular expression"):
        schedule.apply(plan, under_way(plan), line_spoken(start.player, "a" * 80 + "b", start.id))


@pytest.mark.slow
def test_the_end_of_free_play_that_is_never_found_is_told_with_its_line() -> None:
    """Slow: the search takes a quarter of a second."""
    plan = plan_of("lines: [{improvise: {turns: 3, until: ^(a|aa)+$}}]")
    step = plan.steps[0]
    assert isinstance(step, ImprovisePlan)
    with pytest.raises(LimitReached, match=f"^line {step.source_line} of the scene: the regular expression"):
        next_turn(step, ImproviseState().after(Turn("bob", "a" * 80 + "b")))
