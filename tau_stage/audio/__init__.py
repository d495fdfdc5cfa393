"""Sound: samples, files, levels. Knows nothing of scenes or sockets."""
