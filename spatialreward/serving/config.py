"""Limits and threads of a served judge; set in Triton's model configuration.

Each field can be given as a parameter of the same name in ``config.pbtxt``.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.engine import EngineName
from spatialreward.records import JudgeMode, Record
from spatialreward.validation import first_problem

_MOST_WORKERS = 4


class ServingConfig(Record):
    """Limits are checked before any work."""

    engine: EngineName = "transformers"
    """Engine of the model; ``vllm`` needs a GPU and an environment with vLLM."""
    mode: JudgeMode | None = None
    """``reason``: generate answers; ``scalar``: read scores from the checkpoint's scalar head;
    None: ``reason`` if the checkpoint supports it."""
    guided: bool = True
    """Constrain answers to their form during generation; otherwise any text is possible."""
    workers: PositiveInt | None = None
    """Batches judged in parallel; None: see ``workers_for``."""
    threads_per_worker: PositiveInt | None = None
    """Threads of a worker's matrix products; None: the cores, or ``OMP_NUM_THREADS`` if lower,
    divided among the workers; see ``threads.Threads``."""
    max_batch_edits: PositiveInt = 96
    """Edits judged in one batch, from any number of requests."""
    join_below: float = Field(0.0, ge=0, le=1)
    """Waiting edits join a batch once it has fewer than this share of ``max_batch_edits``
    unfinished; 0: never, they wait for its end."""
    min_batch_edits: PositiveInt = 48
    """An idle worker leaves this number of waiting edits to each idle one before it: one small
    batch finishes sooner than two half as large."""
    batch_delay_s: float = Field(0.005, ge=0)
    """An idle server gathers edits until none has arrived for this long; at most three times as
    long in total."""
    busy_batch_delay_s: float = Field(0.1, ge=0)
    """The same while another worker uses the cores: clients whose edits were in the last batch send
    the next ones at about the same time."""
    decoding_threads: PositiveInt = 2
    """Threads that decode pictures while others are judged."""
    trim_memory_s: float = Field(5.0, ge=0)
    """Interval for returning free memory to the system while judging; 0: never."""
    max_queued_edits: PositiveInt = 1024
    """Limit of waiting edits; further requests are refused as UNAVAILABLE."""
    max_waiting_bytes: PositiveInt = 1536 * 2**20
    """Limit of all pictures that wait or are judged, as files until they are decoded; further
    requests are refused as UNAVAILABLE. It holds four requests of 100 megapixels, or 350 edits of
    one megapixel, twelve of a source, and leaves most of a machine with 8 GiB to the model."""
    time_limit_s: PositiveFloat = 600.0
    """Longest wait of a request before it is refused."""
    max_request_edits: PositiveInt = 64
    """Limit of edits in one request; matches ``max_batch_size`` of the model's configuration."""
    max_sources: PositiveInt = 8
    """Limit of source pictures in one edit."""
    max_request_bytes: PositiveInt = 512 * 2**20
    """Limit of all pictures and text in one request."""
    max_picture_bytes: PositiveInt = 64 * 2**20
    """Limit of one encoded picture."""
    max_pixels: PositiveInt = 32_000_000
    """Limit of one decoded picture, by its header."""
    max_request_pixels: PositiveInt = 100_000_000
    """Limit of all distinct pictures in one request: small files can be large pictures."""

    @classmethod
    def of_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Read the fields that appear among a model's parameters.

        Raises:
            InvalidInputError: a value does not fit its field.
        """
        given = {name: parameters[name] for name in cls.model_fields if name in parameters}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidInputError(f"parameter {first_problem(error, cls, given)}") from error

    def workers_for(self, num_cores: int, *, on_gpu: bool) -> int:
        """Default number of batches judged in parallel.

        A GPU is fastest with one large batch. A CPU's cores wait for each other in small matrix
        products, so one batch per core is faster; at most four batches, because each takes memory.
        """
        if self.workers is not None:
            return self.workers
        return 1 if on_gpu else min(num_cores, _MOST_WORKERS)
