"""Scenes with exact truth, composed from cut-out people and rooms: layers, effects, and writing them as clips."""
