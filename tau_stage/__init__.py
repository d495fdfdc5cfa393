"""Perform scenes with ensembles of realtime voice models.

Everything a program needs is here; other modules may change without notice. Only errors are loaded at once, every other
name when it is first asked for, so that ``tau-stage --help`` loads no voice, no socket and no numpy.
"""

from __future__ import annotations

from lazy_loader import attach_stub

from tau_stage import errors

_load, __dir__, _names = attach_stub(__name__, __file__)
__all__ = [name for name in _names if name != "__version__"]


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for."""
    return _publish(_load(name))


def _publish(value: object) -> object:
    """Let a class say that it is of ``tau_stage``, as its users write it: in tracebacks, and wherever it is printed."""
    if isinstance(value, type):
        value.__module__ = __name__
    return value


for _error in vars(errors).values():
    if isinstance(_error, type) and issubclass(_error, errors.StageError):
        _publish(_error)
