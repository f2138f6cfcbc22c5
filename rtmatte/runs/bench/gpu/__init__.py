"""The NVIDIA GPU beside a measurement: what it holds, draws, and is slowed down by."""
