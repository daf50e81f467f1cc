"""Makes an editor, draws edits for the judge, and fine-tunes it against the served judge."""
