"""The understudy as a server: who is let in, what was ordered to go wrong, and what it has seen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from tau_stage.errors import SessionClosed, UsageError
from tau_stage.protocol import ServerError
from tau_stage.transport import Handshake, Refusal, Transport, serve
from tau_stage.understudy.actor import Actor
from tau_stage.understudy.admission import AZURE_PATHS, PATHS, Rejection, reject_origin, reject_reason
from tau_stage.understudy.client_dialects import codec_for
from tau_stage.understudy.connection import Connection, Visit
from tau_stage.understudy.dialogue import Dialogue
from tau_stage.understudy.faults import BusyDoor, Fault, Passing, RefuseInBand, SlowHandshake, Strike, What, Where
from tau_stage.understudy.profiles import CURRENT, Profile, profile_of
from tau_stage.understudy.settings import new_session
from tau_stage.understudy.sound_store import KnownSpeech
from tau_stage.understudy.stored_items import ItemStore

SESSION_S = 3600
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

F = TypeVar("F", bound=Fault)
P = TypeVar("P", bound=Passing)


def _neural_voices() -> Actor:
    from tau_stage.understudy.voices import Ensemble

    return Ensemble()


@dataclass(slots=True)
class Understudy:
    """A server that stands in for a realtime model.

    Attributes:
        actor: Speaks; the real voices, if it is not given.
        key: The key clients must bring; None takes any, or none.
        faults: What goes wrong, on order.
        keeps_visits: Whether it remembers what it was sent; for tests, as it grows.
        clock: Unix time, for the sessions' expiry.
        expires_s: Seconds a session lasts.
        refuses_beta: Whether clients of the beta are refused, as OpenAI does.
        pace: How many seconds of sound it sends in a second; None is as fast as it can.
        origins: Web pages of other machines that may talk to it.
        profile: The model it behaves as, whichever a client asks for; None behaves as the model that is asked for, but
            says nothing before it calls tools.
        known_speech: What was said lately, for transcripts.
        items: Keeps what its sessions hold.
        visits: What it was sent, by connection.
        refused: Openings refused at the upgrade, by time.

    >>> Understudy(pace=1.0, key="open sesame").profile is None
    True
    """

    actor: Actor = field(default_factory=_neural_voices)
    key: str | None = None
    faults: Sequence[Fault] = ()
    keeps_visits: bool = False
    clock: Callable[[], float] = time.time
    expires_s: float = SESSION_S
    refuses_beta: bool = False
    pace: float | None = None
    origins: Collection[str] = ()
    profile: Profile | None = None
    known_speech: KnownSpeech = field(default_factory=KnownSpeech)
    items: ItemStore = field(default_factory=ItemStore)
    visits: list[Visit] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    _opened: int = 0
    _used: Counter[Passing] = field(default_factory=Counter)
    _struck: Counter[Strike] = field(default_factory=Counter)

    async def admit(self, handshake: Handshake) -> Refusal | None:
        """Refuse at the upgrade, or let in."""
        if refusal := reject_origin(handshake, self.origins):
            return refusal
        if late := self.ordered_fault(SlowHandshake):
            await anyio.sleep(late.seconds)
        if handshake.path not in PATHS:
            return Refusal(404, f"There is nothing at {handshake.path}; the realtime API is at /v1/realtime.\n")
        for order in self.faults:
            if isinstance(order, BusyDoor) and len(self.refused) < order.times:
                self.refused.append(anyio.current_time())
                wait = {} if order.retry_after_s is None else {"Retry-After": f"{order.retry_after_s:g}"}
                return Refusal(429, "Too many requests; slow down.\n", wait)
        return None

    async def listen(self, transport: Transport, handshake: Handshake) -> None:
        """Serve one connection until it ends."""
        self._opened += 1
        visit = Visit(self._opened, handshake, anyio.current_time())
        if self.keeps_visits:
            self.visits.append(visit)
        rejection = self._ordered_rejection() or reject_reason(
            handshake, self.key, refuses_beta=self.refuses_beta, any_model=self.profile is not None
        )
        asked = handshake.query.get("model") or handshake.query.get("deployment", "")
        profile = self.profile or (profile_of(asked) or CURRENT).quiet
        model = asked if self.profile is None or profile.is_meant_by(asked) else profile.model
        session = new_session(f"sess_{visit.number:04d}", model, int(self.clock() + self.expires_s), profile)
        is_deployment = handshake.path in AZURE_PATHS
        dialogue = Dialogue(
            visit.number,
            session,
            profile,
            known_speech=self.known_speech,
            store=self.items,
            is_deployment=is_deployment,
        )
        connection = Connection(self, transport, visit, dialogue, codec_for(handshake, profile, self.clock))
        try:
            await (connection.refuse(rejection) if rejection else connection.serve())
        except SessionClosed:
            return
        finally:
            visit.closed_at = anyio.current_time()

    def ordered_fault(self, kind: type[F]) -> F | None:
        """Return the fault of a kind that was ordered, if one was."""
        return next((order for order in self.faults if isinstance(order, kind)), None)

    def next_strike(self, where: Where, visit: int) -> What | None:
        """Use up and return what goes wrong here and now, if anything was ordered."""
        strikes = (order for order in self.faults if isinstance(order, Strike))
        for order in strikes:
            here = order.where == where and order.visit in {None, visit}
            if here and self._struck[order] < order.times:
                self._struck[order] += 1
                return order.what
        return None

    def use_fault(self, kind: type[P]) -> P | None:
        """Use up and return the fault of a kind that the response falls under which begins now, if one is left."""
        order = self.ordered_fault(kind)
        if order is None or self._used[order] >= order.times:
            return None
        self._used[order] += 1
        return order

    def _ordered_rejection(self) -> Rejection | None:
        order = self.ordered_fault(RefuseInBand)
        if order is None:
            return None
        message = order.message or "The session is refused."
        return Rejection(ServerError(type=order.type, code=order.code, message=message, param=None), order.close_code)


@asynccontextmanager
async def open_understudy(
    understudy: Understudy | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve an understudy while the block runs.

    Args:
        understudy: The server; one with the real voices, if it is not given.
        host: A loopback address.
        port: 0 takes a free one.

    Yields:
        Its URL, ``ws://host:port``.

    Raises:
        UsageError: The host is not loopback, or the port is taken.

    >>> import anyio
    >>> from tau_stage import create_session
    >>> async def talk() -> str:
    ...     async with open_understudy() as url, create_session(endpoint=url, output_modalities=("text",)) as session:
    ...         await session.user("Where does the wind come from?")
    ...         return (await session.response()).status
    >>> anyio.run(talk)
    'completed'
    """
    if host not in LOOPBACK:
        raise UsageError(f"the understudy listens on loopback only, not on {host}", "use 127.0.0.1")
    understudy = understudy or Understudy()
    try:
        async with serve(understudy.listen, understudy.admit, host=host, port=port) as url:
            yield url
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}") from None
