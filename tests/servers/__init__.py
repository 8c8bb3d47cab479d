"""Real servers on free loopback ports, which tests start and end by their process's id."""
