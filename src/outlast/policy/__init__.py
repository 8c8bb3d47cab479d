"""Decisions as pure state machines: told the time and what happened, they say what to do. No I/O."""
