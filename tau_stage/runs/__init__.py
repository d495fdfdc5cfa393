"""From scene files to delivered takes: what ``tau-stage run``, ``resume`` and ``retake`` do, and ``perform_scene``."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
