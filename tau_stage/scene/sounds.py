"""The sound files that a plan names, and what its author should know of them."""

from collections.abc import Iterator
from pathlib import Path

from tau_stage.scene.files import beside, sounds_in
from tau_stage.scene.plan import ItemPlan, Plan


def sounds_of(plan: Plan) -> tuple[Path, ...]:
    """Return every sound file of a scene, each once: effects, beds, what users said, and recordings of people."""
    return tuple(dict.fromkeys(_named(plan)))


def _named(plan: Plan) -> Iterator[Path]:
    for sound in plan.sounds:
        yield beside(plan.path, sound.file)
    for step in (step for steps in plan.strands for step in steps):
        if isinstance(step, ItemPlan):
            yield from (beside(plan.path, file) for _, file in step.sounds)
    for player in plan.people:
        if player.human not in ("mic", "tty", None):
            yield beside(plan.path, str(player.human))
        if player.stand_in is not None:
            yield from sounds_in(beside(plan.path, player.stand_in))


def sound_warnings(plan: Plan) -> Iterator[str]:
    """Yield what is odd about sounds that can be read: a sentence for each that is silent, or would be as mono.

    Raises:
        UsageError: A sound cannot be read any more.
    """
    files = sounds_of(plan)
    if files:
        from tau_stage.audio.files import survey

        folder = Path(plan.path).parent
        for file in files:
            name = file.relative_to(folder) if file.is_relative_to(folder) else file
            yield from (f"{name.as_posix()} {warning}" for warning in survey(file).warnings)
