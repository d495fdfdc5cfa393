"""The performance: opening sessions, deciding what may start, letting players hear each other."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
