"""What may start now: plain data in, steps out."""

from hypothesis import given
from hypothesis import strategies as st

from tau_stage.scene.plan import LinePlan, Plan, PlayerPlan, PromptPlan, Step
from tau_stage.stage.cues import SoFar, due, next_speaker, over


def line(number: int, player: str) -> LinePlan:
    return LinePlan(
        number=number,
        id=f"{player}-{number}",
        player=player,
        words="words",
        direction="",
        prompt="words",
        hearers=(),
        pause_s=0.35,
        source_line=number,
    )


def plan(*steps: Step) -> Plan:
    players = (PlayerPlan("ada", "ash", "m"), PlayerPlan("bob", "sage", "m"))
    return Plan(title="t", slug="t", path="t.yaml", sha256="0", players=players, steps=steps)


SCENE = plan(line(1, "ada"), PromptPlan((("bob", "softly"),), 2), line(2, "bob"), line(3, "ada"))


def test_the_first_step_may_start_at_once() -> None:
    assert due(SCENE, SoFar()) == (SCENE.steps[0],)


def test_nothing_starts_while_a_step_is_under_way() -> None:
    assert due(SCENE, SoFar(begun=1)) == ()


def test_a_line_waits_until_its_player_has_heard_everything() -> None:
    assert due(SCENE, SoFar(2, 2, {"bob": 1})) == ()
    assert due(SCENE, SoFar(2, 2, {"bob": 0, "ada": 3})) == (SCENE.steps[2],)


def test_a_whisper_waits_for_no_hearing() -> None:
    assert due(SCENE, SoFar(1, 1, {"bob": 1})) == (SCENE.steps[1],)


def test_when_the_last_step_is_done_it_is_over() -> None:
    assert not over(SCENE, SoFar(4, 3))
    assert due(SCENE, SoFar(4, 4)) == ()
    assert over(SCENE, SoFar(4, 4))


def test_the_next_speaker_is_found_across_whispers() -> None:
    first, _, second, third = SCENE.steps
    assert isinstance(first, LinePlan)
    assert isinstance(second, LinePlan)
    assert isinstance(third, LinePlan)
    assert next_speaker(SCENE, first) == "bob"
    assert next_speaker(SCENE, second) == "ada"
    assert next_speaker(SCENE, third) is None


@given(st.lists(st.sampled_from(["ada", "bob"]), max_size=12))
def test_any_scene_is_performed_whole_and_in_order(speakers: list[str]) -> None:
    scene = plan(*[line(number, name) for number, name in enumerate(speakers, 1)])
    so_far, performed = SoFar(), list[Step]()
    while not over(scene, so_far):
        (step,) = due(scene, so_far)
        performed.append(step)
        so_far = SoFar(so_far.begun + 1, so_far.done + 1)
    assert tuple(performed) == scene.steps
