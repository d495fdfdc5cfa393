"""A performance as a booth sees it: its scene, what happens, and what a page may do with it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace

import anyio

from tau_stage.errors import UsageError
from tau_stage.protocol import JsonObject
from tau_stage.publisher import Publisher, sound_of
from tau_stage.scene import ListenPlan, Plan
from tau_stage.stage import Event, OpeningBegan, OpeningQueued, PageSpeaker, PerformanceOptions, Person, Stage
from tau_stage.take import Record, TakeFolder


class StagePublisher(Publisher):
    """Publishes a performance: each event that an observer is shown.

    Args:
        plan: What is performed.
        folder: Where its take lies.
        people: Of the scene; those who play in the booth hear what the page's microphone hears.
        stop: Lets the line under way be the last.
    """

    def __init__(self, plan: Plan, folder: TakeFolder, people: Iterable[Person], stop: Callable[[], object]) -> None:
        super().__init__(self._hello, self._do)
        self._plan = plan
        self._folder = folder
        self._speakers = [person for person in people if isinstance(person, PageSpeaker)]
        self._stop = stop
        self._records: list[JsonObject] = []

    def _hello(self) -> JsonObject:
        plan = self._plan
        return {
            "kind": "stage",
            "name": plan.slug if not plan.variant else f"{plan.slug} ({plan.variant})",
            "run": self.key,
            "title": plan.title,
            "players": [
                {"name": each.name, "voice": each.voice, "model": each.model, "human": each.human}
                for each in plan.players
            ],
            "lines": [
                {"id": line.id, "player": line.player, "words": line.words, "direction": line.direction}
                for line in plan.lines
            ],
            "listens": {
                step.id: step.person for steps in plan.step_lists for step in steps if isinstance(step, ListenPlan)
            },
            "budget": None if plan.budget is None else str(plan.budget),
            "folder": str(self._folder.path.absolute()),
            "can": ["stop", "retake", "pick"],
            "at": anyio.current_time(),
            "before": list(self._records),
        }

    def show(self, event: Event) -> None:
        """Publish what an observer is shown; a booth that comes later learns what lasts of it."""
        told = {"at": anyio.current_time(), "record": described(event)}
        if isinstance(event, Record | OpeningQueued | OpeningBegan):
            self._records.append(told)
        self.publish(told)

    async def _do(self, wish: JsonObject) -> None:
        """Do what a page asks for.

        Raises:
            UsageError: There is no such thing, or nobody is to say something now.
        """
        match wish.get("do"):
            case "stop":
                self._stop()
            case "hear":
                for speaker in self._speakers:
                    speaker.hear(sound_of(wish))
            case "say":
                if words := str(wish.get("text", "")).strip():
                    self._asked().write(words)
            case "finish":
                self._asked().finish()
            case what:
                raise UsageError(f"a performance cannot {what!r}")

    def _asked(self) -> PageSpeaker:
        """Return who is to say something now: one at a time plays in a page."""
        for speaker in self._speakers:
            if speaker.is_asked:
                return speaker
        raise UsageError("no player in the booth has a line at the moment")


@dataclass(frozen=True, slots=True)
class PublishedPerformance:
    """A performance as it is performed where a booth shows it: its stage, its stop, and what publishes each event."""

    stage: Stage
    stop: anyio.Event | None
    publish: Callable[[Event], object]


@asynccontextmanager
async def published(
    plan: Plan, stage: Stage, folder: TakeFolder, options: PerformanceOptions, *, is_shown: bool
) -> AsyncIterator[PublishedPerformance]:
    """Publish a performance while the block runs, if a booth is to show it; a page may stop it, and no other."""
    if not is_shown:
        yield PublishedPerformance(stage, options.stop, lambda _event: None)
        return
    stop, of_all = anyio.Event(), options.stop or anyio.Event()
    publisher = StagePublisher(plan, folder, (options.people or {}).values(), stop.set)

    async def stop_with_all() -> None:
        await of_all.wait()
        stop.set()

    async with publisher.running(), anyio.create_task_group() as group:
        group.start_soon(stop_with_all)
        yield PublishedPerformance(replace(stage, shown_as=publisher.key), stop, publisher.show)
        group.cancel_scope.cancel()


def described(event: Event) -> JsonObject:
    """Describe an event for a page, with its type.

    >>> from tau_stage.stage import HearingBegan
    >>> described(HearingBegan("ann", "ben-1"))
    {'type': 'hearing_began', 'player': 'ann', 'line': 'ben-1'}
    """
    if isinstance(event, Record):
        return event.model_dump(mode="json")
    return {"type": re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower(), **asdict(event)}
