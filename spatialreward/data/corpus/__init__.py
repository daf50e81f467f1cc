"""From any edit data set to packed training data, shard by shard: prepare, select, annotate, pack.

Each stage of a shard is a function from folders to a folder; decisions across shards read columns
without pictures. The caller chooses whether a stage runs in this process, in a pool or as a task of
a cluster.
"""
