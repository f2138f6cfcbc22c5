"""Frames out: the `Sink` protocol and its implementations."""
