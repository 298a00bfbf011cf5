"""Which programs are compiled, and how long that takes."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax
import pytest

_COMPILED = "backend_compile"  # in the names of JAX's events
_MADE = "jaxpr_trace", "jaxpr_to_mlir", _COMPILED
_LONG = 5.0  # seconds of compilation of a file from which on it is listed


@contextlib.contextmanager
def programs() -> Iterator[list[str]]:
    """The names of the programs that are compiled inside, one for each."""
    found, going = [], [True]

    def listen(event: str, seconds: float, **options: str) -> None:
        if going and _COMPILED in event:
            found.append(options.get("fun_name", ""))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        going.clear()


class Ledger:
    """A plugin that tells, file by file, how long programs took to make: traced, lowered and compiled."""

    def __init__(self) -> None:
        self.seconds = 0.0  # of the phase of a test that is under way, in the process that runs it
        self.made: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, seconds: float, **_: str) -> None:
        if any(each in event for each in _MADE):
            self.seconds += seconds

    def pytest_runtest_logstart(self) -> None:
        """What was compiled where tests were collected is not the first test's."""
        self.seconds = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        """Send along what the phase took to compile."""
        report: Any = yield
        report.made, self.seconds = self.seconds, 0.0
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add it to its file."""
        file = report.nodeid.split("::")[0]
        self.made[file] += getattr(report, "made", 0.0)
        self.whole[file] += report.duration

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The files that compile longest."""
        terminalreporter.section("seconds of compilation, and of the whole, by file")
        every = sum(self.made.values()), sum(self.whole.values())
        for file, made in self.made.most_common():
            if made >= _LONG:
                terminalreporter.write_line(f"{made:6.0f} {self.whole[file]:6.0f}  {file}")
        terminalreporter.write_line("{:6.0f} {:6.0f}  all files".format(*every))
