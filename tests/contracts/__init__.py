"""One abstract suite for each port; an adapter's test supplies the constructor and passes all of it."""
