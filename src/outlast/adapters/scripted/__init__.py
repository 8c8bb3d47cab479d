"""The stand-in for a model: answers by rules, says so, and speaks the same protocol."""
