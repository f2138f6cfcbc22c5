"""Self-tuning: which model, with how many threads and whose masks, is best among those that keep up on this machine."""
