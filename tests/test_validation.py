import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveFloat, ValidationError

from pipelines.profile import load_profile
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import read_settings, read_toml
from spatialreward.records import Record
from spatialreward.serving.config import ServingConfig
from spatialreward.validation import first_problem

FAULT = Path(__file__).parents[1] / "../shared/data/faults/settings_error_misleads"
needs_the_fault = pytest.mark.skipif(not FAULT.is_dir(), reason=f"{FAULT}: not on this machine")


class Circle(Record):
    kind: Literal["circle"] = "circle"
    radius: float = Field(1.0, gt=0)
    circle: dict[str, int] = Field(default_factory=dict)
    """Named as the tag is."""


class Square(Record):
    kind: Literal["square", "box"] = "square"
    side: float = 1.0
    corner: Circle | None = None


Shape = Annotated[Circle | Square, Field(discriminator="kind")]


class Drawing(Record):
    name: str = Field(pattern="^[a-z]+$")
    shape: Shape = Circle()
    shapes: tuple[Shape, ...] = ()
    by_name: dict[str, Shape] = Field(default_factory=dict)
    layers: dict[Literal["front", "back"], int] = Field(default_factory=dict)
    width: PositiveFloat | Literal["auto"] = "auto"
    parts: str | list[Square] | dict[str, Square] = ""
    size: tuple[int, int] = (1, 1)
    secret: str = Field("", max_length=3, repr=False)
    number: int = 0


def problem_of(text: str, kind: type[Record] = Drawing) -> str:
    given = tomllib.loads(text)
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(given)
    return str(first_problem(caught.value, kind, given))


PROBLEMS = {
    "missing": ("number = 1", "name: Field required"),
    "unknown": ('name = "a"\nnumbr = 1', "numbr: no such key, did you mean number?"),
    "unknown and like nothing": ('name = "a"\nxyz = 1', "xyz: no such key"),
    "misspelt and therefore missing": ('nam = "a"', "nam: no such key, did you mean name?"),
    "below another heading": (
        'name = "a"\n[shape]\nkind = "circle"\nnumber = 3',
        "shape.number: no such key, did you mean number?",
    ),
    "wrong value": ('name = "a"\nnumber = "x"', "number: Input should be a valid integer"),
    "of a union with tags": (
        'name = "a"\nshape = {kind = "circle", radius = -1}',
        "shape.radius: Input should be greater than 0, got -1",
    ),
    "a key named as its tag": (
        'name = "a"\nshape = {kind = "circle", circle = {x = "y"}}',
        "shape.circle.x: Input should be a valid integer",
    ),
    "beside a key named as its tag": (
        'name = "a"\nshape = {kind = "circle", circle = {x = 1}, sde = 2}',
        "shape.sde: no such key",
    ),
    "of another kind": (
        'name = "a"\nshape = {kind = "circle", side = 1}',
        'shape.side: belongs to kind = "square" or "box", and kind is "circle": '
        'set shape.kind = "square" or "box"',
    ),
    "no kind": (
        'name = "a"\nshape = {radius = 1}',
        'shape.kind: missing, expected one of "circle"',
    ),
    "no kind, but one that it must be": (
        'name = "a"\nshape = {circle = {}}',
        'shape.kind: missing, expected one of "circle", "square", "box", did you mean "circle"?',
    ),
    "wrong kind": (
        'name = "a"\nshape = {kind = "sqare"}',
        'shape.kind: expected one of "circle", "square", "box", got \'sqare\', '
        'did you mean "square"?',
    ),
    "no table": (
        'name = "a"\nshape = 3',
        "shape: Input should be a table of keys and values, got 3",
    ),
    "in a list": (
        'name = "a"\nshapes = [{kind = "circle"}, {kind = "box", side = "x"}]',
        "shapes.1.side: Input should be a valid number",
    ),
    "below a key of the user's": (
        'name = "a"\n[by_name.circle]\nkind = "circle"\nradius = -1',
        "by_name.circle.radius: Input should be greater than 0",
    ),
    "within an optional record": (
        'name = "a"\nshape = {kind = "box", corner = {radius = 0}}',
        "shape.corner.radius: Input should be greater than 0",
    ),
    "a key that is none": (
        'name = "a"\nlayers = {frnt = 1}',
        "layers.frnt: Input should be 'front'",
    ),
    "value below such a key": (
        'name = "a"\nlayers = {back = "x"}',
        "layers.back: Input should be a",
    ),
    "fits no member": (
        'name = "a"\nwidth = "wide"',
        "width: Input should be a valid number, unable to parse string as a number or 'auto', "
        "got 'wide'",
    ),
    "meant for one member": (
        'name = "a"\nwidth = -1',
        "width: Input should be greater than 0, got -1",
    ),
    "list in a union": (
        'name = "a"\nparts = [{side = 1}, {side = "x"}]',
        "parts.1.side: Input should be a valid number",
    ),
    "table in a union": (
        'name = "a"\nparts.left.sid = 1',
        "parts.left.sid: no such key, did you mean parts.left.side?",
    ),
    "none of three": (
        'name = "a"\nparts = 3',
        "parts: Input should be a valid string or a list or a table of keys and values, got 3",
    ),
    "in a pair": ('name = "a"\nsize = [1, "x"]', "size.1: Input should be a valid integer"),
    "of a pair": ('name = "a"\nsize = [1]', "size.1: Field required"),
    "kept to itself": ('name = "a"\nsecret = "sk-12345"', "secret: String should have at most 3"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_the_key_at_fault_is_named(text, problem):
    found = problem_of(text)
    assert found.startswith(problem)
    assert "sk-12345" not in found
    assert "\n" not in found


BUILD = {
    "name": "d1",
    "source": {
        "kind": "jsonl",
        "folder": "data",
        "columns": {
            "sources": ["a"],
            "edited": "b",
            "instruction": "c",
            "id": ["id"],
            "regions": {"boxes": "boxes", "unit": "share"},
            "given": {"editor": "model"},
        },
    },
    "pictures": {"format": "png"},
    "filters": {"duplicates": {"source_bits": 3}, "balance": {"max_cell": 5}},
    "teacher": {"base_url": "http://localhost/v1", "model": "m", "prices": {
        "input_per_million": 1, "output_per_million": 1
    }, "budget": {"tokens": 5}, "structured": "none"},
}  # fmt: skip


def leaves(table: dict, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))
        yield (*above, key)


def with_value(table: dict, path: tuple[str, ...], value: object) -> dict:
    head, *rest = path
    return table | {head: with_value(table[head], tuple(rest), value) if rest else value}


@pytest.mark.parametrize("path", list(leaves(BUILD)), ids=".".join)
def test_of_a_builds_settings_each_is_named_as_it_was_written(path):
    CorpusConfig.model_validate(BUILD)
    wrong = with_value(BUILD, path, [[]])
    with pytest.raises(ValidationError) as caught:
        CorpusConfig.model_validate(wrong)
    key = first_problem(caught.value, CorpusConfig, wrong).key
    tag = "source.kind" if path == ("source",) else ".".join(path)
    assert key.removesuffix(".0") in (tag, ".".join(path))


@pytest.mark.parametrize("table", ["", "source", "source.columns", "source.columns.regions",
                                   "filters.balance", "teacher", "teacher.budget"])  # fmt: skip
def test_of_a_builds_settings_an_unknown_one_is_named_and_never_suggested(table):
    path = tuple(f"{table}.instructon".lstrip(".").split("."))
    wrong = with_value(BUILD, path, "x")
    with pytest.raises(ValidationError) as caught:
        CorpusConfig.model_validate(wrong)
    problem = first_problem(caught.value, CorpusConfig, wrong)
    assert problem.key == ".".join(path)
    assert problem.message.startswith("no such key")
    assert problem.key not in problem.message


def test_a_value_that_cannot_be_shown_is_not():
    given = {"name": "a", "size": [1, 10**5000]}
    with pytest.raises(ValidationError) as caught:
        Record.model_validate(given)
    assert str(first_problem(caught.value, Record, given)).startswith("name: no such key")
    given = {"name": 10**5000}
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(given)
    assert str(first_problem(caught.value, Drawing, given)).endswith("got a int too long to show")


def test_settings_as_json_are_explained_in_the_same_way():
    text = json.dumps({"name": "a", "shape": {"kind": "circle", "side": 1}})
    with pytest.raises(InvalidInputError, match=r'^--config: shape\.side: belongs to kind = "squ'):
        read_settings(Drawing, text, "--config")
    with pytest.raises(InvalidInputError, match=r"^--config: Invalid JSON"):
        read_settings(Drawing, "{", "--config")


@pytest.mark.parametrize("text", ["a = " + "1" * 5000, "a = " + "[" * 5000, "a = ", "\xe9"])
def test_a_file_that_is_no_toml_is_named(tmp_path, text):
    path = tmp_path / "edits.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"^.*edits\.toml: "):
        read_toml(Drawing, path)


@needs_the_fault
def test_the_key_of_the_published_mistake_in_a_build_is_named():
    with pytest.raises(InvalidInputError, match=r"edits\.toml: source\.columns\.id: .* a list"):
        read_toml(CorpusConfig, FAULT / "edits.toml")


@needs_the_fault
def test_the_key_of_the_published_mistake_in_a_profile_is_named():
    with pytest.raises(InvalidInputError) as caught:
        load_profile(os.fspath(FAULT / "profile.toml"))
    assert str(caught.value).endswith(
        'profile.toml: judge.base.folder: belongs to kind = "folder", and kind is "shipped": '
        'set judge.base.kind = "folder"'
    )


def test_a_parameter_of_serving_is_named():
    with pytest.raises(
        InvalidInputError, match=r"^parameter workers: Input should be greater than"
    ):
        ServingConfig.of_parameters({"workers": "0", "other": "x"})
