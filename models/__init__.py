"""How the shipped weights are built: `python -m models.build_NAME`."""
