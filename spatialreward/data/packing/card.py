"""The data card: ``README.md`` of a packed data set, as Hugging Face shows it, with its figures.

All figures come from the manifest and from the shards' columns without pictures; only the few edits
on the sample sheet need their pictures.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from huggingface_hub import DatasetCard, DatasetCardData

from spatialreward.data.packing.drawing import Panel, edits_sheet, histogram_chart
from spatialreward.data.packing.manifest import FILE_NAME, Manifest, read_manifest
from spatialreward.data.packing.schema import SCHEMA
from spatialreward.data.packing.shards import read_edit
from spatialreward.data.packing.statistics import MOST_REGIONS, Histogram, Statistics, statistics_of
from spatialreward.records import Record
from spatialreward.visuals.overlay import SCORE_NAMES

CARD = "README.md"
PICTURES_FOLDER = "card"
_MOST_ROWS = 30
_SCORE_BANDS = ((0, 5), (6, 10), (11, 15), (16, 20), (21, 25))
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)
_READING = """\
```python
from pathlib import Path

from spatialreward.data.packing.manifest import verify
from spatialreward.data.packing.shards import read_edits, read_facts

folder = Path(".")
manifest = verify(folder)
first = next(read_edits(folder / manifest.shards[0].name))
scores = read_facts(folder / manifest.shards[0].name, ["id", "editing_success"])
```

Or with Hugging Face: `datasets.load_dataset(FOLDER)`; the pictures come as pictures."""


class About(Record):
    """The part of a card that is not computed."""

    name: str
    summary: str
    """A paragraph in Markdown: origin and purpose of the edits."""
    license: str = "other"
    """Hugging Face's short name, such as ``apache-2.0``."""
    license_note: str
    """Obligations of the data's users under the sources' licences, in Markdown."""


def write_card(
    folder: Path,
    about: About,
    *,
    teacher: Mapping[str, object] | None = None,
    num_samples: int = 8,
) -> Path:
    """Write the card of the packed data set in ``folder``; returns its path.

    Args:
        folder: has the manifest and all shards.
        about: name, summary and licence.
        teacher: cost of the annotation, such as ``{"prompt_tokens": 51200, "cost": 0.4}``:
            numbers, words, or numbers by name.
        num_samples: edits on the sample sheet.

    Raises:
        InvalidInputError: there is no manifest, or a shard is missing or damaged.
    """
    manifest = read_manifest(folder)
    statistics = statistics_of(folder, manifest, num_samples)
    pictures = folder / PICTURES_FOLDER
    pictures.mkdir(exist_ok=True)
    chosen = [read_edit(folder / place.shard, place.row) for place in statistics.samples()]
    edits_sheet(chosen).save(pictures / "samples.png")
    histogram_chart(_content_panels(statistics)).save(pictures / "content.png")
    sections = [
        f"# {about.name}\n\n{about.summary.strip()}",
        f"![Edits of this data set]({PICTURES_FOLDER}/samples.png)",
        _content(manifest, statistics),
    ]
    if any(one.num_values for one in statistics.scores.values()):
        histogram_chart(_score_panels(statistics)).save(pictures / "scores.png")
        sections.append(_scores(statistics))
    sections += [
        _rankings(manifest) if manifest.rankings else "",
        _left_out(manifest),
        _teacher(teacher) if teacher else "",
        _files(manifest),
        _licence(about, manifest),
        _settings(manifest),
    ]
    body = "\n\n".join(section for section in sections if section)
    path = folder / CARD
    DatasetCard(f"---\n{_metadata(about, manifest)}\n---\n\n{body}\n").save(path)
    return path


def _metadata(about: About, manifest: Manifest) -> DatasetCardData:
    """What Hugging Face reads of a card, printed as YAML."""
    # Importing it takes seconds.
    from datasets import DatasetInfo, Features, Image, List
    from datasets.info import DatasetInfosDict

    pictures = {"sources": List(Image()), "edited": Image()}
    size = sum(shard.size_bytes for shard in manifest.shards)
    info = DatasetInfo(
        features=Features(Features.from_arrow_schema(SCHEMA) | pictures),
        splits=[{"name": "train", "num_bytes": size, "num_examples": manifest.num_edits}],
        download_size=size,
        dataset_size=size,
    )
    configs = [_configuration("default", "edits-*.parquet" if manifest.rankings else "*.parquet")]
    if manifest.rankings:
        configs.append(_configuration("rankings", "rankings-*.parquet"))
    metadata = DatasetCardData(
        pretty_name=about.name,
        license=about.license,
        task_categories=["image-to-image"],
        tags=["image-editing", "reward-model", "spatialreward"],
        size_categories=[_size_category(manifest.num_edits)],
        configs=configs,
    )
    DatasetInfosDict(default=info).to_dataset_card_data(metadata)
    return metadata


def _configuration(name: str, path: str) -> dict[str, object]:
    return {"config_name": name, "data_files": [{"split": "train", "path": path}]}


def _size_category(num_edits: int) -> str:
    return next((name for below, name in _SIZES if num_edits < below), "n>10M")


def _content(manifest: Manifest, statistics: Statistics) -> str:
    counts, total = manifest.counts, manifest.num_edits
    kinds = ("annotated", "verified", "prompts", "without_source")
    named = {
        "annotated": "annotated",
        "verified": "confirmed by a second pass",
        "prompts": "prompts without an edited picture",
        "without_source": "edited pictures without a source, for the PQ stream",
    }
    rows = [("edits", total), *((named[kind], counts.get(kind, 0)) for kind in kinds)]
    labels = {"labelled by": "labelled_by/", "label dropped": "lost_label/"}
    groups = [(heading, _under(counts, prefix)) for heading, prefix in labels.items()]
    return "\n\n".join(
        [
            "## Content",
            _counted("what", rows, total),
            *(_counted(heading, found, total) for heading, found in groups if found),
            _counted("extent", _under(counts, "extent/"), total),
            _counted("operation", _under(counts, "operation/"), total),
            f"![Distributions]({PICTURES_FOLDER}/content.png)",
            _table(("measure", "mean", "smallest", "largest"), _measures(statistics)),
        ]
    )


def _measures(statistics: Statistics) -> Iterable[Sequence[str]]:
    named = {
        "share of pixels changed": statistics.changed_share,
        "regions an edit": statistics.num_regions,
        "share of the picture in a region's box": statistics.region_area,
        "pixel evidence of a proposed region": statistics.evidence,
        "longest side, pixels": statistics.longest_side_px,
        "pictures of an edit, kB": statistics.kilobytes,
    }
    return [
        (name, f"{one.mean:.3g}", f"{one.smallest:.3g}", f"{one.largest:.3g}")
        if one.num_values
        else (name, "", "", "")
        for name, one in named.items()
    ]


def _scores(statistics: Statistics) -> str:
    rows = [
        (SCORE_NAMES[name], *(f"{_between(one, *band):,}" for band in _SCORE_BANDS), _mean(one))
        for name, one in statistics.scores.items()
    ]
    bands = tuple(f"{low} to {high}" for low, high in _SCORE_BANDS)
    return (
        f"## Scores\n\nEach 0 to 25, 25 best; rounded to whole scores here.\n\n"
        f"{_table(('score', *bands, 'mean'), rows)}\n\n"
        f"![Scores]({PICTURES_FOLDER}/scores.png)"
    )


def _between(histogram: Histogram, low: int, high: int) -> int:
    return int(histogram.counts[low : high + 1].sum())


def _mean(histogram: Histogram) -> str:
    return f"{histogram.mean:.2f}" if histogram.num_values else ""


def _rankings(manifest: Manifest) -> str:
    counts = manifest.counts
    rows = [
        (name, f"{n:,}", f"{counts.get(f'tied/{name}', 0):,}")
        for name, n in _under(counts, "ranked/")
    ]
    table = _table(("dimension", "rankings", "with ties"), rows)
    dropped = _under(counts, "rankings_left_out/")
    reasons = ", ".join(f"{reason} ({n:,})" for reason, n in dropped) or "none"
    return (
        f"## Rankings\n\nPreferences between edits of one task, in `rankings-*.parquet`: "
        f"{counts.get('rankings', 0):,}. `spatialreward.data.packing.rankings.read_rankings` reads "
        f"them.\n\n{table}\n\nLeft out: {reasons}."
    )


def _left_out(manifest: Manifest) -> str:
    if not manifest.left_out:
        return "## Dropped rows\n\nNo row was dropped."
    dropped = sum(manifest.left_out.values())
    total = dropped + manifest.num_edits
    rows = sorted(manifest.left_out.items(), key=lambda item: -item[1])
    summary = f"{dropped:,} of {total:,} rows were dropped."
    return f"## Dropped rows\n\n{summary}\n\n{_counted('reason', rows, total)}"


def _teacher(usage: Mapping[str, object]) -> str:
    rows = [(name.replace("_", " "), _shown(value)) for name, value in usage.items()]
    return f"## Cost of the annotation\n\n{_table(('what', 'value'), rows)}"


def _shown(value: object) -> str:
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4g}"
        case Mapping():
            return ", ".join(f"{name}: {_shown(one)}" for name, one in value.items())
        case _:
            return str(value)


def _licence(about: About, manifest: Manifest) -> str:
    section = f"## Licence\n\n{about.license_note.strip()}"
    rows = _under(manifest.counts, "license/")
    return f"{section}\n\n{_counted('licence', rows, manifest.num_edits)}" if rows else section


def _files(manifest: Manifest) -> str:
    size = sum(shard.size_bytes for shard in manifest.files)
    return (
        f"## Files\n\nParquet shards with the pictures inside: {len(manifest.files):,}, "
        f"{size / 1e6:,.1f} MB. `{FILE_NAME}` holds the checksum of each, the rows of the sources "
        f"that it was made of, and the settings.\nTheir common checksum "
        f"(`sha256sum *.parquet | sha256sum`) is `{manifest.digest}`.\n\n{_READING}"
    )


def _settings(manifest: Manifest) -> str:
    config = json.dumps(manifest.config, indent=2, ensure_ascii=False, sort_keys=True)
    return f"## How it was made\n\nBy {manifest.made_by}, with:\n\n```json\n{config}\n```"


def _content_panels(statistics: Statistics) -> list[Panel]:
    regions = tuple((float(n), str(n)) for n in range(MOST_REGIONS))
    return [
        Panel("Pixels changed", "share of the picture", statistics.changed_share),
        Panel(
            "Regions",
            "regions an edit",
            statistics.num_regions,
            (*regions, (float(MOST_REGIONS), f"{MOST_REGIONS}+")),
        ),
        Panel("Size of regions", "share of the picture", statistics.region_area),
        Panel("Evidence of proposed regions", "evidence", statistics.evidence),
        Panel("Size of pictures", "longest side, pixels", statistics.longest_side_px),
        Panel("Size of files", "kB an edit", statistics.kilobytes),
    ]


def _score_panels(statistics: Statistics) -> list[Panel]:
    return [
        Panel(SCORE_NAMES[name], "score", histogram)
        for name, histogram in statistics.scores.items()
    ]


def _under(counts: Mapping[str, int], prefix: str) -> list[tuple[str, int]]:
    """The counts of one kind, most frequent first."""
    found = [(name[len(prefix) :], n) for name, n in counts.items() if name.startswith(prefix)]
    return sorted(found, key=lambda item: -item[1])


def _counted(heading: str, rows: Sequence[tuple[str, int]], total: int) -> str:
    shown = [(name, f"{n:,}", f"{n / total:.1%}") for name, n in rows[:_MOST_ROWS]]
    if rest := rows[_MOST_ROWS:]:
        n = sum(count for _, count in rest)
        shown.append((f"{len(rest)} others", f"{n:,}", f"{n / total:.1%}"))
    return _table((heading, "count", "share"), shown)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
