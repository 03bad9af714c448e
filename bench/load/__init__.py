"""Readers that ask while nights are published, Postgres is restarted and a web worker is killed: `python -m bench.load`."""
