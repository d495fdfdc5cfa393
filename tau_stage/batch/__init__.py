"""Batches: many scenes, variants and languages, performed by any number of workers, and nothing paid twice."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
