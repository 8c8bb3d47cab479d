"""Predictions held against a running system: each part of an example is killed, and the rest is looked at."""
