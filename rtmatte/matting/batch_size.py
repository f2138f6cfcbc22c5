"""How many frames of a clip a net gets in one run where nobody says. Help texts tell it, and load nothing else."""

from __future__ import annotations

BATCH_ON_A_DEVICE = 4
"""Where the net doesn't run on the processor's cores: a guess, no GPU was at hand."""
