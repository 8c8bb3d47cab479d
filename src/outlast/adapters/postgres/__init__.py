"""The journal for more than one machine: PostgreSQL."""
