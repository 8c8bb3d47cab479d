"""The rules, by what they are about: each gives a line for each violation."""
