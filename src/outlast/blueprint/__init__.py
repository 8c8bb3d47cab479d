"""What a system is and promises, in one file: the schema of ``outlast.yaml`` and its strict reader."""
