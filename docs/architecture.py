"""The floors of the package, and what its rooms import.

`tests/test_layout.py` holds the imports to these floors; `docs/picture.py` draws them.
"""

import ast
import functools
import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[1] / "rnnjax"

# From the ground up; with the rooms that are still to come. Imports only go down.
FLOORS = (
    ("_exports", "_types", "_gate", "_precision", "_parameter", "_where", "_results"),
    ("_numerics", "_machine"),
    ("connectivity", "inputs", "noise", "solvers", "measures", "channels", "synapses"),
    (
        "circuits", "bifurcations", "tasks", "forcing", "credit", "surrogates", "plasticity",
        "environments", "observations", "proposals", "engines", "data",
    ),
    ("_files",),
    ("_engine", "_continuation", "_spikes"),
    ("_simulation", "_equilibria", "_exponents"),
    ("_branches", "_orbits", "_proof", "_sweep", "_training"),
    ("_diagrams", "_basins", "_inference", "_closed_loop", "targets"),
    ("plot", "cli", "_cli_arguments"),
)  # fmt: skip
# The home of each name that the package exports, read without importing it.
HOMES: dict[str, str] = next(
    ast.literal_eval(node.value)
    for node in ast.parse((ROOT / "_exports.py").read_text()).body
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HOMES"
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: pathlib.Path) -> str:
    """The folder, or the file of the root, that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


@functools.cache
def imports_of(path: pathlib.Path) -> tuple[tuple[str, int, bool], ...]:
    """What a file imports: the dotted name, the line, and whether it waits until a function runs."""
    return tuple(_imports(path))


def _imports(path: pathlib.Path) -> Iterator[tuple[str, int, bool]]:
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield (
                    f"{'.' * node.level}{node.module}.{alias.name}",
                    node.lineno,
                    id(node) in inside,
                )


def edges() -> set[tuple[str, str]]:
    """`(room, room that it imports)` for all rooms that are folders."""
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        for name, _, _ in imports_of(path):
            package, *parts = name.split(".")
            if package == "rnnjax" and parts and (ROOT / parts[0]).is_dir():
                found.add((room_of(path), parts[0]))
    return {(a, b) for a, b in found if a != b and (ROOT / a).is_dir()}


def fewest(found: set[tuple[str, str]], rooms: set[str]) -> set[tuple[str, str]]:
    """The imports between some rooms without those that lead over another of them as well."""
    below = {a: {b for first, b in found if first == a and b in rooms} for a in rooms}

    def reached(room: str) -> set[str]:
        return below[room].union(*(reached(each) for each in below[room]))

    return {
        (a, b)
        for a in rooms
        for b in below[a]
        if not any(b in reached(each) for each in below[a] - {b})
    }
