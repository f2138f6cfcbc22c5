"""Other people's background removal, as their users run it over a file; each in a Python of its own."""
