"""The reading room: pages and an API that only read, each number with its trust line."""
