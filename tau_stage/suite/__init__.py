"""``tau-stage test``: which files are scenes, what each comes to, and how that is told; the pytest plugin."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
