"""Perform scenes with ensembles of realtime voice models.

Everything a program needs is here; other modules may change without notice. Only errors are loaded at once, every other
name when it is first asked for, so that ``tau-stage --help`` loads no voice, no socket and no numpy.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from tau_stage.errors import BudgetExceeded as BudgetExceeded
from tau_stage.errors import CassetteDiffers as CassetteDiffers
from tau_stage.errors import CassetteError as CassetteError
from tau_stage.errors import ConnectFailed as ConnectFailed
from tau_stage.errors import LimitReached as LimitReached
from tau_stage.errors import ModelRefused as ModelRefused
from tau_stage.errors import ProtocolError as ProtocolError
from tau_stage.errors import SceneError as SceneError
from tau_stage.errors import SessionClosed as SessionClosed
from tau_stage.errors import SessionError as SessionError
from tau_stage.errors import StageError as StageError
from tau_stage.errors import Stopped as Stopped
from tau_stage.errors import TakeError as TakeError
from tau_stage.errors import Timeout as Timeout
from tau_stage.errors import UsageError as UsageError
from tau_stage.version import __version__ as __version__

if TYPE_CHECKING:
    from tau_stage.audio.pcm import Pcm as Pcm
    from tau_stage.cost.forecasting import Forecast as Forecast
    from tau_stage.cost.forecasting import forecast as forecast
    from tau_stage.protocol.responses import AudioChunk as AudioChunk
    from tau_stage.protocol.responses import Response as Response
    from tau_stage.protocol.responses import ResponseEnded as ResponseEnded
    from tau_stage.protocol.responses import TextChunk as TextChunk
    from tau_stage.runs.deliver_takes import DeliveredTake as DeliveredTake
    from tau_stage.runs.deliver_takes import deliver as deliver
    from tau_stage.runs.run_scenes import RunOptions as RunOptions
    from tau_stage.runs.run_scenes import perform_scene as perform_scene
    from tau_stage.runs.run_scenes import resume_take as resume_take
    from tau_stage.runs.run_scenes import retake_line as retake_line
    from tau_stage.scene.load import load_scene as load_scene
    from tau_stage.scene.model import Scene as Scene
    from tau_stage.scene.plan import Plan as Plan
    from tau_stage.scene.planner import make_plan as make_plan
    from tau_stage.session import Deadlines as Deadlines
    from tau_stage.session import Session as Session
    from tau_stage.session import Tool as Tool
    from tau_stage.session import create_session as create_session
    from tau_stage.stage.events import Event as Event
    from tau_stage.stage.performance import PerformanceOptions as PerformanceOptions
    from tau_stage.stage.performance import perform as perform
    from tau_stage.stage.sessions import Stage as Stage
    from tau_stage.stage.sessions import open_stage as open_stage
    from tau_stage.take.folder import TakeFolder as TakeFolder
    from tau_stage.take.reading import read_take as read_take
    from tau_stage.take.records import LineSpoken as LineSpoken
    from tau_stage.take.records import PlayerOpened as PlayerOpened
    from tau_stage.take.records import Warned as Warned
    from tau_stage.take.take_model import Take as Take
    from tau_stage.understudy.server import Understudy as Understudy
    from tau_stage.understudy.server import open_understudy as open_understudy

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent, unless the program wants to hear

_ERRORS = tuple(name for name, value in globals().items() if isinstance(value, type))

_LAZY = {
    "AudioChunk": "tau_stage.protocol.responses",
    "Deadlines": "tau_stage.session",
    "DeliveredTake": "tau_stage.runs.deliver_takes",
    "Event": "tau_stage.stage.events",
    "Forecast": "tau_stage.cost.forecasting",
    "LineSpoken": "tau_stage.take.records",
    "Pcm": "tau_stage.audio.pcm",
    "PerformanceOptions": "tau_stage.stage.performance",
    "Plan": "tau_stage.scene.plan",
    "PlayerOpened": "tau_stage.take.records",
    "Response": "tau_stage.protocol.responses",
    "ResponseEnded": "tau_stage.protocol.responses",
    "RunOptions": "tau_stage.runs.run_scenes",
    "Scene": "tau_stage.scene.model",
    "Session": "tau_stage.session",
    "Stage": "tau_stage.stage.sessions",
    "Take": "tau_stage.take.take_model",
    "TakeFolder": "tau_stage.take.folder",
    "TextChunk": "tau_stage.protocol.responses",
    "Tool": "tau_stage.session",
    "Understudy": "tau_stage.understudy.server",
    "Warned": "tau_stage.take.records",
    "create_session": "tau_stage.session",
    "deliver": "tau_stage.runs.deliver_takes",
    "forecast": "tau_stage.cost.forecasting",
    "load_scene": "tau_stage.scene.load",
    "make_plan": "tau_stage.scene.planner",
    "open_stage": "tau_stage.stage.sessions",
    "open_understudy": "tau_stage.understudy.server",
    "perform": "tau_stage.stage.performance",
    "perform_scene": "tau_stage.runs.run_scenes",
    "read_take": "tau_stage.take.reading",
    "resume_take": "tau_stage.runs.run_scenes",
    "retake_line": "tau_stage.runs.run_scenes",
}
"""Where each name is defined that is loaded when it is asked for: the same as above, where type checkers read it."""

__all__ = [*_ERRORS, *_LAZY]  # noqa: PLE0604 - both are lists of names


def _publish(value: object) -> None:
    """Let a class say that it is of ``tau_stage``, as its users write it: in tracebacks, and wherever it is printed."""
    if isinstance(value, type):
        value.__module__ = __name__


for _name in _ERRORS:
    _publish(globals()[_name])

if not TYPE_CHECKING:  # a type checker would take any misspelt name for one of these

    def __getattr__(name: str) -> object:
        """Load a public name when it is first asked for."""
        if name not in _LAZY:
            raise AttributeError(f"module 'tau_stage' has no attribute {name!r}")
        value = getattr(import_module(_LAZY[name]), name)
        _publish(value)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*__all__, "__version__"])
