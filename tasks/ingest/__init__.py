"""`ingest`: a night's source becomes typed rows in a batch's own table, and rejects with their places."""

from tasks.ingest.stage import ingest

__all__ = ["ingest"]
