"""Deliberate bugs, switched on one at a time by the harness alone: each stands in for a production function then."""
