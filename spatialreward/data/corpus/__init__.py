"""From any edit data set to packed training data, shard by shard: prepare, select, annotate, pack.

Each stage of a shard is a function from folders to a folder; what decides across shards reads
columns without pictures. Whether a stage runs in this process, in a pool or as a task of a cluster
is not its business.
"""
