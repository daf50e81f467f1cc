"""The pipeline: its profiles, its graph, and its local runner."""
