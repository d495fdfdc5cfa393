"""Where realtime models live: each endpoint is data. Keys never enter here, only the names of their variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

Auth = Literal["bearer", "api-key", "none"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place that speaks the Realtime protocol.

    Attributes:
        name: As a scene names it; a URL stands for itself.
        url: Template of its URL: ``{model}``, and ``{resource}`` from ``resource_env``.
        auth: How the key travels.
        key_env: Environment variables that may hold the key, the first that is set counts.
        resource_env: Environment variable with the host of the user's own resource.
        price_provider: Whose price list applies (``genai-prices``).
        source: Where these facts come from.
    """

    name: str
    url: str
    auth: Auth = "bearer"
    key_env: tuple[str, ...] = ()
    resource_env: str = ""
    price_provider: str = "openai"
    source: str = ""

    def address(self, model: str, resource: str = "") -> str:
        """The URL to dial for a model.

        >>> ENDPOINTS["openai"].address("gpt-realtime-2.1")
        'wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1'
        >>> endpoint("ws://127.0.0.1:8000/v1/realtime?tenant=x").address("gpt-realtime-2.1")
        'ws://127.0.0.1:8000/v1/realtime?tenant=x&model=gpt-realtime-2.1'
        """
        if "{model}" in self.url:
            host = urlsplit(resource).netloc or resource
            return self.url.format(model=quote(model, safe=""), resource=host)
        parts = urlsplit(self.url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"model": model}
        return urlunsplit(parts._replace(query=urlencode(query), path=parts.path.rstrip("/") or "/v1/realtime"))

    def headers(self, key: str | None) -> dict[str, str]:
        """What the upgrade carries; without a key, nothing.

        >>> ENDPOINTS["azure"].headers("secret")
        {'api-key': 'secret'}
        """
        if not key or self.auth == "none":
            return {}
        return {"Authorization": f"Bearer {key}"} if self.auth == "bearer" else {"api-key": key}


UNDERSTUDY = "understudy"

ENDPOINTS = {
    place.name: place
    for place in (
        Endpoint(
            name="openai",
            url="wss://api.openai.com/v1/realtime?model={model}",
            key_env=("OPENAI_API_KEY",),
            source="openai-python 3.52.0, resources/realtime",
        ),
        Endpoint(
            name="azure",
            url="wss://{resource}/openai/v1/realtime?model={model}",
            auth="api-key",
            key_env=("AZURE_OPENAI_API_KEY",),
            resource_env="AZURE_OPENAI_ENDPOINT",
            price_provider="azure",
            source="Azure OpenAI GA: no api-version; the deployment's name as model",
        ),
        Endpoint(
            name=UNDERSTUDY, url="ws://{resource}/v1/realtime?model={model}", auth="none", source="tau_stage.understudy"
        ),
    )
}
"""Every endpoint a scene can name."""


def endpoint(name: str) -> Endpoint:
    """The endpoint of that name, or one made for a ``ws://`` or ``wss://`` URL.

    Raises:
        KeyError: It is neither.
    """
    if name.startswith(("ws://", "wss://")):
        return Endpoint(name=name, url=name, key_env=("TAU_STAGE_API_KEY",), source="the user's URL")
    return ENDPOINTS[name]
