"""Journal, run index, snapshots and signs of life in one DynamoDB table."""
