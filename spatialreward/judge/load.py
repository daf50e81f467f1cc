"""One string, one judge: a folder, a registered model, servers, or the baseline without a model."""

from pathlib import Path

from spatialreward.errors import InvalidInputError
from spatialreward.extras import missing_package
from spatialreward.judge.interface import Judging

PIXELS = "pixels"
_REGISTERED = "models:/"
_SERVED = "triton:"
_EXPECTED = "a folder, models:/NAME@ALIAS, models:/NAME/VERSION, triton:HOST:PORT or pixels"


def load_judge(judge: str | Path) -> Judging:
    """Load a judge into this process, or connect to one that is served.

    Args:
        judge: one of

            - ``DIR``, a checkpoint's folder;
            - ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, a model in the registry at
              ``MLFLOW_TRACKING_URI``, which is fetched once;
            - ``triton:HOST:PORT``, a Triton server's gRPC address, or several with commas between
              them; it is asked when the first edits are judged;
            - ``pixels``, the baseline that compares pixels and needs no model.

    Raises:
        InvalidInputError: there is no such folder, it holds no judge, or an address is none.
        MissingPackageError: a package that such a judge needs is not installed.
        TrackingError: the registry does not answer, or has no such model.
    """
    try:
        return _load(judge)
    except ModuleNotFoundError as error:
        if missing := missing_package(error):
            raise missing from error
        raise


def _load(judge: str | Path) -> Judging:
    name = str(judge)
    if name == PIXELS:
        from spatialreward.judge.pixels import PixelDifference

        return PixelDifference()
    if name.startswith(_SERVED):
        from spatialreward.client.triton import TritonJudge

        return TritonJudge(name.removeprefix(_SERVED))
    folder = _fetched(name) if name.startswith(_REGISTERED) else Path(judge)
    if not folder.is_dir():
        raise InvalidInputError(f"judge {name}: there is no such folder; expected {_EXPECTED}")
    from spatialreward.judge.engine import Judge

    return Judge.load(folder)


def _fetched(uri: str) -> Path:
    from spatialreward.registry import resolve_model

    return resolve_model(uri)
