"""A generated world of scenes and edits with known truth."""
