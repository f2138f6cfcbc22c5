"""From the model's small alpha to alpha at frame size."""
