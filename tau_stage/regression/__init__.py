"""Whether a performance still is what it was: cassettes of conversations, and what a scene is expected to be."""
