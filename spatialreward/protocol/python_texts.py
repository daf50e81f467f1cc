"""Reads strings from Python source without importing or running it.

Supports what prompts of public code use: plain strings, sums of strings, f-strings of known names.
"""

import ast
import string
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from spatialreward.errors import InvalidInputError
from spatialreward.reading import read_text

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class PythonSource:
    """One file of Python."""

    def __init__(self, path: Path) -> None:
        """Parse a file.

        Raises:
            InvalidInputError: there is no such file, or it is not Python.
        """
        self.path = path
        try:
            self._tree = ast.parse(read_text(path))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error
        except (SyntaxError, ValueError, RecursionError) as error:
            raise InvalidInputError(f"{path}: is no Python: {error}") from error

    def text(
        self, name: str, *, function: str | None = None, names: Mapping[str, str] = _NO_NAMES
    ) -> str:
        """The string that a name is first assigned.

        Args:
            name: of the variable.
            function: the function whose body to search; None: the module.
            names: values of the variables that an f-string may use.

        Raises:
            InvalidInputError: it is not assigned, or not a string; names file, line and variable.
        """
        for statement in self._body(function):
            match statement:
                case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                    return _literal(value, f"{self.path}:{statement.lineno}: {name}", names)
                case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if (
                    found == name
                ):
                    return _literal(value, f"{self.path}:{statement.lineno}: {name}", names)
        raise InvalidInputError(f"{self.path}: {name}: missing, expected the text of a prompt")

    def template(self, name: str, field: str) -> str:
        """Fill a template of ``format`` with one field; its doubled braces become single.

        Args:
            name: of the variable.
            field: the field's value.

        Raises:
            InvalidInputError: as ``text``, or the number of fields is not one.
        """
        return rendered(self.text(name), field, f"{self.path}: {name}")

    def _body(self, function: str | None) -> list[ast.stmt]:
        if function is None:
            return self._tree.body
        for statement in self._tree.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == function:
                return statement.body
        raise InvalidInputError(f"{self.path}: {function}: missing, expected a function")


def rendered(template: str, field: str, where: str) -> str:
    """Fill a template of ``format`` with its one field.

    Raises:
        InvalidInputError: it is not a template, or the number of fields is not one.
    """
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InvalidInputError(f"{where}: is no template: {error}") from error
    fields = [name for _, name, _, _ in pieces if name is not None]
    if len(fields) != 1:
        raise InvalidInputError(f"{where}: expected one field, the instruction, got {fields}")
    return "".join(text + (field if name is not None else "") for text, name, _, _ in pieces)


def _literal(value: ast.expr, where: str, names: Mapping[str, str]) -> str:
    """A string, a sum of strings, or an f-string of known names."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _literal(left, where, names) + _literal(right, where, names)
        case ast.JoinedStr(values=parts):
            return "".join(_literal(part, where, names) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name), conversion=-1, format_spec=None) if (
            name in names
        ):
            return names[name]
    raise InvalidInputError(f"{where}: expected a text, got {ast.unparse(value)[:80]!r}")
