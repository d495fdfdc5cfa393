"""The version, where every room can read it: the package itself imports them all."""

__version__ = "0.2.0"
