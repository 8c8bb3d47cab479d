"""The one source of truth: append-only, hash-chained streams of events, and what is stored beside them."""
