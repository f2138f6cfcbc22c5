"""The spine: whole jobs, from an input to an output."""
