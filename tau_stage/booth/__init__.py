"""The booth: a page of your own that shows every session on this machine, and lets you listen and talk."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
