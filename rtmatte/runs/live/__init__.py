"""The live run: a camera in, a virtual camera out, for hours."""
