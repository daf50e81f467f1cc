"""Writes ``docs/api.md`` from the signatures and docstrings of the public names.

    python -m docs.make_api

A test holds the page to what this writes.
"""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import spatialreward

PAGE = Path(__file__).parent / "api.md"
_INTRODUCTION = """\
# The Python interface

Made by `python -m docs.make_api` from the code; [quickstart.md](quickstart.md) shows how to use it.
All names are imported from `spatialreward`, each when it is first asked for: `import spatialreward`
imports nothing else, and torch comes only with a judge in this process.
"""
SECTIONS = {
    "A judge": ("load_judge", "Judging"),
    "What is judged": (
        "Edit",
        "EditTask",
        "JudgingOptions",
        "Streams",
        "ScoreKind",
        "load_image",
    ),
    "What it says": (
        "Judgement",
        "JudgeIdentity",
        "JudgementStatus",
        "AnswerForm",
        "Failure",
        "Mending",
        "EditRegion",
        "Scores",
        "pixel_box",
        "draw_overlay",
    ),
    "A served judge": ("TritonJudge", "AsyncTritonJudge", "ClientConfig"),
    "Errors": (
        "SpatialRewardError",
        "InvalidInputError",
        "JudgementError",
        "TrackingError",
        "ServingError",
        "ServerUnavailable",
        "ServerBusy",
        "ModelNotServed",
        "DeadlineExceeded",
        "RequestRejected",
        "WrongAnswer",
    ),
}
_BLOCKS = ("Args:", "Raises:", "Yields:")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def page() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    for title, names in SECTIONS.items():
        lines += [f"## {title}", ""]
        for name in names:
            described = getattr(spatialreward, name)
            lines += _class(described) if isinstance(described, type) else _function(described)
    return "\n".join(lines).rstrip() + "\n"


def _function(function: Callable[..., object]) -> list[str]:
    node = _node_of(function)
    return [f"### {node.name}", "", *_signature(node, node.name), *_documentation(node)]


def _class(kind: type) -> list[str]:
    node = _node_of(kind)
    lines = [f"### {node.name}", "", *_documentation(node)]
    methods = {one.name: one for one in node.body if isinstance(one, _FUNCTIONS)}
    if "__init__" in methods:
        start = methods.pop("__init__")
        lines += [*_signature(start, node.name), *_documentation(start)]
    lines += _fields(node)
    for name, method in methods.items():
        if not name.startswith("_"):
            lines += [*_signature(method, f"{node.name}.{name}"), *_documentation(method)]
    return lines


def _node_of(described: object) -> Any:
    (node,) = ast.parse(dedent(inspect.getsource(described))).body
    return node


def _signature(node: Any, name: str) -> list[str]:
    decorators = {ast.unparse(one) for one in node.decorator_list}
    if decorators & {"property", "cached_property"}:
        return [f"**`{name}: {ast.unparse(node.returns)}`**", ""]
    arguments = [one for one in _arguments(node.args) if one not in ("self", "cls")]
    start = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    is_start = node.name == "__init__" or node.returns is None
    returns = "" if is_start else f" -> {ast.unparse(node.returns)}"
    return [f"**`{start}{name}({', '.join(arguments)}){returns}`**", ""]


def _arguments(arguments: ast.arguments) -> Iterator[str]:
    plain = [*arguments.posonlyargs, *arguments.args]
    missing = [None] * (len(plain) - len(arguments.defaults))
    for argument, default in zip(plain, [*missing, *arguments.defaults], strict=True):
        yield _argument(argument, default)
    if arguments.vararg:
        yield f"*{_argument(arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _argument(argument, default)
    if arguments.kwarg:
        yield f"**{_argument(arguments.kwarg, None)}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    return text if default is None else f"{text} = {ast.unparse(default)}"


def _fields(node: ast.ClassDef) -> list[str]:
    """A row a field or member, with the docstring below it."""
    rows = []
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        match field:
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                value = f"`{ast.unparse(_Plain().visit(field.annotation))}{_default(field.value)}`"
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() as constant):
                value = f"`{ast.unparse(constant)}`"
            case _:
                continue
        cells = (cell.replace("|", "\\|") for cell in (value, _docstring_below(after)))
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return ["| field | | |", "| --- | --- | --- |", *rows, ""] if rows else []


class _Plain(ast.NodeTransformer):
    """Takes ``Annotated`` off types."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[kind, *_])):
                return kind
        return node


def _default(value: ast.expr | None) -> str:
    match value:
        case None | ast.Call(func=ast.Name(id="Field"), args=[]):
            return ""
        case ast.Call(func=ast.Name(id="Field"), args=[default, *_]):
            return f" = {ast.unparse(default)}"
    return f" = {ast.unparse(value)}"


def _docstring_below(node: ast.stmt | None) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return _markdown(" ".join(text.split()))
    return ""


def _documentation(node: Any) -> list[str]:
    """A docstring of Google's style; its sections become lists."""
    lines: list[str] = []
    block = ""
    for line in (ast.get_docstring(node) or "").splitlines():
        if line in _BLOCKS:
            block = line
            lines += [block, ""]
        elif not block or not line.startswith("    "):
            lines.append(line)
        elif block != "Yields:" and line[4] not in " -" and ": " in line + " ":
            names, _, text = line.strip().partition(":")
            lines.append(f"- `{names}`:{text}")
        else:
            lines.append(f"  {line[8:]}" if line[4:8].isspace() else line[4:])
    return [*(_markdown(line) for line in lines), ""]


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
