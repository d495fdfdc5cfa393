"""What a cassette must not hold: keys, organisations, and the provider's own ids, which get names that stay."""

from __future__ import annotations

import re
import tomllib
from bisect import insort
from collections.abc import Collection, Mapping
from operator import neg
from pathlib import Path

from tau_stage.cassette.clips import Event, Keys, map_strings
from tau_stage.protocol import ENDPOINTS

FIELDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
NAMED_BY_KEY: Mapping[str, str] = FIELDS["named_by_key"]
NAMED_BY_PARENT: Mapping[str, str] = FIELDS["named_by_parent"]
DROPPED, PLAIN = (frozenset(FIELDS[kind].split()) for kind in ("dropped", "plain"))

LOOKS_PRIVATE = re.compile(
    r"(?<![\w-])(?:sk|rk|pk|ek|org|proj|project|req|sess|session|resp|item|event|call|conv|user|acct|key)[-_][\w*-]{4,}"
)
HIDDEN = "<redacted>"
SHORTEST_SECRET = 6


def secrets_in(environment: Mapping[str, str]) -> frozenset[str]:
    """Return what an environment tells of its owner: keys, hosts of their own, organisations.

    >>> secrets_in({"OPENAI_API_KEY": "sk-123456", "HOME": "/home/me"})
    frozenset({'sk-123456'})
    """
    names = {name for place in ENDPOINTS.values() for name in (*place.key_env, place.resource_env)}
    names |= {"TAU_STAGE_API_KEY", "OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_PROJECT_ID", "OPENAI_PROJECT"}
    found = (environment.get(name, "") for name in names)
    return frozenset(value for value in found if len(value) >= SHORTEST_SECRET)


class Redactor:
    """Knows one player's ids: those that the client made stay, the provider's are numbered as they come.

    >>> redactor = Redactor("clerk", {"sk-secret"})
    >>> redactor.redact_received({"type": "x", "event_id": "event_9", "session": {"id": "sess_Xy", "expires_at": 9}})
    {'type': 'x', 'session': {'id': 'sess_clerk_1'}}
    >>> redactor.text("Wrong key sk-secret in org-a1b2c3 for sess_Xy.")
    'Wrong key <redacted> in <redacted> for sess_clerk_1.'
    """

    def __init__(self, owner: str, secrets: Collection[str] = ()) -> None:
        self._owner = owner
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._ours: set[str] = set()
        self._names: dict[str, str] = {}
        self._given: set[str] = set()
        self._lengths: list[int] = []
        self._counts: dict[str, int] = {}

    def redact_sent(self, event: Event) -> Event:
        """Redact a client's event: its own words and ids stay, but for secrets and the provider's ids."""
        item = event.get("item")
        made = [event.get("event_id"), item.get("id") if isinstance(item, dict) else None]
        self._ours.update(one for one in made if isinstance(one, str) and one not in self._names)
        redacted: Event = map_strings(event, self._sent)
        return redacted

    def redact_received(self, event: Event) -> Event:
        """Redact a server's event."""
        redacted: Event = map_strings(event, self._received, DROPPED)
        redacted.pop("event_id", None)
        return redacted

    def text(self, text: str) -> str:
        """Redact a provider's own sentence: whatever looks private is hidden."""
        return LOOKS_PRIVATE.sub(self._hidden, self._without_secrets(self._renamed(text)))

    def _renamed(self, text: str) -> str:
        """Put our names for the provider's ids; ids have few lengths, and the longest is looked for first."""
        parts, kept, at = [], 0, 0
        while at < len(text):
            pieces = (text[at : at + length] for length in self._lengths)
            if found := next(filter(self._names.__contains__, pieces), ""):
                parts += [text[kept:at], self._names[found]]
                kept = at + len(found)
            at += len(found) or 1
        return "".join([*parts, text[kept:]])

    def _hidden(self, found: re.Match[str]) -> str:
        whole = found[0].rstrip("-_*")
        return found[0] if whole in self._ours or whole in self._given else HIDDEN

    def _sent(self, text: str, _keys: Keys) -> str:
        return self._names.get(text) or self._without_secrets(text)

    def _received(self, text: str, keys: Keys) -> str:
        key, parent = keys[-1], keys[-2] if len(keys) > 1 else ""
        if kind := NAMED_BY_PARENT.get(parent, "id") if key == "id" else NAMED_BY_KEY.get(key):
            return self._name(text, kind)
        return self.text(text) if PLAIN.isdisjoint(keys) else self._without_secrets(text)

    def _name(self, given: str, kind: str) -> str:
        if not given or given in self._ours:
            return given
        if given not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = self._names[given] = f"{kind}_{self._owner}_{self._counts[kind]}"
            self._given.add(name)
            if len(given) not in self._lengths:
                insort(self._lengths, len(given), key=neg)
        return self._names[given]

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text
