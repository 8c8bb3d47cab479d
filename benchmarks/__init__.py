"""`make bench`: Outlast, the bare SQLite commit, DBOS and LangGraph, measured in one run."""
