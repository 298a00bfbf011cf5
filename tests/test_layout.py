"""The layout: rooms on floors, one of each thing, sizes, annotations; and importing has no effect."""

import ast
import pathlib
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator

import annotated
import picture
import pytest
from architecture import FLOOR, FLOORS, ROOT, edges, imports_of, room_of

import rnnjax
from rnnjax._exports import FAMILIES, HOMES

FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}
TESTS = pathlib.Path(__file__).parent
HOMES_OF_LIBRARIES = {
    "matplotlib": {"plot"},
    "diffrax": {"_simulation", "_engine", "solvers"},
    "optimistix": set(),
    "optax": {"_training", "_inference"},
    "xarray": {"_files", "_sweep", "data"},
    "zarr": {"_files", "_sweep", "data"},
    "click": {"cli"},
}
TOP = len(FLOORS) - 1

# Rooms without a folder of tests of their own, and where they are tested.
TESTED_ELSEWHERE = {
    "_numerics": "by every verb that solves: tests/_equilibria, _orbits, _branches, _engine",
    "circuits": "test_conformance.py, and their published numbers in tests/published",
    "connectivity": "test_conformance.py and test_edges.py",
    "noise": "tests/_engine and tests/_simulation",
    "solvers": "tests/_engine and tests/_simulation",
    "bifurcations": "tests/_branches, _diagrams and published",
}

# Derivatives that are written by hand outside of `_numerics/implicit.py`, and why they are not of a root.
BY_HAND = {
    "_engine/driven.py": "what a run of fixed steps changes by where its input jumps later",
    "_engine/failed_lanes.py": "derivatives of lanes, apart from those that failed",
    "_numerics/digits.py": "float64 inside of float32 programs, in both modes",
    "_numerics/dense.py": "the derivative of the determinant, finite where it is zero",
    "_numerics/krylov.py": "a linear solve by products, whose transpose is one as well",
    "_numerics/memory.py": "through time in blocks: what is stored and what is computed again",
    "_precision.py": "gradients in the dtype of the scope in which they were asked for",
    "_simulation/lanes_run.py": "a run by our own lanes, whose gradient is that of the same run by diffrax",
    "connectivity/_base.py": "a derivative by sparse weights that makes no dense matrix",
    "targets/_base.py": "a gradient that refuses where the target was not found",
}
_CUSTOM = re.compile(r"\b(filter_)?custom_(jvp|vjp|root|linear_solve|vmap)\b")

# Loops in the rooms of lines that are none over steps of a line, and what they are over.
LOOPS = {
    "_continuation/march.py": "the steps of a line",
    "_continuation/zeros.py": "secants to a zero",
    "_continuation/several.py": "bisections to where a count changes",
    "_continuation/corrector.py": "Newton's steps onto a line, and to a point on it",
    "_branches/start.py": "rounds of guesses for the first equilibrium",
    "_orbits/search.py": "Newton's steps to an orbit, and their shares",
    "_orbits/orbit_points.py": "Newton's steps onto a line of orbits",
    "_orbits/phase.py": "bisections to the phase of a state",
}


def where(path: pathlib.Path, line: int | None = None) -> str:
    """A place in the package, in words."""
    return str(path.relative_to(ROOT)) + ("" if line is None else f":{line}")


def ours(path: pathlib.Path) -> Iterator[tuple[list[str], int, bool]]:
    """`(parts below rnnjax of what is imported, the line, deferred)` of a file."""
    for name, line, deferred in imports_of(path):
        package, *parts = name.split(".")
        if package == "rnnjax" and parts:
            yield parts, line, deferred


def is_module(parts: list[str]) -> bool:
    """Whether what is imported is a file or a folder, not something in one."""
    path = ROOT.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").exists()


def is_member_file(parts: list[str]) -> bool:
    """Whether an import reaches into a member of a family, or takes one from the family itself."""
    return parts[0] in FAMILIES and len(parts) > 1 and not parts[1].startswith("_")


def members() -> dict[str, str]:
    """The names that families export from their members, and the family."""
    found = {}
    for family in FAMILIES:
        for node in TREES[ROOT / family / "__init__.py"].body:
            if isinstance(node, ast.ImportFrom):
                home = str(node.module).rpartition(".")[2]
                if not home.startswith("_"):
                    found |= {alias.name: family for alias in node.names}
    return {name: family for name, family in found.items() if not name.startswith("Abstract")}


def labels() -> set[str]:
    """The labels of the bifurcations."""
    return {
        str(ast.literal_eval(node.value))
        for path in FILES
        if room_of(path) == "bifurcations"
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "label"
    } - {""}


def test_the_package_is_where_the_tests_look():
    assert len(FILES) > 20


def test_every_file_has_a_floor():
    known = set(FLOOR) | {"__init__"}
    assert {room_of(path) for path in FILES} <= known, "a module or family without a floor"
    assert set(FAMILIES) <= set(FLOOR)


def test_imports_only_go_down():
    wrong = []
    for path in FILES:
        here = room_of(path)
        if here == "__init__":
            continue
        for parts, line, _ in ours(path):
            there = parts[0]
            if there == here:
                continue
            if there not in FLOOR:  # a verb taken from the package itself: the command line's way
                fits = FLOOR[here] == TOP
            elif FLOOR[here] == FLOOR[there]:
                base = there in FAMILIES and len(parts) > 1 and parts[1].startswith("_")
                fits = base or FLOOR[here] in (0, TOP)
            else:
                fits = FLOOR[there] < FLOOR[here]
            if not fits:
                wrong.append(f"{where(path, line)} imports {'.'.join(parts)}")
    assert not wrong, "\n".join(wrong)


def test_no_import_goes_in_a_circle():
    below = {}
    for path in FILES:
        found = set()
        for parts, _, deferred in ours(path):
            module = next((parts[:k] for k in (2, 1) if is_module(parts[:k])), None)
            if module is not None and not deferred:
                home = ROOT.joinpath(*module)
                found.add(home / "__init__.py" if home.is_dir() else home.with_suffix(".py"))
        below[path] = found - {path}
    while below:
        # a file of a family may be loaded while the family is: its exports are no import of it
        ready = [path for path, found in below.items() if not found & set(below)]
        assert ready, "\n".join(map(where, below))
        below = {path: found for path, found in below.items() if path not in ready}


def test_members_do_not_import_their_siblings():
    wrong = [
        f"{where(path, line)} imports {'.'.join(parts)}"
        for path in FILES
        if room_of(path) in FAMILIES and path.stem != "__init__"
        for parts, line, deferred in ours(path)
        if parts[0] == room_of(path)
        and not (len(parts) > 1 and parts[1].startswith("_"))
        # an underscored file may look through all that the family exports
        and not (len(parts) == 1 and deferred and path.stem.startswith("_"))
    ]
    assert not wrong, "\n".join(wrong)


def test_verbs_import_no_member():
    # A whole family may be looked through, by the names that it exports.
    wrong = [
        f"{where(path, line)} imports {'.'.join(parts)}"
        for path in FILES
        if room_of(path).startswith("_") and FLOOR.get(room_of(path), TOP) < TOP
        for parts, line, _ in ours(path)
        if is_member_file(parts)
    ]
    assert not wrong, "\n".join(wrong)


def test_members_import_no_member_of_another_family():
    wrong = [
        f"{where(path, line)} imports {'.'.join(parts)}"
        for path in FILES
        if room_of(path) in FAMILIES and FLOOR[room_of(path)] < TOP and path.stem != "__init__"
        for parts, line, _ in ours(path)
        if is_member_file(parts)
        and parts[0] != room_of(path)
        and FLOOR[parts[0]] == FLOOR[room_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_member_of_a_family_is_asked_for():
    """No `isinstance`, `issubclass`, `type(x) is` or `case` of one: a class attribute decides."""
    known, wrong = members(), []
    for path in FILES:
        for node in ast.walk(TREES[path]):
            asked: list[ast.AST] = []
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "isinstance",
                "issubclass",
            ):
                asked = [node.args[1]]
            elif isinstance(node, ast.Compare) and "type(" in ast.unparse(node):
                asked = [node]
            elif isinstance(node, ast.MatchClass):
                asked = [node.cls]
            names = {
                name
                for each in asked
                for inner in ast.walk(each)
                for name in [getattr(inner, "id", None) or getattr(inner, "attr", None)]
                if name in known
            }
            # of a member's own file it is the member that asks, as diffrax's classes of that name may be
            if names and not ast.unparse(asked[0]).startswith("diffrax."):
                wrong.append(f"{where(path, node.lineno)}: {ast.unparse(node)[:80]}")
    assert not wrong, "\n".join(wrong)


def test_no_label_of_a_bifurcation_decides():
    """None is compared with, nor the key of a dictionary: the type says it in a class attribute."""
    known, wrong = labels(), []
    assert {"H", "LP", "PD"} <= known
    for path in FILES:
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.Compare):
                words = [node.left, *node.comparators]
            elif isinstance(node, ast.Dict):
                words = [key for key in node.keys if key is not None]
            elif isinstance(node, ast.MatchValue):
                words = [node.value]
            else:
                continue
            inner = [
                part for each in words
                for part in (each.elts if isinstance(each, ast.Tuple | ast.List | ast.Set) else [each])
            ]  # fmt: skip
            if any(isinstance(part, ast.Constant) and part.value in known for part in inner):
                wrong.append(f"{where(path, inner[0].lineno)}: {ast.unparse(node)[:80]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", HOMES_OF_LIBRARIES)
def test_each_library_has_its_place(library):
    users = {
        room_of(path)
        for path in FILES
        for name, _, _ in imports_of(path)
        if name.split(".")[0] == library
    }
    assert users <= HOMES_OF_LIBRARIES[library]


def test_floor_0_needs_jax_and_numerical_libraries_only():
    allowed = set(sys.stdlib_module_names) | {
        "jax", "jaxlib", "equinox", "lineax", "jaxtyping", "numpy", "threadpoolctl", "rnnjax"
    }  # fmt: skip
    for path in FILES:
        if FLOOR.get(room_of(path), TOP) <= 1:
            assert {name.split(".")[0] for name, _, _ in imports_of(path)} <= allowed, path.name


def test_postponed_annotations_are_not_used():
    for path in FILES:
        assert "__future__" not in {name.split(".")[0] for name, _, _ in imports_of(path)}, (
            path.name
        )


def test_imports_are_absolute():
    for path in FILES:
        assert not any(name.startswith(".") for name, _, _ in imports_of(path)), path.name


def test_no_private_name_leaves_its_module():
    wrong = []
    for path in FILES:
        if path == ROOT / "__init__.py":
            continue
        modules = set()
        for parts, line, _ in ours(path):
            if is_module(parts):
                modules.add(parts[-1])
            elif parts[-1].startswith("_"):
                wrong.append(f"{where(path, line)} imports {'.'.join(parts)}")
        wrong += [
            f"{where(path, node.lineno)}: {ast.unparse(node)}"
            for node in ast.walk(TREES[path])
            if isinstance(node, ast.Attribute) and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and isinstance(node.value, ast.Name) and node.value.id in modules
        ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["benchmarks", "examples"])
def test_what_shows_the_package_uses_public_names(folder):
    wrong = []
    for path in sorted((ROOT.parent / folder).rglob("*.py")):
        for name, line, _ in imports_of(path):
            parts = name.split(".")
            if parts[0] == "rnnjax" and any(part.startswith("_") for part in parts):
                wrong.append(f"{folder}/{path.name}:{line} imports {name}")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and re.match(
                r"rnnjax\.(\w+\.)*_[a-z]", ast.unparse(node)
            ):
                wrong.append(f"{folder}/{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def test_a_rooms_entry_is_named_after_its_verb():
    verbs: dict[str, set[str]] = {}
    for name, home in HOMES.items():
        room = home.split(".")[0]
        if name == name.lower() and FLOOR[room] >= FLOOR["_files"]:
            verbs.setdefault(room, set()).add(name)
    assert {"_simulation", "_sweep", "_training"} <= set(verbs)
    for room, names in verbs.items():
        assert any(HOMES[name] == f"{room}.{name}" for name in names), f"{room}: {sorted(names)}"


def test_tests_are_in_folders_that_mirror_the_rooms():
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    folders = {path.parent.name for path in TESTS.rglob("test_*.py")} - {TESTS.name}
    assert folders - {"published", "reports"} <= rooms, "a folder of tests without a room"
    missing = rooms - folders
    assert missing <= set(TESTED_ELSEWHERE), "a room without a folder of tests"
    assert not any(len(path.relative_to(TESTS).parts) > 2 for path in TESTS.rglob("*.py"))


def test_no_catch_all_modules():
    names = {part for path in FILES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"utils", "core", "common", "base", "helpers", "misc"}
    assert all(len(path.relative_to(ROOT).parts) <= 2 for path in FILES)
    for path in FILES:  # files of a private room are private already
        parts = path.relative_to(ROOT).parts
        if len(parts) == 2 and parts[0].startswith("_") and parts[1] != "__init__.py":
            assert not parts[1].startswith("_"), where(path)


def lines_of_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, docstring apart."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return int(body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert lines_of_body(node) <= 60, f"{node.name}: {lines_of_body(node)} lines"
        if isinstance(node, ast.ClassDef):
            methods = [
                item.name
                for item in node.body
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
                and "property" not in [ast.unparse(d) for d in item.decorator_list]
            ]  # fmt: skip
            assert len(methods) <= 8, f"{node.name}: {methods}"
            count = int(node.end_lineno or 0) - node.lineno + 1
            assert count <= 200, f"{node.name}: {count} lines"


def test_files_are_short_and_the_root_is_small():
    assert statistics.median(len(path.read_text().splitlines()) for path in FILES) <= 130
    assert len([path for path in ROOT.iterdir() if path.is_file()]) <= 12


def test_derivatives_of_solutions_are_in_one_place():
    users = {
        where(path): [line for line in path.read_text().splitlines() if _CUSTOM.search(line)]
        for path in FILES
    }
    users = {name: lines for name, lines in users.items() if lines}
    assert set(users) - {"_numerics/implicit.py"} <= set(BY_HAND), users
    assert set(BY_HAND) <= set(users), "a reason for nothing"


def test_a_line_is_marched_along_in_one_place():
    rooms = {"_branches", "_orbits", "_diagrams", "_continuation"}
    users = {
        where(path)
        for path in FILES
        if room_of(path) in rooms
        for node in ast.walk(TREES[path])
        if (getattr(node, "attr", None) or getattr(node, "id", None))
        in ("while_loop", "scan", "fori_loop")
    }
    assert users <= set(LOOPS), "a loop in a room of lines, and nothing says over what"
    assert set(LOOPS) <= users, "a reason for nothing"


def test_secants_are_in_one_place():
    own = r"Illinois|regula falsi|def \w*secant\w*\(|^_?\w*SECANT\w* ="  # not a call of those there
    users = {where(path) for path in FILES if re.search(own, path.read_text(), re.MULTILINE)}
    assert users == {"_continuation/zeros.py"}


def test_one_class_knows_how_a_line_ended():
    classes = [
        f"{where(path)} {node.name}"
        for path in FILES
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, ast.FunctionDef) and each.name == "endings" and each.decorator_list
    ]
    assert classes == ["_continuation/line.py AbstractLine"]


@pytest.mark.parametrize(
    ("of", "most"), [(annotated.arguments, 0.10), (annotated.fields, 0.05)],
    ids=["arguments", "fields"],
)  # fmt: skip
def test_annotations_tell_something(of, most):
    every = [each for path in FILES for each in of(TREES[path], where(path))]
    nothing = [each.where for each in every if annotated.tells_nothing(each.annotation)]
    assert len(nothing) < most * len(every), f"{len(nothing)} of {len(every)}:\n" + "\n".join(
        nothing
    )


def exports() -> dict[str, str]:
    """The module of each name that the package or a family exports."""
    found = {}
    for family in FAMILIES:
        for node in TREES[ROOT / family / "__init__.py"].body:
            if isinstance(node, ast.ImportFrom):
                found |= {alias.name: str(node.module) for alias in node.names}
    for name, home in HOMES.items():
        if home not in FAMILIES:
            found[name] = f"rnnjax.{home}"
    return found


def test_public_arrays_have_named_axes():
    every = [
        each
        for node, name in annotated.public(exports())
        for each in (*annotated.arguments(node, name), *annotated.fields(node, name))
        if annotated.of_arrays(each.annotation)
    ]
    assert len(every) > 100
    without = [each.where for each in every if not annotated.has_named_axes(each.annotation)]
    assert len(without) <= 0.4 * len(every), f"{len(without)} of {len(every)}:\n" + "\n".join(
        without
    )


def test_the_picture_shows_the_imports():
    assert picture.PICTURE.read_text() == picture.drawn(edges()), "run python docs/picture.py"


def test_the_guide_names_files_that_are_there():
    guide = (ROOT.parent / "docs" / "architecture.md").read_text()
    named = re.findall(r"`(rnnjax/[\w/.]+)`", guide)
    missing = [name for name in named if not (ROOT.parent / name).exists()]
    assert len(named) > 20
    assert not missing, missing
    ways = [
        re.findall(r"`rnnjax/([\w/.]+)`", way)
        for way in re.findall(r"(?:`rnnjax/[\w/.]+` →\s+)+`rnnjax/[\w/.]+`", guide)
    ]
    between = {(way[0], way[-1]): len(way) - 2 for way in ways}
    assert between["_branches/continue_equilibria.py", "_continuation/corrector.py"] <= 3
    assert between["_sweep/sweep.py", "_files/labels.py"] <= 4
    assert "docs/architecture.md" in (ROOT.parent / "README.md").read_text()


def test_the_stub_agrees_with_the_lazy_exports():
    lazy = {(f"rnnjax.{home}", name) for name, home in HOMES.items()}
    lazy |= {("rnnjax", family) for family in FAMILIES}
    stub = {
        (node.module, alias.name)
        for node in ast.parse((ROOT / "__init__.pyi").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert stub == lazy
    assert sorted(rnnjax.__all__) == sorted([*HOMES, *FAMILIES])


def test_families_export_by_name():
    for family in FAMILIES:
        for node in TREES[ROOT / family / "__init__.py"].body:
            if isinstance(node, ast.ImportFrom):
                assert all(alias.asname == alias.name for alias in node.names), family


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
