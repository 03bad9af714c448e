"""From somebody's notebook or script to a pipeline: it is read, never run."""
