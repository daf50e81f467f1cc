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


class Canary(Record):
    """A share of the requests for the new version before it gets all; needs a GRPCRoute."""

    shadow_s: float = Field(0.0, ge=0)
    """How long the new version first gets a copy of every request, unanswered; 0: not at all."""
    weights: tuple[Annotated[int, Field(gt=0, lt=100)], ...] = (5, 25, 50)
    """Percent of the requests, step by step."""
    step_s: PositiveFloat = 120.0
    """How long each step is watched at least."""
    look_every_s: PositiveFloat = 10.0
    """How often errors, latency and agreement are looked at meanwhile."""
    max_error_share: Share = 0.01
    """Of the new version's edits, by the server's own count, less that of the old version."""
    max_latency_ratio: PositiveFloat = 2.0
    """Mean time of a request over that of the old version, by the server's own count."""
    min_requests: PositiveInt = 20
    """Each version must have answered so many requests in a step; fewer say nothing of errors and
    latency, and no step passes without them."""
    extra_s: float = Field(900.0, ge=0)
    """How much longer all steps together may last until so many requests have come; after that the
    trial is inconclusive, and the old version stays."""


class KubernetesBackend(Record):
    """A Deployment for each version in one namespace, and the Service that clients ask."""

    kind: Literal["kubernetes"] = "kubernetes"
    namespace: str = "spatialreward"
    template: Path
    """YAML documents of one version."""
    service: str = "judge"
    """The Service that clients ask; versions are named after it."""
    route: str | None = None
    """GRPCRoute for shadow and canary; None: the switch is at once."""
    canary: Canary = Canary()
    model: str = "judge"
    """Name of the model on the servers."""
    version_address: str = "{name}.{namespace}.svc:8001"
    """gRPC address of one version; ``name`` is ``judge-v7``."""
    metrics_address: str = "http://{ip}:8002/metrics"
    """Triton's metrics of one pod."""
    stable_address: str = "{service}.{namespace}.svc:8001"
    """gRPC address of the Service that clients ask."""
    ready_timeout_s: PositiveFloat = 1800.0
    """How long a version may take until its servers are ready."""
    switch_timeout_s: PositiveFloat = 60.0
    """How long the Service may take to bring requests to the version."""
    drain_s: float = Field(30.0, ge=0)
    """How long a version that was left keeps its servers at least, for connections that are open;
    they are taken from it at a look after that."""
    keep: PositiveInt = 2
    """Versions that were served and are kept at no servers, to return to quickly."""
    max_restarts: PositiveInt = 3
    """How often a version's container may end before it counts as broken."""
    poll_s: PositiveFloat = 2.0
    """How often the cluster is asked while something is waited for."""
    lease: str = "judge-deployer"
    """Lease that keeps a second deployer waiting."""
    lease_s: PositiveFloat = 30.0
    """After how long without a sign of life the lease is free."""


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
