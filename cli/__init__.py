"""The `overnight` command: reads arguments, calls what does the work, prints what it said."""
