"""Builds, pins, pushes and checks the container images.

Part of the way from source to cluster, and so beside the manifests: the library neither needs it
nor knows it, and no image contains it.
"""
