"""Record conversations with providers, and replay them: what a scene was told once is told again, for nothing."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
