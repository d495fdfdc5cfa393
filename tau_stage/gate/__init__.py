"""The gate: what many performances share, and may not exceed together.

Openings, one after another; sessions at once; tokens a minute; dollars. A performance asks for a lease, and waits.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
