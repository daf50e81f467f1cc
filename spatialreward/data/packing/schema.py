"""The Parquet layout of edits: columns, and conversion between records and rows.

Flat columns come first, so that rows can be counted, selected and balanced without reading pictures
or parsing JSON; the pictures come last. Reading uses the JSON columns, which hold whole records;
flat columns repeat parts of them.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from spatialreward.data.edits import LabelledEdit, RowOrigin, SpatialPrior
from spatialreward.data.packing.layout import check_version
from spatialreward.data.packing.manifest import SCHEMA_VERSION, VERSION
from spatialreward.errors import InvalidInputError
from spatialreward.records import EditRegion, Judgement, Record, Scores

SCORES = tuple(Scores.model_fields)
"""Names of the score columns, 0..25 each; null in a stream that was not requested."""
PICTURES = ("sources", "edited")
"""Columns with encoded picture files."""
JSON = ("prior", "annotation", "truth", "given", "given_regions")
"""Columns with one record each as JSON; null if the edit has none."""

_VERSION_KEY = b"spatialreward.schema_version"
_COLUMNS = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("instruction", pa.string(), nullable=False),
    pa.field("operation", pa.string(), nullable=False),
    # Empty if the editor is unknown.
    pa.field("editor", pa.string(), nullable=False),
    # Empty if there is none.
    pa.field("license", pa.string(), nullable=False),
    # Of the prior; null without two pictures.
    pa.field("extent", pa.string()),
    pa.field("changed_share", pa.float64()),
    pa.field("annotated", pa.bool_(), nullable=False),
    # Empty if no label was lost.
    pa.field("lost_label", pa.string(), nullable=False),
    pa.field("verified", pa.bool_()),
    *(pa.field(name, pa.float64()) for name in SCORES),
    pa.field("num_sources", pa.int32(), nullable=False),
    # Pixels of the edited picture, or else of the first source.
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("picture_bytes", pa.int64(), nullable=False),
    pa.field("fingerprints", pa.list_(pa.string()), nullable=False),
    pa.field("origin_file", pa.string(), nullable=False),
    pa.field("origin_row", pa.string(), nullable=False),
    pa.field("prior", pa.string()),
    # The label, a Judgement; ``annotated`` and the scores above repeat parts of it.
    pa.field("annotation", pa.string()),
    # Null unless the source generated the edit.
    pa.field("truth", pa.string()),
    pa.field("given", pa.string(), nullable=False),
    pa.field("given_regions", pa.string()),
    pa.field("sources", pa.list_(pa.binary()), nullable=False),
    pa.field("edited", pa.binary()),
]
_REGIONS = TypeAdapter(tuple[EditRegion, ...])
_GIVEN = TypeAdapter(dict[str, float | str])


SCHEMA = pa.schema(_COLUMNS, metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()})
FACTS = tuple(field.name for field in _COLUMNS if field.name not in PICTURES)
"""All columns but the pictures."""


def check_schema(schema: pa.Schema, name: str) -> None:
    """Refuse a file that is not a shard of edits, or of another version.

    Raises:
        InvalidInputError: it is one; ``name`` identifies the file.
    """
    check_version(schema, _VERSION_KEY, SCHEMA_VERSION, name, kind="packed edits", version=VERSION)


def to_row(edit: LabelledEdit) -> dict[str, Any]:
    """An edit as a row of ``SCHEMA``.

    Raises:
        InvalidInputError: its pictures are not processed, one has no readable header, or a number
            is not finite; names the edit.
    """
    edit.check_looked_at()
    prior, label = edit.prior, edit.label
    scores = label.scores.model_dump() if label else dict.fromkeys(SCORES)
    shown = edit.sources[0] if edit.edited is None else edit.edited
    width, height = _size(shown, edit.id, "source" if edit.edited is None else "edited")
    pictures = (*edit.sources, edit.edited or b"")
    return {
        "id": edit.id,
        "instruction": edit.instruction,
        "operation": edit.operation,
        "editor": edit.editor,
        "license": edit.license,
        "extent": prior.extent.value if prior else None,
        "changed_share": prior.changed_share if prior else None,
        "annotated": label is not None,
        "lost_label": edit.lost_label,
        "verified": edit.verified,
        **scores,
        "num_sources": len(edit.sources),
        "width": width,
        "height": height,
        "picture_bytes": sum(map(len, pictures)),
        "fingerprints": list(edit.fingerprints),
        "origin_file": edit.origin.file,
        "origin_row": edit.origin.row,
        "prior": _json(edit.id, "prior", prior),
        "annotation": _json(edit.id, "annotation", label),
        "truth": edit.truth,
        "given": _json(edit.id, "given", edit.given),
        "given_regions": _json(edit.id, "given_regions", edit.given_regions),
        "sources": list(edit.sources),
        "edited": edit.edited,
    }


def edits_of(rows: pa.Table | pa.RecordBatch, name: str) -> list[LabelledEdit]:
    """The edits in rows of a shard with all columns; ``name`` identifies the shard in errors.

    Raises:
        InvalidInputError: a row is not an edit.
    """
    return [_from_row(row, name) for row in rows.to_pylist()]


def with_empty_pictures(facts: pa.Table) -> pa.Table:
    """Replace unread pictures by empty files."""
    num_rows = facts.num_rows
    # Shards without the column predate edits without a source.
    has_counts = "num_sources" in facts.column_names
    counts = facts["num_sources"].to_pylist() if has_counts else [1] * num_rows
    # An extent implies sources and an edited picture.
    is_edited = [
        extent is not None or not count
        for extent, count in zip(facts["extent"].to_pylist(), counts, strict=True)
    ]
    empty = {
        "sources": [[b""] * count for count in counts],
        "edited": [b"" if edited else None for edited in is_edited],
    }
    for name, values in empty.items():
        facts = facts.append_column(SCHEMA.field(name), pa.array(values, SCHEMA.field(name).type))
    return facts


def _from_row(row: Mapping[str, Any], name: str) -> LabelledEdit:
    try:
        prior, label, regions = row["prior"], row["annotation"], row["given_regions"]
        edit = LabelledEdit(
            id=row["id"],
            instruction=row["instruction"],
            sources=tuple(row["sources"]),
            edited=row["edited"],
            operation=row["operation"],
            editor=row["editor"],
            prior=None if prior is None else SpatialPrior.model_validate_json(prior),
            label=None if label is None else Judgement.model_validate_json(label),
            verified=row["verified"],
            truth=row["truth"],
            given=_GIVEN.validate_json(row["given"]),
            given_regions=None if regions is None else _REGIONS.validate_json(regions),
            fingerprints=tuple(row["fingerprints"]),
            license=row["license"],
            lost_label=row["lost_label"],
            origin=RowOrigin(file=row["origin_file"], row=row["origin_row"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise InvalidInputError(f"{name}: edit {row.get('id')}: {error}") from error
    try:
        edit.check_looked_at()
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error}") from error
    return edit


def _json(
    edit: str, field: str, value: Record | Mapping[str, Any] | Sequence[Record] | None
) -> str | None:
    match value:
        case None:
            return None
        case Record():
            plain: Any = value.model_dump()
        case Mapping():
            plain = dict(value)
        case _:
            plain = [one.model_dump() for one in value]
    try:
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InvalidInputError(
            f"edit {edit}: {field}: holds a number that is not finite, which JSON cannot say"
        ) from error


def _size(picture: bytes, edit: str, which: str) -> tuple[int, int]:
    # Pillow's readers raise many types for malformed bytes.
    try:
        with Image.open(io.BytesIO(picture)) as image:
            return image.size
    except Exception as error:
        raise InvalidInputError(
            f"edit {edit}: the {which} picture has no readable header ({type(error).__name__})"
        ) from error
