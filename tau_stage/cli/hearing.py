"""Who runs a scene may hear it: when, and on what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from tau_stage.audio.pcm import RATE
from tau_stage.cli.printing import warn
from tau_stage.errors import UsageError

if TYPE_CHECKING:
    from tau_stage.devices.loudspeaker import SoundCard
    from tau_stage.stage.people import Person


def refuse_choir(*, aloud: bool | None, scenes: int, jobs: int) -> None:
    """Refuse to play several scenes aloud.

    Raises:
        UsageError: That was asked for.
    """
    if not aloud:
        return
    if scenes > 1:
        remedy = "name one scene, and one variant of its matrix with --only"
        raise UsageError(f"--aloud plays one scene, and there are {scenes}", remedy)
    if jobs > 1:
        raise UsageError(f"--aloud plays one scene at a time, and --jobs is {jobs}", "leave --jobs away")


@asynccontextmanager
async def open_ears(people: Iterable[Person], *, aloud: bool | None) -> AsyncIterator[SoundCard | None]:
    """Open the loudspeaker, where the scene is to be heard.

    Args:
        people: Of the scene.
        aloud: Whether it is wished; None is: where somebody speaks into a microphone, and there is a loudspeaker.

    Raises:
        UsageError: It is wished, and there is none.
    """
    from tau_stage.devices.loudspeaker import has_loudspeaker, open_loudspeaker
    from tau_stage.stage.people import Speaker

    speaks = any(isinstance(person, Speaker) for person in people)
    if aloud is False or not (aloud or (speaks and has_loudspeaker())):
        yield None
        return
    async with AsyncExitStack() as opened:
        loudspeaker: SoundCard | None = None
        try:
            loudspeaker = await opened.enter_async_context(open_loudspeaker())
        except UsageError as error:
            if aloud:
                raise
            warn(f"The scene is not heard: {error.problem}.")
        if loudspeaker and speaks:
            warn("The scene is heard: wear headphones, or the microphone hears it too.")
        yield loudspeaker
        if loudspeaker and (lost := loudspeaker.lost_samples):
            warn(f"The loudspeaker is gone: {lost / RATE:.1f} s were not heard.")
