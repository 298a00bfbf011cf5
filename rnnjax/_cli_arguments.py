"""What the command line is told in words: circuits, parameters, measures and ranges by their names."""

import importlib.util
import operator
import re
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

# rnnjax and JAX are imported inside the functions, so that `rnnjax --help` is quick.

_BOUNDS = re.compile(r"^([^=]+)=([^:]+):([^:]+)$")
_RANGE = re.compile(r"^([^=]+)=([^:]+):([^:]+):([^:]+)$")


def builtins() -> dict[str, Any]:
    import inspect

    from rnnjax import circuits as family

    return {
        name: cls
        for name, cls in vars(family).items()
        if isinstance(cls, type)
        and issubclass(cls, family.AbstractCircuit)
        and not inspect.isabstract(cls)
    }


def circuit_called(name: str, settings: tuple[str, ...]) -> Any:
    """The circuit by its name, with other values where they were given."""
    import numpy as np

    from rnnjax._parameter import check
    from rnnjax._where import named
    from rnnjax.circuits._checks import check_circuit

    if ":" in name:
        cls = _from_file(name, "Class")
    else:
        plain = {re.sub(r"[-_]", "", k).lower(): c for k, c in builtins().items()}
        cls = plain.get(re.sub(r"[-_]", "", name).lower())
        if cls is None:
            raise ValueError(
                f"no circuit called {name}: expected one of {', '.join(sorted(builtins()))}, or "
                "path/to/file.py:Class"
            )
    try:
        circuit = cls()
    except TypeError as error:
        if "__init__()" not in str(error) and "argument" not in str(error):
            raise
        raise ValueError(
            f"{name}: expected a class that can be made without arguments, each field with a default "
            f"({error})"
        ) from error
    check_circuit(circuit)
    for each in settings:
        field, _, text = each.partition("=")
        what = named(circuit, parameter_called(circuit, field, "--set"))
        shape = np.shape(what.value(circuit))
        value = np.broadcast_to(np.asarray(number(text, f"--set {each}")), shape).copy()
        circuit = what.put(circuit, value)
    check(circuit)
    return circuit


def _from_file(name: str, kind: str) -> Callable[..., Any]:
    """What a file of the user calls so: `path/to/file.py:Class`.

    Raises:
        ValueError: for no file, one that is no Python or fails, or that has nothing of the name.
    """
    path, _, attribute = name.rpartition(":")
    module = _run(path, attribute or kind)
    found = getattr(module, attribute, None)
    if found is None:
        own = (
            k for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        )
        known = ", ".join(k for k in own if not k.startswith("_"))
        raise ValueError(
            f"{path} has no {attribute or 'name'}: expected one of {known or 'nothing'}"
        )
    if not callable(found):
        raise ValueError(f"{path}:{attribute}: expected a {kind}, got {type(found).__name__}")
    return found


def _run(path: str, attribute: str) -> types.ModuleType:
    """The module that a file is, under a name that no other module has."""
    if not Path(path).is_file():
        what = "is a folder, no file" if Path(path).is_dir() else "there is no such file"
        raise ValueError(f"no file {path}: {what}: expected path/to/file.py:{attribute}")
    name = f"rnnjax file {Path(path).resolve()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: expected a Python file, whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for what their annotations mean
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(told_of_file(error, path)) from error
    return module


def told_of_file(error: BaseException, path: str) -> str:
    """What went wrong in a file of the user, and on which line, in one line of words."""
    lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if same(each, path)]
    line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
    at = path if line is None else f"{path}, line {line}"
    if isinstance(error, SystemExit):
        return f"{at}: it called exit({error.code!r}) where it should only define things"
    words = error.msg if isinstance(error, SyntaxError) else str(error).strip().split("\n")[0]
    return f"{at}: {type(error).__name__}: {words}"


def same(frame: traceback.FrameSummary, path: str) -> bool:
    """Whether a line of a traceback is in this file."""
    return Path(frame.filename).resolve() == Path(path).resolve()


def file_of(error: BaseException) -> str | None:
    """The file of the user in which an error was raised; None where it was raised elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    read = [
        k.removeprefix("rnnjax file ") for k in list(sys.modules) if k.startswith("rnnjax file ")
    ]
    return next((path for path in read if frames and same(frames[-1], path)), None)


def measure_called(name: str) -> Any:
    if ":" in name:
        return _from_file(name, "function")
    from rnnjax import measures as family

    known = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", k).lower(): c
        for k, c in vars(family).items()
        if isinstance(c, type) and issubclass(c, family.AbstractMeasure) and c.__abstractmethods__ == frozenset()
    }  # fmt: skip
    if name not in known:
        raise ValueError(
            f"no measure called {name}: expected one of {', '.join(sorted(known))}, or "
            "path/to/file.py:function"
        )
    cls: Any = known[name]
    return cls()


def axis_of(text: str, circuit: Any) -> Any:
    import numpy as np

    import rnnjax

    match = _RANGE.match(text)
    if match is None:
        raise ValueError(f"--vary {text}: expected FIELD=LOW:HIGH:POINTS, e.g. tau_i=5:100:1000")
    field, *numbers = match.groups()
    low, high, count = (number(x, f"--vary {text}") for x in numbers)
    if count < 1 or count != int(count):
        raise ValueError(
            f"--vary {text}: expected a positive whole number of points, got {count:g}"
        )
    return rnnjax.axis(
        parameter_called(circuit, field, "--vary"), np.linspace(low, high, int(count))
    )


def followed(text: str, circuit: Any, option: str) -> tuple[Any, tuple[float, float]]:
    """The parameter that is followed, and its bounds."""
    match = _BOUNDS.match(text)
    if match is None:
        raise ValueError(f"{option} {text}: expected FIELD=LOW:HIGH, e.g. tau_i=5:100")
    field, *numbers = match.groups()
    low, high = (number(x, f"{option} {text}") for x in numbers)
    return parameter_called(circuit, field, option), (low, high)


def parameter_called(circuit: Any, field: str, option: str) -> Any:
    """The parameter of that name, or one number of it: `tau_i`, `tau[2]`, `weights[0,1]`."""
    from rnnjax._parameter import parameter_fields
    from rnnjax._where import NothingNamedError, named

    path, _, index = field.partition("[")
    get = operator.attrgetter(path)

    def where(circuit: Any) -> Any:
        array = get(circuit)
        return array[tuple(map(int, index.removesuffix("]").split(",")))] if index else array

    try:
        named(circuit, where)
    except NothingNamedError:
        known = ", ".join(f.path for f in parameter_fields(circuit))
        raise ValueError(
            f"{option} {field}: {type(circuit).__name__} has no such parameter; expected one of {known}"
        ) from None
    return where


def number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what}: expected a number, got {text!r}") from None
