"""Predictions held against the running system: each part of the support desk is killed, and the rest is looked at."""
