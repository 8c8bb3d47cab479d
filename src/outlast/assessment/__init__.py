"""What a description of a system says about how it breaks: pure arithmetic and rules, told `now`, without I/O."""
