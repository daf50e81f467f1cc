"""The storage format of training data: Parquet shards with pictures inside, and a manifest."""
