"""Asking a model: the port to an endpoint, and what stands in where none is configured."""
