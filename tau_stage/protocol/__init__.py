"""The Realtime API as data: events, items, sessions, the conversation they make. Sans-I/O.

Inside tau-stage there is only the GA dialect. Both sides of a socket use these types: the session sends
client events and reads server events, the understudy the other way round.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
