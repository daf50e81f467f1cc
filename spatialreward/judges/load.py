"""One string, one judge: a folder, a model of hub or registry, servers, baseline or oracle."""

from pathlib import Path
from typing import NamedTuple

from spatialreward.errors import InvalidInputError
from spatialreward.extras import missing_package
from spatialreward.hub import JUDGE, ON_HUB, fetch_from_hub
from spatialreward.judges.interface import Judging
from spatialreward.judges.openai_config import PREFIX as OPENAI
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.judges.passes import SelfEnsemble
from spatialreward.protocol.choice import named_protocol, place_of, protocol_of, stated_protocol
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.prompts import FULL
from spatialreward.records import JudgeMode

PIXELS = "pixels"
ORACLE = "oracle"
_REGISTERED = "models:/"
_SERVED = "triton:"
_EXPECTED = (
    "a folder, hub:OWNER/NAME@REVISION, models:/NAME@ALIAS, models:/NAME/VERSION, "
    "triton:HOST:PORT, openai:MODEL@https://HOST/v1, pixels, oracle or oracle:PHOTOS"
)


def load_judge(
    judge: str | Path,
    *,
    adapter: str | Path | None = None,
    protocol: str | Path | None = None,
    passes: int = 1,
    mode: JudgeMode | str | None = None,
) -> Judging:
    """Load a judge into this process, or connect to a served one.

    Args:
        judge: one of

            - ``DIR``, a checkpoint's folder;
            - ``hub:OWNER/NAME@REVISION``, a model on the Hugging Face hub, downloaded once;
              without a revision it takes the newest one and logs it;
            - ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, a model in the registry at
              ``MLFLOW_TRACKING_URI``, downloaded once from the object store at
              ``S3_ENDPOINT_URL``;
            - ``triton:HOST:PORT``, a Triton server's gRPC address, or several with commas between
              them; it connects when the first edits are judged;
            - ``openai:MODEL@https://HOST/v1``, any model with OpenAI's chat completions API,
              with settings after a ``?``, such as ``?temperature=0.7&api_key_variable=NAME``;
            - ``pixels``, the baseline that compares pixels and needs no model;
            - ``oracle``, which knows the truth of edits of the generated world and fails on all
              others; ``oracle:PHOTOS`` for edits made on the photographs in that folder.
        adapter: folder of a LoRA to merge into the weights; for a model in this process.
        protocol: the prompts for a checkpoint without a protocol file, or a model behind an
            address: ``full``, ``tiny``, one of them in another form such as ``full-scores``, or a
            protocol file; default ``full``.
        passes: sampled judgements per edit; the result is their mean, at a multiple of the cost
            of one.
        mode: of a checkpoint in this process: ``reason`` generates an answer, ``scalar`` reads the
            scores from its scalar head; default ``reason`` if the checkpoint supports it.

    Raises:
        InvalidInputError: there is no such folder, it holds no judge, a damaged one or one that
            cannot read what its protocol shows, the adapter is for another model, an address is
            malformed, its key is not set, several passes are requested of a judge without
            sampling, or the checkpoint lacks the mode.
        HubError: the hub does not deliver the model.
        MissingPackageError: a package for this judge is not installed.
        TrackingError: the registry is unreachable, or has no such model.
        StorageError: the object store is unreachable, or lacks part of the model.
    """
    name = str(judge)
    if passes < 1:
        raise InvalidInputError(f"passes: expected 1 or more, got {passes}")
    if passes > 1 and (name == PIXELS or name.partition(":")[0] == ORACLE):
        raise InvalidInputError(f"judge {name}: draws no answers, so {passes} passes are all alike")
    asked = None if mode is None else _mode(mode)
    try:
        judging = _load(judge, None if adapter is None else Path(adapter), protocol, asked, passes)
    except ModuleNotFoundError as error:
        if missing := missing_package(error):
            raise missing from error
        raise
    return judging if passes == 1 else SelfEnsemble(judging, passes)


def _mode(given: JudgeMode | str) -> JudgeMode:
    try:
        return JudgeMode(given)
    except ValueError as error:
        expected = " or ".join(JudgeMode)
        raise InvalidInputError(f"mode: expected {expected}, got {given!r}") from error


def _load(
    judge: str | Path,
    adapter: Path | None,
    protocol: str | Path | None,
    mode: JudgeMode | None,
    passes: int,
) -> Judging:
    name = str(judge)
    of_oracle, _, photos = name.partition(":")
    if name.startswith(OPENAI) and mode is not None:
        raise InvalidInputError(f"judge {name}: takes no mode, got {mode}")
    if name == PIXELS or of_oracle == ORACLE or name.startswith(_SERVED):
        for option, value in (("adapter", adapter), ("protocol", protocol), ("mode", mode)):
            if value is not None:
                raise InvalidInputError(f"judge {name}: takes no {option}, got {value}")
    if name.startswith(OPENAI):
        return _behind_address(name, adapter, protocol)
    if name == PIXELS:
        from spatialreward.judges.pixels import PixelDifference

        return PixelDifference()
    if of_oracle == ORACLE:
        from spatialreward.world.oracle_judge import Oracle

        return Oracle(Path(photos) if photos else None)
    if name.startswith(_SERVED):
        from spatialreward.client.triton import TritonJudge

        return TritonJudge(name.removeprefix(_SERVED))
    return _here(judge, adapter, protocol, mode, passes)


def _here(
    judge: str | Path,
    adapter: Path | None,
    protocol: str | Path | None,
    mode: JudgeMode | None,
    passes: int,
) -> Judging:
    if adapter is not None:
        from spatialreward.judges.qwen_vl.adapter import check_adapter

        check_adapter(adapter, str(judge))
    fetched = fetch(judge)
    if _reads_heads(fetched.folder, protocol):
        if mode is not None:
            raise InvalidInputError(
                f"judge {judge}: has score heads of its own, so it takes no mode, got {mode}"
            )
        return _with_heads(fetched, adapter, protocol, passes)
    from spatialreward.judges.modes import load_local
    from spatialreward.judges.scalar import ScalarJudge

    judging = load_local(
        fetched.folder,
        mode=mode,
        adapter=adapter,
        protocol=protocol,
        name=fetched.name,
        version=fetched.version,
    )
    if passes > 1 and isinstance(judging, ScalarJudge):
        raise InvalidInputError(
            f"judge {judge}: a scalar head draws no answers, so {passes} passes are all alike"
        )
    return judging


def _reads_heads(folder: Path, protocol: str | Path | None) -> bool:
    """Whether a checkpoint's protocol uses score heads, without generated text."""
    stated = stated_protocol(folder, given=protocol)
    return stated is not None and stated.format is AnswerFormat.HEADS


def _with_heads(
    fetched: "Fetched", adapter: Path | None, protocol: str | Path | None, passes: int
) -> Judging:
    if adapter is not None:
        raise InvalidInputError(f"judge {fetched.name}: takes no adapter, got {adapter}")
    if passes > 1:
        raise InvalidInputError(
            f"judge {fetched.name}: draws no answers, so {passes} passes are all alike"
        )
    from spatialreward.judges.editreward import EditReward

    followed, place = protocol_of(fetched.folder, protocol), place_of(fetched.folder, protocol)
    return EditReward.load(
        fetched.folder, followed, name=fetched.name, version=fetched.version, place=place
    )


def _behind_address(name: str, adapter: Path | None, protocol: str | Path | None) -> Judging:
    config = OpenAiConfig.parse(name)
    if adapter is not None:
        raise InvalidInputError(f"judge {config.name}: takes no adapter, got {adapter}")
    from spatialreward.judges.openai import OpenAiJudge

    return OpenAiJudge(config, FULL if protocol is None else named_protocol(protocol))


class Fetched(NamedTuple):
    """A model on this machine."""

    folder: Path
    name: str
    """Name of the model on the hub or in the registry, or of its folder."""
    version: str
    """The hub's commit, or the registry's version; empty for a folder."""


def fetch(judge: str | Path) -> Fetched:
    """Download a model for judging in this process.

    Raises:
        InvalidInputError, HubError, TrackingError: as ``load_judge``.
    """
    name = str(judge)
    if name.startswith(ON_HUB):
        snapshot = fetch_from_hub(name, JUDGE)
        # The hub's cache names a snapshot's folder after its commit.
        return Fetched(snapshot, name.removeprefix(ON_HUB).partition("@")[0], snapshot.name)
    if name.startswith(_REGISTERED):
        from spatialreward.ops.registry import bring, look_up

        found = look_up(name)
        return Fetched(bring(found), found.model.name, str(found.model.version))
    folder = Path(judge)
    if not folder.is_dir():
        raise InvalidInputError(f"judge {name}: there is no such folder; expected {_EXPECTED}")
    return Fetched(folder, folder.resolve().name, "")
