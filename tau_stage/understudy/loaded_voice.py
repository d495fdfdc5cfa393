"""Loads the understudy and its voice when it is imported: for a process of which others are forked."""

import tau_stage.understudy.server  # noqa: F401 - to be loaded
from tau_stage.understudy.voices import has_voice, load_engine

if has_voice():
    load_engine()
