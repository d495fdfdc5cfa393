"""tau-stage performs scenes with ensembles of realtime voice models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tau_stage.audio.pcm import Pcm as Pcm
    from tau_stage.protocol.conversation import Response as Response
    from tau_stage.scene.load import load_scene as load_scene
    from tau_stage.scene.planning import make_plan as make_plan
    from tau_stage.session import Deadlines as Deadlines
    from tau_stage.session import Session as Session
    from tau_stage.session import create_session as create_session
    from tau_stage.stage.opening import open_stage as open_stage
    from tau_stage.stage.perform import perform as perform
    from tau_stage.take.folder import TakeFolder as TakeFolder
    from tau_stage.take.model import Take as Take
    from tau_stage.understudy.server import open_understudy as open_understudy

__version__ = "0.1.0"

_HOMES = {
    "Deadlines": "session",
    "Pcm": "audio.pcm",
    "Response": "protocol.conversation",
    "Session": "session",
    "Take": "take.model",
    "TakeFolder": "take.folder",
    "create_session": "session",
    "load_scene": "scene.load",
    "make_plan": "scene.planning",
    "open_stage": "stage.opening",
    "open_understudy": "understudy.server",
    "perform": "stage.perform",
}

__all__ = [*_HOMES]  # noqa: PLE0604 - the names above, loaded when they are first asked for


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: ``--help`` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tau_stage' has no attribute {name!r}")
    return getattr(import_module(f"tau_stage.{_HOMES[name]}"), name)
