"""Registers judges that pass their gate, and serves them."""
