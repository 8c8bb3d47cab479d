"""The dependency graph as a picture: where each component goes, how lines run, and how that is written as SVG."""
