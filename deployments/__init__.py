"""What users declare: one folder per pipeline, and the catalogue that reads and checks them."""
