"""`new`: looks at a table once, by day, and proposes the pipeline that takes it every night. Nothing of it leaves the machine."""
