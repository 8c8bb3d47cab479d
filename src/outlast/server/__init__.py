"""The HTTP API: start runs, follow them, tell them things. Loopback by default, bounded everywhere."""
