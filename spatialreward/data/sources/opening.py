"""Opens the source that the settings describe."""

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
    """Find the data set and check that it has the columns that the settings name.

    Raises:
        InvalidInputError: it is not there, or a required column is not; the message names the
            column and those that there are.
        OSError: the storage or the hub cannot be reached.
    """
    _warn_if_assumed(config)
    # Each adapter brings a library of its own, and the settings say which one is needed.
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
