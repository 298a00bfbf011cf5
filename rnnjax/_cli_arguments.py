"""What the command line is told in words: circuits, parameters, measures and ranges by their names."""

import importlib.util
import operator
import re
import sys
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

    if ":" in name:
        cls = _from_file(name)
    else:
        plain = {re.sub(r"[-_]", "", k).lower(): c for k, c in builtins().items()}
        cls = plain.get(re.sub(r"[-_]", "", name).lower())
        if cls is None:
            raise ValueError(
                f"no circuit called {name}: expected one of {', '.join(sorted(builtins()))}, or "
                "path/to/file.py:Class"
            )
    circuit = cls()
    for each in settings:
        field, _, text = each.partition("=")
        what = named(circuit, parameter_called(circuit, field, "--set"))
        shape = np.shape(what.value(circuit))
        value = np.broadcast_to(np.asarray(number(text, f"--set {each}")), shape).copy()
        circuit = what.put(circuit, value)
    check(circuit)
    return circuit


def _from_file(name: str) -> Callable[..., Any]:
    path, _, attribute = name.rpartition(":")
    if not Path(path).is_file():
        raise ValueError(f"no file {path}: expected path/to/file.py:{attribute or 'Class'}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise ValueError(f"{path} has no {attribute}")
    return getattr(module, attribute)


def measure_called(name: str) -> Any:
    if ":" in name:
        return _from_file(name)
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
