"""What performances cost: usage times price (``pricing``), and what a scene is likely to cost (``forecasting``)."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
