"""What a performance leaves: the journal, the folder, the stems, and the take folded from them."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
