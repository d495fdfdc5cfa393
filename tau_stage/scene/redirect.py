"""A scene in which one line is to be said otherwise; everything else stays."""

from typing import Any, TypeVar

from tau_stage.scene.check_steps import written_lines
from tau_stage.scene.model import Scene
from tau_stage.scene.steps import AnyStep, Line, Together

StepT = TypeVar("StepT", bound=AnyStep)


def redirected(scene: Scene, line_id: str, **changes: Any) -> Scene:
    r"""Change the options of one line of a scene.

    Args:
        scene: As it was loaded.
        line_id: The line's id, given or made.
        **changes: Fields of ``Line``.

    Raises:
        KeyError: There is no such line.

    >>> from tau_stage.scene.load import parse_scene
    >>> scene = parse_scene("players: {ann: }\nlines: [ann: (softly) Yes]")
    >>> redirected(scene, "ann-1", direction="loudly").lines[0].direction
    'loudly'
    """
    found = next((line for made, line in written_lines(scene) if line_id in (line.id, made)), None)
    if found is None:
        raise KeyError(line_id)
    other = found.model_copy(update=changes)

    def changed(step: StepT) -> StepT:
        if isinstance(step, Line):
            return other if step is found else step  # type: ignore[return-value]
        if isinstance(step, Together):
            return step.model_copy(update={"together": tuple(changed(part) for part in step.together)})
        return step

    cues = tuple(cue.model_copy(update={"do": tuple(changed(step) for step in cue.do)}) for cue in scene.on)
    return scene.model_copy(update={"lines": tuple(changed(step) for step in scene.lines), "on": cues})
