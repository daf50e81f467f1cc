"""Writes the diagrams of ``docs/architecture.md`` from the imports, docstrings and contracts.

    python -m docs.make_architecture

A test compares the page with what this writes.
"""

import ast
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import grimp
import networkx as nx

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).parent / "architecture.md"
LIBRARY = "spatialreward"
_ABOVE = ("pipelines", "components")
"""Packages above the library, the highest first."""


class Step(NamedTuple):
    """One place that an edit passes through."""

    title: str
    place: str
    """``module:name`` of the code."""
    carries: str = ""
    """What goes on to the next step; empty for the last one."""
    joint: str = ""
    """Module that both ends of that arrow import, or that imports both."""


PATH = (
    Step(
        "row of a data set",
        "spatialreward.data.sources.interface:EditSource",
        "LabelledEdit",
        "spatialreward.records",
    ),
    Step(
        "filters, regions, teacher",
        "spatialreward.data.corpus.running:build_corpus",
        "LabelledEdit and its label",
        "spatialreward.records",
    ),
    Step(
        "shard",
        "spatialreward.data.packing.shards:ShardWriter",
        "Parquet rows",
        "spatialreward.data.packing.schema",
    ),
    Step(
        "data set",
        "spatialreward.data.dataset:Dataset",
        "LabelledEdit",
        "spatialreward.records",
    ),
    Step(
        "prompt and answer",
        "spatialreward.data.views:sft_conversations",
        "Conversation",
        "spatialreward.data.views",
    ),
    Step(
        "batch",
        "spatialreward.training.collating:Collator",
        "tensors",
        "spatialreward.training.conversations",
    ),
    Step(
        "training",
        "spatialreward.training.sft:train_judge",
        "checkpoint folder",
        "spatialreward.artifacts",
    ),
    Step(
        "registry of MLflow",
        "spatialreward.ops.registry:fetch_verified",
        "verified checkpoint",
        "spatialreward.folder_manifest",
    ),
    Step(
        "Triton",
        "spatialreward.serving.server:JudgeServer",
        "Judgement",
        "spatialreward.records",
    ),
    Step(
        "client",
        "spatialreward.client.triton:TritonJudge",
        "Judgement",
        "spatialreward.records",
    ),
    Step(
        "reward",
        "spatialreward.rl.rewards:Rewards",
        "rewards of a group",
        "spatialreward.rl.types",
    ),
    Step(
        "RL",
        "spatialreward.rl.training:finetune_editor",
        "metrics of a step",
        "components.rl_finetuning.steps",
    ),
    Step("run in MLflow", "spatialreward.ops.tracking:Tracker"),
)


class Rooms(NamedTuple):
    """The rooms of the library, and which imports which."""

    rows: list[list[str]]
    """The highest first."""
    imports: set[tuple[str, str]]
    """Importing and imported room; without the exceptions."""
    by_name: set[tuple[str, str]]
    """The exceptions: functions that load by a name which the user gives."""


def rooms() -> Rooms:
    """Read the contract in pyproject.toml, and the imports of all modules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one.get("containers") == [LIBRARY])
    rows = [
        [name.strip() for name in row.replace("|", ":").split(":")] for row in contract["layers"]
    ]
    exceptions = {tuple(one.split(" -> ")) for one in contract["ignore_imports"]}
    ground = set(rows[-1])
    found, by_name = set(), set()
    graph = import_graph()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = _room(importer), _room(imported)
            if pair[0] == pair[1] or LIBRARY in pair or ground & set(pair):
                continue
            (by_name if (importer, imported) in exceptions else found).add(pair)
    return Rooms([list(_ABOVE[:1]), list(_ABOVE[1:]), *rows], found, by_name)


def import_graph() -> grimp.ImportGraph:
    """The imports between all modules of the library, the components and the pipelines."""
    return grimp.build_graph(LIBRARY, *_ABOVE)


def diagrams() -> dict[str, str]:
    """What stands between the page's markers, by their names."""
    return {"rooms": _rooms_block(rooms()), "table": _table(rooms()), "path": _path_block()}


def page(text: str) -> str:
    """The page with its diagrams brought up to date.

    Args:
        text: the page as it is.

    Raises:
        ValueError: a marker is missing.
    """
    for name, block in diagrams().items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found_start, rest = text.partition(start)
        _, found_end, after = rest.partition(end)
        if not (found_start and found_end):
            raise ValueError(f"{PAGE}: expected {start.strip()} and {end}")
        text = f"{before}{start}{block}{end}{after}"
    return text


def docstring(place: str) -> str:
    """First sentence that stands at ``module`` or ``module:name``.

    Raises:
        LookupError: there is no such module or name.
    """
    module, _, name = place.partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise LookupError(f"{place}: no such module")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    if not name:
        return _first_sentence(ast.get_docstring(tree))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return _first_sentence(ast.get_docstring(node))
    raise LookupError(f"{place}: no such class or function")


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _room(module: str) -> str:
    first, *rest = module.split(".")
    return rest[0] if first == LIBRARY and rest else first


def _rooms_block(found: Rooms) -> str:
    """Rooms in rows; of imports those that no others imply."""
    drawn = nx.transitive_reduction(nx.DiGraph(sorted(found.imports)))
    lines = ["```mermaid", "flowchart TD"]
    for number, row in enumerate(found.rows[:-1]):
        lines += [f'  subgraph row{number}[" "]', "    direction LR"]
        lines += [f"    {name}" for name in row]
        lines += ["  end"]
    lines += [f"  {importer} --> {imported}" for importer, imported in sorted(drawn.edges)]
    lines += [
        f"  {importer} -. by name .-> {imported}" for importer, imported in sorted(found.by_name)
    ]
    return "\n".join([*lines, "```", ""])


def _table(found: Rooms) -> str:
    lines = ["| room | what it holds |", "| --- | --- |"]
    for row in found.rows:
        for name in row:
            package = name if name in _ABOVE else f"{LIBRARY}.{name}"
            path = package.replace(".", "/")
            shown = f"{path}/" if (ROOT / path).is_dir() else f"{path}.py"
            lines.append(f"| `{shown}` | {docstring(package).replace('``', '`')} |")
    return "\n".join([*lines, ""])


def _path_block() -> str:
    def lines() -> Iterator[str]:
        yield "```mermaid"
        yield "flowchart TD"
        for number, step in enumerate(PATH):
            yield f'  step{number}["{step.title}<br/>{_short(step.place)}"]'
        for number, step in enumerate(PATH[:-1]):
            yield f"  step{number} -- {step.carries} --> step{number + 1}"
        yield "```"
        yield ""

    return "\n".join(lines())


def _short(place: str) -> str:
    module, _, name = place.partition(":")
    return f"{module.removeprefix(f'{LIBRARY}.')}.{name}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
