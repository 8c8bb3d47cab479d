"""Backups in a directory."""
