"""Valkey, Redis and what speaks as they do (extra ``valkey``): hints and answers that processes share."""
