"""Training data as it is kept: Parquet shards with the pictures inside, and a manifest."""
