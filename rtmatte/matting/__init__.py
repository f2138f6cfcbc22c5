"""Alpha from frames: the `Matter` protocol, the models and the runtime."""
