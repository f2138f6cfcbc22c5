"""Alpha over time."""
