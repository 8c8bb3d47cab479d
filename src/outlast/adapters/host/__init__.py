"""This machine: its clock, its randomness, its processes."""
