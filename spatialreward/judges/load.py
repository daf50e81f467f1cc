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
    """Load a judge into this process, or connect to one that is served.

    Args:
        judge: one of

            - ``DIR``, a checkpoint's folder;
            - ``hub:OWNER/NAME@REVISION``, a model on the Hugging Face hub, which is fetched once;
              without a revision the newest one is taken, and logged;
            - ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, a model in the registry at
              ``MLFLOW_TRACKING_URI``, which is fetched once, from the object store at
              ``S3_ENDPOINT_URL``;
            - ``triton:HOST:PORT``, a Triton server's gRPC address, or several with commas between
              them; it is asked when the first edits are judged;
            - ``openai:MODEL@https://HOST/v1``, any model that speaks OpenAI's chat completions,
              with settings behind a ``?``, such as ``?temperature=0.7&api_key_variable=NAME``;
            - ``pixels``, the baseline that compares pixels and needs no model;
            - ``oracle``, which knows the truth about edits of the generated world and fails on all
              others; ``oracle:PHOTOS`` where some are made on photographs, which that folder holds.
        adapter: folder of a LoRA that is merged into the weights; for a model in this process.
        protocol: how a checkpoint without a protocol file, or a model behind an address, is asked:
            ``full``, ``tiny``, one of them in another form such as ``full-scores``, or a protocol
            file; by default ``full``.
        passes: how often each edit is judged, with answers that are drawn; of more than one the
            mean counts, and it costs as many times as much.
        mode: of a checkpoint in this process: ``reason``, it writes an answer, or ``scalar``, its
            scalar head scores without one; by default ``reason`` where it can.

    Raises:
        InvalidInputError: there is no such folder, it holds no judge, a damaged one or one
            that cannot read what its protocol shows, the adapter is for another model, an
            address is none, its key is not set, there are several passes of a judge that draws
            nothing, or the checkpoint cannot judge in that mode.
        HubError: the hub does not hand the model over.
        MissingPackageError: a package that such a judge needs is not installed.
        TrackingError: the registry does not answer, or has no such model.
        StorageError: the object store does not answer, or does not have all of the model.
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
    """Whether a checkpoint's protocol is one of score heads, in which nothing is written."""
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
    """A model that is here."""

    folder: Path
    name: str
    """Of the model on the hub or in the registry, or of its folder."""
    version: str
    """The hub's commit, or the registry's number; empty for a folder."""


def fetch(judge: str | Path) -> Fetched:
    """Bring a model here that is judged with in this process.

    Raises:
        InvalidInputError, HubError, TrackingError: as ``load_judge``.
    """
    name = str(judge)
    if name.startswith(ON_HUB):
        snapshot = fetch_from_hub(name, JUDGE)
        # The hub's cache names a snapshot's folder by its commit.
        return Fetched(snapshot, name.removeprefix(ON_HUB).partition("@")[0], snapshot.name)
    if name.startswith(_REGISTERED):
        from spatialreward.ops.registry import bring, look_up

        found = look_up(name)
        return Fetched(bring(found), found.model.name, str(found.model.version))
    folder = Path(judge)
    if not folder.is_dir():
        raise InvalidInputError(f"judge {name}: there is no such folder; expected {_EXPECTED}")
    return Fetched(folder, folder.resolve().name, "")
