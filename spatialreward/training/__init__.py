"""Training of the judge: first to describe, then to judge."""
