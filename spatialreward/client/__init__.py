"""The served judge, as seen from whoever asks it; free of torch."""

from spatialreward.client.triton import ServingError, TritonJudge

__all__ = ["ServingError", "TritonJudge"]
