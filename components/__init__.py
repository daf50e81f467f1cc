"""One folder a container image: a step's interface to the pipeline, and the container's entry."""
