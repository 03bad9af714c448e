"""Tables as strangers bring them, and how Overnight does on each, without an edit."""
