"""What everything stands on: clock, randomness, identity, unit, error, codec, crash point."""
