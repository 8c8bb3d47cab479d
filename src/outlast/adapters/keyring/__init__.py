"""Keys in a file or an environment variable: the Sealer of one machine."""
