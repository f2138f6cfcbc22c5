"""One clip by several processes at a time."""
