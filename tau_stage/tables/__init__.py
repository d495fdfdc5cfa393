"""Tables of lines: spreadsheets, string tables of game engines, translations and transcripts in, scenes out."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
