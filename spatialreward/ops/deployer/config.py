"""Settings of a deployer: which model it follows, where it serves, which bounds a version keeps."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from spatialreward.ops.deployment.lifecycle import KEEP_VERSIONS
from spatialreward.records import Record

Share = Annotated[float, Field(ge=0, le=1)]


class TrialBounds(Record):
    """What a new version may do otherwise than the served one, on the probe edits."""

    max_failed_share_more: Share = 0.0
    """Share of probe edits that get no judgement, less that of the served version."""
    max_latency_ratio: PositiveFloat = 2.0
    """Median time of one judgement over that of the served version."""
    latency_slack_s: float = Field(0.05, ge=0)
    """Seconds that the median may grow in any case; on a fast judge a ratio is noise."""
    min_rank_correlation: float = Field(0.5, ge=-1, le=1)
    """Spearman's, of the rewards of both versions; needs three edits that both have judged."""
    max_reward_difference: Share = 0.25
    """Mean absolute difference of the rewards of both versions."""


class LocalBackend(Record):
    """One Triton server in explicit model control, and its repository."""

    kind: Literal["local"] = "local"
    endpoint: str
    """gRPC address, ``host:port``."""
    repository_key: SecretStr = SecretStr("")
    """Key of the server's model-repository API; better in ``TRITON_REPOSITORY_KEY``."""
    repository: Path
    """Triton's model repository, as this process sees it."""
    template: Path
    """Triton model to fill in: ``config.pbtxt`` and ``1/model.py``."""
    model: str = "judge"
    """Name of the model on the server."""
    keep: PositiveInt = KEEP_VERSIONS
    """Versions that stay on disk, the served one among them."""


class KubernetesBackend(Record):
    """A Rollout of Argo Rollouts in one namespace; its manifest says how versions are tried."""

    kind: Literal["kubernetes"] = "kubernetes"
    namespace: str = "spatialreward"
    rollout: str = "judge"
    """Name of the Rollout."""
    model: str = "judge"
    """Name of the model on the servers."""
    address: str = "judge.{namespace}.svc:8001"
    """gRPC address of the Service of the served version."""
    max_restarts: PositiveInt = 3
    """How often a container of a version may end before the version counts as broken."""


Backend = Annotated[LocalBackend | KubernetesBackend, Field(discriminator="kind")]


class DeployerConfig(Record):
    """One deployer."""

    name: str = "spatial-reward"
    """The registered model; its champion is served."""
    backend: Backend
    reconcile_s: PositiveFloat = 15.0
    """How often registry and service are compared."""
    backoff_max_s: PositiveFloat = 300.0
    """How long to wait at most after errors in a row."""
    attempts: PositiveInt = 3
    """How often a version is tried whose server goes away meanwhile, before it counts as failed."""
    smoke_edits: Path | None = None
    """JSONL of edits that a version must judge; None: a blank picture must be answered."""
    probe_edits: Path | None = None
    """JSONL of edits on which a version is compared with the served one; None: it is not."""
    bounds: TrialBounds = TrialBounds()
    host: str = "127.0.0.1"
    """Address of health and metrics."""
    port: int = Field(8080, ge=0, le=65535)
    """0: a free one."""
