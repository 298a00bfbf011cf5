"""The layout: imports only go down, each library has its place, and importing has no effect."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1] / "rnnjax"
FILES = sorted(ROOT.rglob("*.py"))
FAMILIES = {
    "connectivity": 1, "inputs": 1, "noise": 1, "solvers": 1, "measures": 1,
    "circuits": 2, "plasticity": 2, "tasks": 2, "observations": 2, "forcing": 2, "credit": 2,
    "proposals": 2, "bifurcations": 2, "targets": 4,
}  # fmt: skip
FLOORS = FAMILIES | {
    "_small": 0, "_types": 0, "_parameter": 0, "_results": 0, "_linalg": 0, "_kept": 0, "_setup": 0, "_axes": 0,
    "_integrate": 1, "_replay": 2, "_plan": 1, "_adaptive": 1, "_gradient": 0, "_fixed": 3, "_solve": 2,
    "_simulate": 3, "_measure": 3, "_equilibria": 3, "_regions": 3, "_spikes": 3, "_orbits": 3,
    "_lyapunov": 3, "_growth": 3, "_phase": 3, "_statistics": 0,
    "_continuation": 3, "_diagram": 3, "_branch": 3, "_follow": 3, "_locate": 3,
    "_special": 3, "_both_ways": 3, "_curve": 3, "_two_parameters": 3,
    "_intervals": 0, "_supports": 0, "_operations": 3, "_enclosure": 3, "_boxes": 3, "_enumerate": 3,
    "_condensed": 0, "_collocation": 0, "_cycles": 3, "_orbit_branch": 3, "_orbit_search": 3, "_orbit_start": 3,
    "_cycle_zeros": 3, "_orbit_curve": 3,
    "_orbit_continuation": 3,
    "_krylov": 0, "_matrix_free": 0, "_leading": 3, "_large": 3, "_large_steps": 3, "_large_branch": 3,
    "_guesses": 0, "_deflation": 0, "_slow": 3, "_neighborhood": 3, "_starts": 3, "_settling": 4, "_basins": 4,
    "_task_network": 2, "_pass": 3, "_objective": 3, "_training": 3,
    "_fit": 4, "_audit": 4, "_perform": 4, "_checkpoint": 4, "_course": 4, "_descent": 4, "_free": 4,
    "_datasets": 4, "_archive": 4,
    "_sweep": 4, "_program": 4, "_store": 4, "_save": 4, "_labels": 4, "_infer": 4, "data": 4,
    "plot": 5, "cli": 5, "_named": 5,
}  # fmt: skip
# A result hands itself to the store, when it is asked to and not before.
DEFERRED = {
    (each, home)
    for home in ("_store", "_datasets")
    for each in (
        "_simulate", "_equilibria", "_branch", "_curve", "_slow", "_large_branch", "_orbits", "_orbit_branch",
        "_lyapunov", "_phase",
    )
}  # fmt: skip
HOMES = {
    "matplotlib": {"plot"},
    "diffrax": {"_simulate", "_solve", "_integrate", "_measure", "_orbits", "solvers"},
    "optimistix": {"_equilibria", "_orbits", "_continuation"},
    "optax": {"_fit", "_descent", "_infer"},
    "xarray": {"_store", "_datasets", "_sweep", "data"},
    "zarr": {"_store", "_sweep", "data"},
}


def unit(path):
    """The root module or the family that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path):
    """`(dotted module, whether it is imported only when a function runs)` of a file."""
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
                yield alias.name, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) in inside


def ours(path):
    """`(parts below rnnjax of an imported module, deferred)` of a file."""
    for name, deferred in imports(path):
        parts = name.split(".")
        if parts[0] == "rnnjax" and len(parts) > 1:
            yield parts[1:], deferred


def test_the_package_is_where_the_tests_look():
    assert len(FILES) > 20


def test_every_file_has_a_floor():
    known = set(FLOORS) | {"__init__"}
    assert {unit(path) for path in FILES} <= known, "a module or family without a floor"


def test_imports_only_go_down():
    wrong = []
    for path in FILES:
        here = unit(path)
        if here == "__init__":
            continue
        for parts, deferred in ours(path):
            there = parts[0]
            if there == here or (deferred and (here, there) in DEFERRED):
                continue
            if there not in FLOORS:  # a verb taken from the package itself: the command line's way
                fits = FLOORS[here] == 5
            else:
                base = len(parts) > 1 and parts[1].startswith("_")
                same_floor = (there in FAMILIES and base) or FLOORS[here] in (0, 3, 4, 5)
                fits = FLOORS[there] < FLOORS[here] or (
                    FLOORS[there] == FLOORS[here] and same_floor
                )
            if not fits:
                wrong.append(f"{path.relative_to(ROOT)} imports {'.'.join(parts)}")
    assert not wrong, "\n".join(wrong)


def test_members_do_not_import_their_siblings():
    wrong = [
        f"{path.relative_to(ROOT)} imports {'.'.join(parts)}"
        for path in FILES
        if unit(path) in FAMILIES and path.stem != "__init__"
        for parts, _ in ours(path)
        if parts[0] == unit(path) and not (len(parts) > 1 and parts[1].startswith("_"))
    ]
    assert not wrong, "\n".join(wrong)


def test_verbs_import_no_member():
    # A whole family may be looked through, by the names that it exports.
    wrong = [
        f"{path.relative_to(ROOT)} imports {'.'.join(parts)}"
        for path in FILES
        if path.parent == ROOT and unit(path).startswith("_") and unit(path) != "__init__"
        for parts, _ in ours(path)
        if parts[0] in FAMILIES and len(parts) > 1 and not parts[1].startswith("_")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_its_place(library):
    users = {
        unit(path) for path in FILES for name, _ in imports(path) if name.split(".")[0] == library
    }
    assert users <= HOMES[library]


def test_floor_0_needs_jax_equinox_and_lineax_only():
    allowed = set(sys.stdlib_module_names) | {
        "jax", "jaxlib", "equinox", "lineax", "jaxtyping", "numpy", "rnnjax"
    }  # fmt: skip
    for path in FILES:
        if FLOORS.get(unit(path)) == 0:
            assert {name.split(".")[0] for name, _ in imports(path)} <= allowed, path.name


def test_postponed_annotations_are_not_used():
    for path in FILES:
        assert "__future__" not in {name.split(".")[0] for name, _ in imports(path)}, path.name


def test_no_catch_all_modules():
    names = {part for path in FILES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"utils", "core", "common", "base", "helpers", "misc"}
    assert all(len(path.relative_to(ROOT).parts) <= 2 for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            methods = [
                item.name
                for item in node.body
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
                and "property" not in [ast.unparse(d) for d in item.decorator_list]
            ]  # fmt: skip
            assert len(methods) <= 8, f"{node.name}: {methods}"


def test_the_stub_agrees_with_the_lazy_exports():
    source = (ROOT / "__init__.py").read_text()
    values = {
        node.targets[0].id: node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    lazy = {(f"rnnjax.{home}", name) for name, home in ast.literal_eval(values["_HOMES"]).items()}
    lazy |= {("rnnjax", family) for family in ast.literal_eval(values["_FAMILIES"])}
    stub = {
        (node.module, alias.name)
        for node in ast.parse((ROOT / "__init__.pyi").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert stub == lazy


def test_families_export_by_name():
    for family in FAMILIES:
        init = ROOT / family / "__init__.py"
        if init.exists():
            for node in ast.parse(init.read_text()).body:
                if isinstance(node, ast.ImportFrom):
                    assert all(alias.asname == alias.name for alias in node.names), init


EFFECTS = """
import logging, os, sys
before = dict(os.environ)
import jax
values = dict(jax.config.values)
import rnnjax
import rnnjax.circuits, rnnjax.connectivity, rnnjax.inputs, rnnjax.noise, rnnjax.measures
import rnnjax.solvers
rnnjax.simulate, rnnjax.find_equilibria
rnnjax.circuits.ExcitatoryInhibitory(), rnnjax.circuits.RateNetwork(), rnnjax.inputs.Pulse()
from jax._src import xla_bridge
print(sorted(m for m in ("xarray", "zarr", "optax", "matplotlib") if m in sys.modules))
print("backend started" if xla_bridge._backends else "no backend")
print(sorted(k for k in jax.config.values if values.get(k) != jax.config.values[k]))
print(dict(os.environ) == before, len(logging.getLogger("rnnjax").handlers))
"""


def test_importing_has_no_effect():
    done = subprocess.run(
        [sys.executable, "-c", EFFECTS], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "no backend", "[]", "True 0"]


def test_no_word_of_a_machine():
    for path in FILES:
        assert not re.search(r"/(home|tmp|work|root)/\w", path.read_text()), path.name
