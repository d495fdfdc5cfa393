"""The performance: opening sessions, deciding what may start, letting players hear each other."""
