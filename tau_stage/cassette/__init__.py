"""Record conversations with providers, and replay them: what a scene was told once is told again, for nothing."""
