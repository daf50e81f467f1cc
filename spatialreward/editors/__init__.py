"""Image editors: what RL and evaluation need of one, and the tiny one that is trained here."""
