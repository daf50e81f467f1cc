"""Image editors: the interface for RL and evaluation, and the tiny editor that is trained here."""
