"""Do the tests notice? One small fault at a time, on lines changed since a commit, by Cosmic Ray.

    python tests/mutants.py SINCE --count 50 --seed 0

Works on a clone of its own (`out/mutants`), goes on where it was stopped, and starts again when the package has
changed. Each mutant meets the tests of its room, then `tests/reports`, then those of rooms that use its file, up to
the first that fails.
"""

import argparse
import ast
import os
import random
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.tools.filters.git import GitFilter
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkItem

PROJECT = Path(__file__).parents[1]
TEST = shlex.join([sys.executable, str(Path(__file__)), "--test"])
SECONDS = 3600  # of a mutant: far more than its tests take, so that slow is not taken for noticed
ANYWHERE = "tests/test_edges.py", "tests/test_bad_input.py", "tests/test_conformance.py"
USERS = 2  # other rooms that use a file, whose tests are asked too
NONE = 5  # what pytest says where it found no tests
OF_SPEED = "core/RemoveDecorator", "core/NoOp"  # nothing that a test could see


def main() -> None:
    """Make the mutants, test those that are left, and list what survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("since", help="a commit: lines that are new since then get faults")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="what survived before meets new tests")
    asked = parser.parse_args()
    since = git(PROJECT, "rev-parse", f"{asked.since}^{{commit}}")
    package = git(PROJECT, "rev-parse", "HEAD:rnnjax")
    name = f"{since[:8]}-{package[:8]}-{asked.seed}-{asked.count}"
    home = PROJECT / "out" / "mutants" / name
    code, session = home / "code", home / "session.sqlite"
    if not code.exists():
        home.mkdir(parents=True, exist_ok=True)
        git(PROJECT, "clone", "--quiet", "--shared", str(PROJECT), str(code))
    git(code, "fetch", "--quiet", "origin", "HEAD")
    git(code, "reset", "--quiet", "--hard", "FETCH_HEAD")
    os.chdir(code)
    if not session.exists():
        made = home / "made.sqlite"
        chosen = choose(made, since, asked.count, random.Random(asked.seed))
        with use_db(made) as mutants:
            mutants.clear()
            mutants.add_work_items(chosen)
        made.rename(session)
    with use_db(session, WorkDB.Mode.open) as mutants:
        old = survivors(mutants) if asked.again else []
        left = [*mutants.pending_work_items, *(i for i in mutants.work_items if i.job_id in old)]
        for number, item in enumerate(sorted(left, key=order)):
            (mutation,) = item.mutations
            where = f"{mutation.module_path}:{mutation.start_pos[0]}"
            print(f"{number + 1}/{len(left)} {where} {mutation.operator_name}", end=" ", flush=True)
            found = mutate_and_test(item.mutations, TEST, SECONDS)
            mutants.set_result(item.job_id, found)
            print(found.test_outcome, flush=True)
        report(mutants)


def git(where: Path, *words: str) -> str:
    """What git prints."""
    return subprocess.check_output(["git", "-C", str(where), *words], text=True).strip()


def choose(path: Path, since: str, count: int, draw: random.Random) -> list[WorkItem]:
    """One mutant on each of so many lines of the package that are new."""
    news = GitFilter()._git_news(since)
    new = {file: lines for file, lines in news.items() if file.parts[0] == "rnnjax" and lines}
    with use_db(path) as mutants:
        init([file for file in sorted(new) if file.suffix == ".py"], mutants, {})
        items = list(mutants.work_items)
    lines = by_line(items, new)
    drawn = draw.sample(sorted(lines), min(count, len(lines)))
    return [draw.choice(sorted(lines[line], key=order)) for line in drawn]


def by_line(
    items: list[WorkItem], new: Mapping[Path, Collection[int]]
) -> dict[tuple[str, int], list[WorkItem]]:
    """The mutants that count, by file and line."""
    found = defaultdict(list)
    types = {path: annotations(path) for path in new if path.suffix == ".py"}
    for item in items:
        (mutation,) = item.mutations
        path, line = mutation.module_path, mutation.start_pos[0]
        typed = any(position(mutation) in inside for inside in types[path])
        if line in new[path] and mutation.operator_name not in OF_SPEED and not typed:
            found[str(path), line].append(item)
    return found


def order(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    """Of mutants: by what they are, whatever names they were given."""
    (mutation,) = item.mutations
    where = str(mutation.module_path), mutation.start_pos
    return *where, mutation.operator_name, mutation.occurrence


_WIDTH = 1000  # columns of a line


def position(mutation: MutationSpec) -> int:
    """Line and column as one number."""
    line, column = mutation.start_pos
    return line * _WIDTH + column


def annotations(path: Path) -> list[range]:
    """Where types stand: a fault there is met when the module is imported, or never."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if part is not None:
                begin = part.lineno * _WIDTH + part.col_offset
                found.append(range(begin, part.end_lineno * _WIDTH + part.end_col_offset))
    return found


def test() -> int:
    """The tests of the room in which a file differs from what is committed."""
    (changed,) = git(Path.cwd(), "diff", "--name-only", "--", "rnnjax").split()
    room = Path("tests", *Path(changed).parts[1:-1])
    own = [str(room)] if room.is_dir() and room != Path("tests") else list(ANYWHERE)
    for tests in (own, ["tests/reports"], users(changed)[:USERS]):
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-n", "2"]
        here = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        code = subprocess.call([*command, "--dist", "loadfile", *tests], env=here) if tests else 0
        if code not in (0, NONE):
            return code
    return 0


def users(changed: str) -> list[str]:
    """The tests of other rooms that import a file, of those first that do so most."""
    name = ".".join(Path(changed).with_suffix("").parts)
    rooms = Counter(
        room
        for path in sorted(Path("rnnjax").rglob("*.py"))
        if f"from {name} import" in path.read_text()
        and (room := Path("tests", *path.parts[1:-1])) != Path("tests")
        and room.is_dir()
        and path.parent != Path(changed).parent
    )
    return [str(room) for room, _ in rooms.most_common()]


def survivors(mutants: WorkDB) -> list[str]:
    """Those that no test noticed."""
    return [job for job, found in mutants.results if found.test_outcome == TestOutcome.SURVIVED]


def report(mutants: WorkDB) -> None:
    """How many there were, and those that survived."""
    tested = {job: found for job, found in mutants.results if found.test_outcome is not None}
    alive = survivors(mutants)
    for job in alive:
        print(tested[job].diff, end="\n\n")
    print(f"{len(tested)} mutants, {len(tested) - len(alive)} noticed, {len(alive)} survived")


if __name__ == "__main__":
    sys.exit(test() if sys.argv[1:] == ["--test"] else main())
