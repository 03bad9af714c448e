"""Words and decisions: what Overnight talks about, with no input or output and no heavy imports."""
