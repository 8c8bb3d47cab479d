"""The same steps on every engine: SQLite, PostgreSQL, DynamoDB."""
