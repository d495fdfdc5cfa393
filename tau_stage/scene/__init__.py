"""The scene language: YAML text in, a validated scene and its plan out. Pure."""
