"""A protocol file of the prompts in a checkout of the public reference code on the user's disk.

The code is parsed, never imported or run; this library holds none of its words. Checkpoints trained
with those prompts know no others, so they are taken letter by letter (see ``read_prompts``).
"""

import ast
import string
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import Protocol
from spatialreward.reading import read_text
from spatialreward.validation import first_problem

SOURCE_FILE = Path("eval/MERBench/dataset.py")
SEMANTIC_NAME = "SC_PROMPT_TEMPLATE"
PERCEPTUAL_NAME = "PQ_PROMPT"
_INSTRUCTION = "{instruction}"
_MAX_PIXELS = 401_408
"""The largest pictures that the published checkpoint saw in its training (GRPO)."""
_MAX_ANSWER_TOKENS = 4096
"""What the reference code's evaluation allows."""


class Prompts(NamedTuple):
    """What the reference code shows a model after the pictures."""

    semantic: str
    """With ``{instruction}`` where the instruction stands, and otherwise as it is read."""
    perceptual: str


def import_protocol(checkout: Path, *, name: str = "reference") -> Protocol:
    """A protocol with the prompts of a checkout: pictures first, then the words.

    Pixel limit and longest answer are not in the checkout's prompts; they are the published ones.

    Args:
        checkout: the reference code's folder.
        name: of the protocol.

    Raises:
        InvalidInputError: the prompts are not there, or in no form that is known.
    """
    path = checkout / SOURCE_FILE
    if not path.is_file():
        raise InvalidInputError(
            f"{checkout}: no checkout of the reference code here, expected {SOURCE_FILE}"
        )
    prompts = read_prompts(path)
    try:
        return Protocol(
            name=name,
            semantic="{source}{edited}" + prompts.semantic,
            perceptual="{edited}" + prompts.perceptual,
            max_pixels=_MAX_PIXELS,
            max_answer_tokens=_MAX_ANSWER_TOKENS,
        )
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {first_problem(error, Protocol)}") from error


def read_prompts(path: Path) -> Prompts:
    """The prompts as a model sees them.

    The SC prompt goes through Python's ``format`` there, which makes doubled braces single. The PQ
    prompt does not: its doubled braces are what the models were trained with.

    Raises:
        InvalidInputError: there is no such file, it is no Python, or a prompt is no plain text.
    """
    try:
        tree = ast.parse(read_text(path))
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path}: is no Python: {error}") from error
    texts = {name: _text_of(tree, name, path) for name in (SEMANTIC_NAME, PERCEPTUAL_NAME)}
    semantic = _rendered(texts[SEMANTIC_NAME], f"{path}: {SEMANTIC_NAME}")
    return Prompts(semantic, texts[PERCEPTUAL_NAME])


def _text_of(tree: ast.Module, name: str, path: Path) -> str:
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return _literal(value, f"{path}:{statement.lineno}: {name}")
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if (
                found == name
            ):
                return _literal(value, f"{path}:{statement.lineno}: {name}")
    raise InvalidInputError(f"{path}: {name}: missing, expected the text of a prompt")


def _literal(value: ast.expr, where: str) -> str:
    """A text, or several that are added up."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _literal(left, where) + _literal(right, where)
    raise InvalidInputError(f"{where}: expected a text, got {ast.unparse(value)[:80]!r}")


def _rendered(template: str, where: str) -> str:
    """A template of ``format`` with its one field as ``{instruction}``."""
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InvalidInputError(f"{where}: is no template: {error}") from error
    fields = [field for _, field, _, _ in pieces if field is not None]
    if len(fields) != 1:
        raise InvalidInputError(f"{where}: expected one field, the instruction, got {fields}")
    return "".join(
        text + (_INSTRUCTION if field is not None else "") for text, field, _, _ in pieces
    )
