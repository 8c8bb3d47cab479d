"""The parts of the HTML report, one section each."""
