"""The scene language: YAML text in, a validated scene and its plan out. Pure."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
