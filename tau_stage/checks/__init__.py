"""What a take is held against: expectations, snapshots, and what can be measured. Data in, verdicts out."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
