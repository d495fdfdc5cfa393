"""The machine's own devices: microphones, loudspeakers, keyboards, and what is played on them."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
