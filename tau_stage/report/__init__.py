"""A take as something to look at. Pure: a take in, text out."""
