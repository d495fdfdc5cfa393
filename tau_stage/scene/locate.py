"""Where parts of a scene stand in its files: for whatever is said of them after they were performed."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tau_stage.scene.check_steps import written_lines
from tau_stage.scene.model import Cascade, Scene
from tau_stage.scene.spot import Key, Spot, Spots
from tau_stage.scene.steps import AnyStep, Sound, Together
from tau_stage.scene.text import Document, Path
from tau_stage.scene.words import cue_id


def spots_of(scene: Scene, document: Document) -> Spots:
    """Tell where everything stands.

    Args:
        scene: Sound.
        document: What it was read from.
    """
    below = _below(document)

    def within(key: Key, path: Path) -> Iterator[tuple[Key, Path]]:
        return (((*key, *map(str, here[len(path) :])), here) for here in below.get(path, ()))

    places: list[tuple[Key, Path]] = [((), ("lines",) if ("lines",) in document.keys else ("script",))]
    for made, line in written_lines(scene):
        key = ("line", line.id or made)
        places += [*within(key, line.path), (key, (*line.path, line.speaker))]
    for name in scene.players:
        key, path = ("player", name), ("players", name)
        shared = (((*key, option), (option,)) for option in Cascade.options() if (option,) in document.keys)
        places += [(key, path), *shared, *within(key, path)]
    places += [(("cue", cue_id(number)), cue.path) for number, cue in enumerate(scene.on, 1)]
    places += [(("sound", name), (*sound.path, sound.kind)) for name, sound in _sounds(scene)]
    places += within(("expect",), ("expect",))
    return {key: _spot(document, path) for key, path in places}


def _below(document: Document) -> dict[Path, list[Path]]:
    """Return the options of each mapping, and those of the mappings in it."""
    below: dict[Path, list[Path]] = {}
    for path in document.keys:
        for depth in (1, 2):
            below.setdefault(path[: max(0, len(path) - depth)], []).append(path)
    return below


def _sounds(scene: Scene) -> Iterator[tuple[str, Sound]]:
    """Yield effects and beds with their ids, counted as the plan counts them."""
    numbers: Counter[str] = Counter()
    for steps in (scene.lines, *(cue.do for cue in scene.on)):
        for sound in _among(steps):
            numbers[sound.kind] += 1
            yield f"{sound.kind}-{numbers[sound.kind]}", sound


def _among(steps: Sequence[AnyStep]) -> Iterator[Sound]:
    for step in steps:
        for part in step.together if isinstance(step, Together) else (step,):
            if isinstance(part, Sound):
                yield part


def _spot(document: Document, path: Path) -> Spot:
    line, column = document.place(path, key=path in document.keys)
    return Spot(document.source_of(path).path, line, column)
