"""The pipeline: its profiles, its graph, and what runs it on this machine."""
