"""The understudy: an embedded Realtime server with real speech, so that everything works without a key.

It speaks GA strictly, as a provider would, and listens on loopback only.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
