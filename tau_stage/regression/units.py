"""The figures that are compared: their units, and how much they may differ from a snapshot's. One table."""

from __future__ import annotations

from dataclasses import dataclass

from tau_stage.scene import ranges
from tau_stage.scene.expect import Tolerances
from tau_stage.scene.ranges import Unit


@dataclass(frozen=True, slots=True)
class Limit:
    """How a figure is told, and how much it may differ: the larger of both.

    Attributes:
        unit: Its unit.
        absolute: In its unit.
        relative: As a share of the snapshot's figure.
    """

    unit: Unit
    absolute: float
    relative: float = 0.0

    def changed(self, own: Tolerances | None, wide: Tolerances | None, name: str) -> Limit:
        """Return the limit as a line, or else the scene, changes it; a part that is not written stays.

        Args:
            own: Of the line.
            wide: Of the scene.
            name: The figure.
        """
        limit = self
        for told in (wide, own):
            if told and (wish := getattr(told, name)):
                absolute = limit.absolute if wish.absolute is None else wish.absolute
                limit = Limit(limit.unit, absolute, limit.relative if wish.relative is None else wish.relative)
        return limit

    def allows(self, old: float, new: float) -> bool:
        """Tell whether a figure is as it was.

        >>> LIMITS["length"].allows(4.0, 4.3), LIMITS["length"].allows(4.0, 5.2)
        (True, False)
        """
        return abs(new - old) <= max(self.absolute, self.relative * abs(old)) + 1e-9


LIMITS = {
    "words": Limit(ranges.SHARE, 0.0),
    "length": Limit(ranges.SECONDS, 0.25, 0.1),
    "loudness": Limit(ranges.LUFS, 1.5),
    "silence": Limit(ranges.SECONDS, 0.3, 0.2),
    "clipping": Limit(ranges.SAMPLES, 0.0),
    "first_audio": Limit(ranges.SECONDS, 0.3, 0.5),
    "dead_air": Limit(ranges.SECONDS, 0.05, 0.05),
    "rate": Limit(ranges.PER_SECOND, 0.3, 0.1),
    "voice": Limit(ranges.DISTANCE, 0.25),
    "cost": Limit(ranges.DOLLARS, 0.00002, 0.25),
}
"""What is less than this nobody notices, or differs from one performance of a line to the next."""

FIGURES = tuple(name for name in LIMITS if name not in ("words", "voice"))
"""Those that a number tells."""
