"""Makes an editor and fine-tunes it against the served judge."""
