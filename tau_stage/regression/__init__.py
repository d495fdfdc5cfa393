"""Whether a performance still is what it was: expectations, snapshots, and cassettes of conversations."""
