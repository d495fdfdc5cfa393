"""Cassettes on the command line: what ``--record`` and ``--replay`` do to a performance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tau_stage.cli.printing import warn
from tau_stage.environment import environment
from tau_stage.errors import UsageError
from tau_stage.scene.plan import Plan
from tau_stage.stage.sessions import Stage
from tau_stage.take.take_model import Take


class Tape(Protocol):
    """What a scene is performed with."""

    @property
    def stage(self) -> Stage:
        """Connects its players."""

    def finish(self, take: Take) -> object:
        """Finish the recording: the performance is over."""


@dataclass(frozen=True, slots=True)
class NoTape:
    """Nothing is recorded, and nothing replayed."""

    stage: Stage

    def finish(self, take: Take) -> None:
        """Do nothing: nothing is left to do."""


def refuse_tapes(
    plans: Sequence[Plan],
    *,
    record: Path | None,
    replay: Path | None,
    aloud: bool | None,
    elsewhere: bool,
    resume: bool = False,
) -> None:
    """Refuse what cannot be together.

    Raises:
        UsageError: It is asked for.
    """
    if record and replay:
        raise UsageError("--record and --replay cannot be together", "record first, then replay")
    if resume and (record or replay):
        raise UsageError("a cassette holds a whole performance: --resume cannot be together with --record or --replay")
    if replay and elsewhere:
        raise UsageError("--replay needs no provider", "leave out --endpoint and --live")
    if replay and aloud:
        raise UsageError("--replay takes no time, so nobody could listen", "play the take: tau-stage play TAKE")
    slug, times = Counter(plan.slug for plan in plans).most_common(1)[0]
    if record and times > 1:
        raise UsageError(
            f"{times} scenes would be recorded on the cassette {slug}",
            "give each file a name of its own, or record into a folder for each",
        )


def clock_of(record: Path | None, replay: Path | None) -> dict[str, Any]:
    """Make ``backend_options`` for ``anyio.run``: a recording counts milliseconds, a replay does not wait."""
    from tau_stage.clock import STEADY, VIRTUAL

    return VIRTUAL if replay else STEADY if record else {}


@contextmanager
def taped(plan: Plan, stage: Stage | None, *, record: Path | None, replay: Path | None) -> Iterator[Tape]:
    """Make what a scene is performed with: the stage as it is, recorded, or a cassette.

    Args:
        plan: The scene.
        stage: None where it is replayed.
        record: Folder of cassettes to record into.
        replay: Folder of cassettes to replay from.

    Raises:
        CassetteError: The cassette cannot be read or written.
    """
    if replay:
        from tau_stage.cassette.replayer import Replay

        yield Replay.of(plan, replay)
        return
    assert stage is not None  # noqa: S101 - there is one, or a cassette
    if record is None:
        yield NoTape(stage)
        return
    from tau_stage.cassette.recorder import recording
    from tau_stage.cassette.redaction import secrets_in

    with recording(plan, stage, record, secrets_in(environment())) as tape:
        yield tape
        if not tape.is_complete:
            warn(f"{plan.path}: no cassette was left, as the take did not come to its end")
