"""What readers may ask of the ledger: plain questions over the views of `reading` and of each pipeline's own schema."""
