"""The benchmark: how fast this machine is with rtmatte, measured with the program's own runs."""
