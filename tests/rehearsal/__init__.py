"""The whole pipeline with the classes of the large models at toy sizes: ``make rehearsal``."""
