"""When each word of a line is heard, and which shape a mouth has meanwhile."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
