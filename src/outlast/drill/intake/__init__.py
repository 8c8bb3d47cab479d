"""The document intake with each of its dependencies off in turn, while documents flow."""
