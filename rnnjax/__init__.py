"""rnnjax: a differentiable dynamics engine for neural circuits on JAX.

Write a circuit once, as a vector field; then simulate it, find where it rests and whether that is
stable, sweep it over a million parameter settings, and fit its connectivity.

Everything here is loaded when it is first used, so that the import itself is quick.
"""

import importlib as _importlib
from typing import Any as _Any

from rnnjax._exports import FAMILIES as _FAMILIES
from rnnjax._exports import HOMES as _HOMES

__version__ = "0.1.0"
__all__ = [*_HOMES, *_FAMILIES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> _Any:
    if name in _FAMILIES:
        return _importlib.import_module(f"rnnjax.{name}")
    if name in _HOMES:
        value = getattr(_importlib.import_module(f"rnnjax.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rnnjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
