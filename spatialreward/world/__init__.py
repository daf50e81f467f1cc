"""A generated world of scenes and edits in which the truth about every edit is known."""
