"""The journal on one machine: SQLite, one process that writes, files for blobs."""
