"""One folder per container image: a step's pipeline interface, and the container's entry."""
