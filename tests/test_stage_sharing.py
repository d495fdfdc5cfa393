"""One keyboard and one microphone: who may use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import UsageError
from tau_stage.scene.plan import Plan
from tau_stage.stage.people import (
    Person,
    Speaker,
    StandIn,
    Typist,
    check_listen_ends,
    check_shared_devices,
    check_together,
    people_of,
)
from tests.support.in_memory_stage import SCENES, plan_of

PEOPLE = "players: {ann: , kim: {human: mic}, lou: {human: mic}, typ: {human: tty}, tip: {human: tty}}\n"


def no_microphone() -> AbstractAsyncContextManager[AsyncIterator[Pcm]]:
    raise AssertionError("nobody speaks before the scene begins")


def people(plan: Plan, *, there: bool = True) -> dict[str, Person]:
    """The people of a scene, without the devices of this machine."""
    found: dict[str, Person] = {}
    for player in plan.people:
        if not there:
            found[player.name] = StandIn(player, SCENES / "sounds/traveller")
        elif player.human == "tty":
            found[player.name] = Typist(player)
        else:
            found[player.name] = Speaker(player, no_microphone)
    return found


@pytest.mark.parametrize(
    ("pair", "device"), [("kim: A., lou: B.", "the microphone"), ("typ: A., tip: B.", "standard input")]
)
def test_two_do_not_share_a_device_in_one_group(pair: str, device: str) -> None:
    plan = plan_of(PEOPLE + f"lines: [ann: So.]\non: [{{said: So, do: [{{together: [{pair}]}}]}}]")
    one, two = (part.split(":")[0] for part in pair.split(", "))
    with pytest.raises(UsageError, match=f":3: {one} and {two} would share {device}") as raised:
        check_together(plan, people(plan))
    assert "move their lines out of 'together:'" in raised.value.hint
    check_together(plan, people(plan, there=False))


def test_one_may_type_while_another_speaks() -> None:
    plan = plan_of(PEOPLE + "lines: [{together: [ann: A., kim: B., typ: C., {sfx: sounds/mug.wav}]}]")
    check_together(plan, people(plan))


def test_people_who_would_type_at_once_are_refused_before_anybody_opens() -> None:
    plan = plan_of("players: {typ: {human: tty}, tip: {human: tty}}\nlines: [{together: [typ: A., tip: B.]}]")
    with pytest.raises(UsageError, match="typ and tip would share standard input"):
        people_of(plan)


def test_scenes_at_once_do_not_share_a_microphone() -> None:
    spoken = plan_of("players: {ann: , kim: {human: mic}}\nlines: [kim: A.]")
    typed = plan_of("players: {ann: , typ: {human: tty}}\nlines: [typ: A.]\nmatrix: {mood: [calm, cross]}")
    check_shared_devices([spoken, typed], [people(spoken), people(typed)], jobs=2)
    check_shared_devices([spoken, spoken], [people(spoken), people(spoken)], jobs=1)
    check_shared_devices([spoken, spoken], [people(spoken), people(spoken, there=False)], jobs=2)
    with pytest.raises(UsageError, match="2 scenes would share the microphone: ") as raised:
        check_shared_devices([spoken, typed, spoken], [people(each) for each in (spoken, typed, spoken)], jobs=3)
    assert "remove --jobs" in raised.value.hint
    with pytest.raises(UsageError, match=r"would share standard input: .*calm"):
        check_shared_devices([typed, typed], [people(typed), people(typed)], jobs=2)


KEYED = "players: {ann: , kim: {human: mic}}\nlines:\n- ann: So.\n- listen: {player: ann, key: q%s}\n"


def test_a_microphone_that_only_a_key_closes_needs_a_terminal() -> None:
    plan = plan_of(KEYED % "")
    check_listen_ends(plan, people(plan), is_terminal=True)
    check_listen_ends(plan, people(plan, there=False), is_terminal=False)
    with pytest.raises(UsageError, match=":4: only a key press can close this microphone") as raised:
        check_listen_ends(plan, people(plan), is_terminal=False)
    assert raised.value.hint == "add 'for:', 'turns:' or 'until:'"


@pytest.mark.parametrize("end", ["for: 5s", "turns: 2", "until: bye"])
def test_a_microphone_with_another_end_needs_none(end: str) -> None:
    plan = plan_of(KEYED % f", {end}")
    check_listen_ends(plan, people(plan), is_terminal=False)
