"""From scene files to delivered takes: what ``tau-stage run``, ``resume`` and ``retake`` do, and ``perform_scene``."""
