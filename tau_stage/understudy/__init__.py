"""The understudy: an embedded Realtime server with real speech, so that everything works without a key.

It speaks GA strictly, as a provider would, and listens on loopback only.
"""
