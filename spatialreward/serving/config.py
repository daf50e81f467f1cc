"""What a served judge accepts and how it shares its machine; set in Triton's model configuration.

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
    """Limits are checked before any work is done."""

    engine: EngineName = "transformers"
    """What runs the model; ``vllm`` needs a GPU and an environment with vLLM."""
    mode: JudgeMode | None = None
    """``reason``: answers are written; ``scalar``: the checkpoint's scalar head scores without any;
    None: ``reason`` where the checkpoint can."""
    guided: bool = True
    """Answers are held to their form while they are written; else any text may be answered."""
    workers: PositiveInt | None = None
    """Batches judged at the same time; None: see ``workers_for``."""
    threads_per_worker: PositiveInt | None = None
    """Threads of a worker's matrix products; None: the cores, or as many as ``OMP_NUM_THREADS``
    says, divided among the workers; see ``threads.Threads``."""
    max_batch_edits: PositiveInt = 96
    """Edits that are judged in one batch, of however many requests."""
    join_below: float = Field(0.0, ge=0, le=1)
    """Waiting edits join a batch when less than this share of ``max_batch_edits`` is left in it;
    0: never, they wait for its end."""
    min_batch_edits: PositiveInt = 48
    """An idle worker leaves so many of the waiting edits to each idle one before it: a small batch
    is over sooner than two that are half as large."""
    batch_delay_s: float = Field(0.005, ge=0)
    """An idle server gathers edits until none has arrived for this long; three times as long at
    most."""
    busy_batch_delay_s: float = Field(0.1, ge=0)
    """The same while another worker judges, who has the cores meanwhile: those whose edits were in
    the last batch ask again at about the same time."""
    decoding_threads: PositiveInt = 2
    """Threads that decode pictures while others are judged."""
    trim_memory_s: float = Field(5.0, ge=0)
    """Memory that is free goes back to the system so often, while edits are judged; 0: never."""
    max_queued_edits: PositiveInt = 1024
    """Edits that may wait; beyond that a request is turned away as UNAVAILABLE."""
    max_waiting_bytes: PositiveInt = 1536 * 2**20
    """All pictures that wait or are judged, as files until they are decoded; beyond that a request
    is turned away as UNAVAILABLE. It holds four requests of 100 megapixels, or 350 edits of one
    megapixel, twelve of a source, and leaves most of a machine with 8 GiB to the model."""
    time_limit_s: PositiveFloat = 600.0
    """A request that has waited for longer is not judged any more."""
    max_request_edits: PositiveInt = 64
    """Edits of one request; ``max_batch_size`` of the model's configuration says the same."""
    max_sources: PositiveInt = 8
    """Source pictures of one edit."""
    max_request_bytes: PositiveInt = 512 * 2**20
    """All pictures and words of one request together."""
    max_picture_bytes: PositiveInt = 64 * 2**20
    """One encoded picture."""
    max_pixels: PositiveInt = 32_000_000
    """One decoded picture, as its header announces it."""
    max_request_pixels: PositiveInt = 100_000_000
    """All different pictures of one request together: small files can be large pictures."""

    @classmethod
    def of_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Read the fields that are named among a model's parameters.

        Raises:
            InvalidInputError: a value does not fit its field.
        """
        given = {name: parameters[name] for name in cls.model_fields if name in parameters}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidInputError(f"parameter {first_problem(error, cls, given)}") from error

    def workers_for(self, num_cores: int, *, on_gpu: bool) -> int:
        """How many batches to judge at the same time, if nobody has said.

        A GPU is fastest with one large batch. A CPU's cores wait for each other in small matrix
        products, so that each does more with a batch of its own; four batches at most, since each
        takes memory.
        """
        if self.workers is not None:
            return self.workers
        return 1 if on_gpu else min(num_cores, _MOST_WORKERS)
