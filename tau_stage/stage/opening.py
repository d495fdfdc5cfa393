"""The stage itself: which provider plays each player, and how to reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr

from tau_stage.environment import known_keys
from tau_stage.errors import UsageError
from tau_stage.protocol.endpoints import ENDPOINTS, UNDERSTUDY, Endpoint, endpoint
from tau_stage.protocol.proxies import proxy_for
from tau_stage.protocol.secrets import Secrets
from tau_stage.scene.plan import Plan, PlayerPlan
from tau_stage.session import Deadlines
from tau_stage.stage.gate import Gate
from tau_stage.text import STRUCK, keys_of, shown
from tau_stage.transport import Transport, dial

Connect = Callable[[PlayerPlan], AbstractAsyncContextManager[Transport]]
"""Opens the connection of one player."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who plays a player, with the key; the key shows in no ``repr``.

    Attributes:
        endpoint: Where it lives.
        key: Its key, if it wants one.
        resource: The user's own host there, if it has such.
    """

    endpoint: Endpoint
    key: SecretStr | None = None
    resource: str = ""

    def connect(self, model: str, opening_s: float, closing_s: float) -> AbstractAsyncContextManager[Transport]:
        """Dial it."""
        key = self.key.get_secret_value() if self.key else None
        url = self.endpoint.address(model, self.resource)
        return dial(url, self.endpoint.headers(key), open_timeout_s=opening_s, closing_s=closing_s)


@dataclass(frozen=True, slots=True)
class Stage:
    """What a performance needs of the world.

    Attributes:
        connect: Opens the connection of one player.
        provider_of: The endpoint that plays a player.
        gate: Shared by all scenes of the process.
        deadlines: How long a session waits for what.
    """

    connect: Connect
    provider_of: Callable[[PlayerPlan], Endpoint] = lambda _player: endpoint(UNDERSTUDY)
    gate: Gate = field(default_factory=Gate)
    deadlines: Deadlines = field(default_factory=Deadlines)

    def secrets(self, plan: Plan) -> Secrets:
        """Return what no tool may answer: the keys of this process, and those of the addresses that are dialled."""
        addresses = {self.provider_of(player).url for player in plan.models}
        return Secrets([*known_keys(), *(key for address in addresses for key in keys_of(address))])


def provider_for(
    player: PlayerPlan, environment: Mapping[str, str], *, wished: str | None = None, live: bool = False
) -> Provider:
    """Choose who plays a player: the wish, else the scene's endpoint, ``TAU_STAGE_ENDPOINT``, OpenAI if there is a key,
    and else the understudy.

    Args:
        player: From the plan.
        environment: Holds the keys.
        wished: An endpoint's name or URL that overrules the scene.
        live: Whether the understudy is refused.

    Raises:
        UsageError: The endpoint is unknown, cannot be dialled, or wants a key or a resource that is not there; its
            proxy cannot be used; or ``live`` leaves nobody.
    """  # noqa: D205 - the order is the summary
    ambient = environment.get("TAU_STAGE_ENDPOINT") or ("openai" if environment.get("OPENAI_API_KEY") else UNDERSTUDY)
    name = wished or player.endpoint or ambient
    if STRUCK in name:
        raise UsageError(
            f"player {player.name} was played at {name}, and no take keeps a key", "name the address again: --endpoint"
        )
    try:
        place = endpoint(name)
    except KeyError:
        raise UsageError(
            f"there is no endpoint {shown(name)!r}", f"use {', '.join(ENDPOINTS)}, or a ws:// URL"
        ) from None
    if place.name == UNDERSTUDY:
        if live:
            raise UsageError("--live needs a provider, and only the understudy is there", "set OPENAI_API_KEY")
        return Provider(place)
    key = place.key_in(environment)
    if key is None and place.wants_key:
        raise UsageError(f"player {player.name} plays at {place.name}, and {place.key_env[0]} is not set")
    resource = environment.get(place.resource_env, "")
    if "{resource}" in place.url and not (resource or place.resource):
        raise UsageError(f"player {player.name} plays at {place.name}, and {place.resource_env} is not set")
    proxy_for(place.address(player.model, resource), environment)
    return Provider(place, SecretStr(key) if key else None, resource)


@asynccontextmanager
async def open_stage(
    plans: list[Plan],
    environment: Mapping[str, str],
    *,
    wished: str | None = None,
    live: bool = False,
    deadlines: Deadlines | None = None,
) -> AsyncIterator[Stage]:
    """Open a stage for these plans, with an understudy in this process where one is needed.

    Raises:
        UsageError: A player has nobody to play it.
    """
    waits = deadlines or Deadlines()
    providers = {
        player: provider_for(player, environment, wished=wished, live=live) for plan in plans for player in plan.models
    }

    def dialled(player: PlayerPlan, provider: Provider) -> AbstractAsyncContextManager[Transport]:
        """Dial for a player; wait as long as the most patient scene with this player."""
        wished = [plan.waits for plan in plans if player in plan.models]
        opening_s = max((one.opening_s or waits.opening_s for one in wished), default=waits.opening_s)
        closing_s = max((one.closing_s or waits.closing_s for one in wished), default=waits.closing_s)
        return provider.connect(player.model, opening_s, closing_s)

    def provider_of(player: PlayerPlan) -> Endpoint:
        return providers[player].endpoint

    if all(provider.endpoint.name != UNDERSTUDY for provider in providers.values()):
        yield Stage(lambda player: dialled(player, providers[player]), provider_of, Gate(), waits)
        return
    from tau_stage.stage.people import known_words
    from tau_stage.understudy.server import Understudy, open_understudy
    from tau_stage.understudy.voices import Ensemble, require_voice

    is_named = wished or environment.get("TAU_STAGE_ENDPOINT") or any(player.endpoint for player in providers)
    require_voice("" if is_named else ", or set a provider's key, like OPENAI_API_KEY")
    understudy = Understudy(Ensemble())
    for plan in plans:
        for audio, words in known_words(plan):
            understudy.known_speech.teach(audio, words)
    async with open_understudy(understudy) as url:

        def connect(player: PlayerPlan) -> AbstractAsyncContextManager[Transport]:
            provider = providers[player]
            if provider.endpoint.name == UNDERSTUDY:
                provider = Provider(provider.endpoint, resource=url)
            return dialled(player, provider)

        yield Stage(connect, provider_of, Gate(), waits)
