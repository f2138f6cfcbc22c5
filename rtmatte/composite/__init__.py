"""Foreground over background: kernels and backgrounds."""
