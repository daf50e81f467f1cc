"""Opens the configured source."""

import logging

from spatialreward.data.sources.config import (
    HubSource,
    JsonlSource,
    ParquetSource,
    SourceConfig,
    WebDatasetSource,
    WorldSource,
)
from spatialreward.data.sources.interface import EditSource
from spatialreward.data.sources.presets import PRESETS

logger = logging.getLogger(__name__)


def open_source(config: SourceConfig) -> EditSource:
    """Find the data set and check its columns.

    Raises:
        InvalidInputError: it is missing, or lacks a required column; the message names the column
            and the existing ones.
        OSError: the storage or the hub is unreachable.
    """
    _warn_if_assumed(config)
    # Each adapter has its own dependency, so import only the needed one.
    match config:
        case JsonlSource():
            from spatialreward.data.sources.jsonl import JsonlEdits

            return JsonlEdits(config)
        case ParquetSource():
            from spatialreward.data.sources.parquet import ParquetEdits

            return ParquetEdits(config)
        case HubSource():
            from spatialreward.data.sources.hub import HubEdits

            return HubEdits(config)
        case WebDatasetSource():
            from spatialreward.data.sources.webdataset import WebDatasetEdits

            return WebDatasetEdits(config)
        case WorldSource():
            from spatialreward.world.source import WorldEdits

            return WorldEdits(config)


def _warn_if_assumed(config: SourceConfig) -> None:
    if isinstance(config, WorldSource) or not isinstance(config.columns, str):
        return
    if assumed := PRESETS[config.columns].assumed:
        logger.warning(
            "preset %s is an assumption, look at its first edits: %s", config.columns, assumed
        )
