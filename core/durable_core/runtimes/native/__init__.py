"""Handlers of the native runtime, verified: the driver that carries out what a replay does."""
