"""How much the annotations of the package tell."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from architecture import ROOT

_NOTHING = {"Any", "PyTree", "object", "jaxtyping.PyTree", "Callable", "Callable[..., Any]"}
_NAMED = {"Scalar", "Vector", "Matrix"}  # of `_types`: their axes are named there
_ARRAYS = _NAMED | {"Array", "ndarray", "ArrayLike", "PerUnit", "Numbers"}


class Annotated(NamedTuple):
    """An argument of a function or a field of a class."""

    where: str
    annotation: ast.expr | None


def arguments(tree: ast.AST, where: str) -> Iterator[Annotated]:
    """Those of all functions but for `self` and `cls`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            several = [each for each in (given.vararg, given.kwarg) if each]
            for each in [*given.posonlyargs, *given.args, *given.kwonlyargs, *several]:
                if each.arg not in ("self", "cls"):
                    yield Annotated(
                        f"{where}:{each.lineno} {node.name}({each.arg})", each.annotation
                    )


def fields(tree: ast.AST, where: str) -> Iterator[Annotated]:
    """Those of all classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.AnnAssign):
                    name = ast.unparse(each.target)
                    yield Annotated(f"{where}:{each.lineno} {node.name}.{name}", each.annotation)


def tells_nothing(annotation: ast.expr | None) -> bool:
    """Whether any value fits: none, `Any`, a bare `PyTree`, `object`, `Callable[..., Any]`, or in a union."""
    if annotation is None:
        return True
    if isinstance(annotation, ast.BinOp):
        return tells_nothing(annotation.left) or tells_nothing(annotation.right)
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value in _NOTHING
    return ast.unparse(annotation) in _NOTHING


def names_in(annotation: ast.expr | None) -> set[str]:
    """The names in an annotation."""
    if annotation is None:
        return set()
    found = {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)}
    return found | {n.attr for n in ast.walk(annotation) if isinstance(n, ast.Attribute)}


def of_arrays(annotation: ast.expr | None) -> bool:
    """Whether it speaks of arrays."""
    return bool(names_in(annotation) & _ARRAYS)


def has_named_axes(annotation: ast.expr | None) -> bool:
    """Whether it says the axes of its arrays, none ("") included; "..." alone does not."""
    if annotation is None:
        return False
    if names_in(annotation) & _NAMED:
        return True
    words = [n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant)]
    axes = [word for word in words if isinstance(word, str)]
    return any(not word.strip() or re.search(r"[A-Za-z]", word) for word in axes)


def public(exports: dict[str, str]) -> Iterator[tuple[ast.AST, str]]:
    """What users call and get: the functions and classes that are exported, of classes what is public.

    Args:
        exports: the module of each exported name.
    """
    for name, module in sorted(exports.items()):
        path = ROOT.parent / f"{module.replace('.', '/')}.py"
        for node in ast.parse(path.read_text()).body:
            if getattr(node, "name", None) == name and isinstance(node, ast.ClassDef):
                node.body = [each for each in node.body if _is_public(each)]
                yield node, path.name
            elif getattr(node, "name", None) == name:
                yield node, path.name


def _is_public(node: ast.AST) -> bool:
    name = getattr(node, "name", None) or ast.unparse(getattr(node, "target", ast.Constant("")))
    return not name.startswith("_") or name in ("__call__", "__init__", "__getitem__")
