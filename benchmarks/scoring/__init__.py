"""How good mattes are, measured against exact truth: metrics, reading, running, tables and pictures."""
