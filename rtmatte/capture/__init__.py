"""Frames in: the `Source` protocol and its implementations."""
