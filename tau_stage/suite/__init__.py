"""``tau-stage test``: which files are scenes, what each comes to, and how that is told; the pytest plugin."""
