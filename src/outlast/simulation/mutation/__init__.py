"""Deliberate bugs, switched on one at a time by the harness alone: each replaces a production function while it is on."""
