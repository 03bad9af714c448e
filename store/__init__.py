"""What Overnight remembers: the ledger, the batches, the models and the pointer, in one Postgres."""
