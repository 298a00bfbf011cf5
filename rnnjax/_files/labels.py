"""What the arrays of a file are called, and what their codes mean."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnjax._results import Status


def status_attributes() -> dict[str, Any]:
    """What the codes of a status variable mean, in the words of the CF conventions."""
    return {
        "long_name": "how the computation ended",
        "flag_values": [int(s) for s in Status],
        "flag_meanings": " ".join(s.name for s in Status),
    }


@dataclasses.dataclass(frozen=True)
class Labels:
    """What the results of a sweep are called: dimensions, coordinates, units, meanings.

    Attributes:
        dims: the swept dimensions.
        shape: the number of points along each.
        coordinates: name -> (dims, values, attributes).
        meanings: the attributes of each variable.
        attributes: those of the dataset.
        extra: the dimensions that a variable has of its own.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coordinates: dict[str, Any]
    meanings: dict[str, dict[str, Any]]
    attributes: dict[str, Any]
    extra: dict[str, tuple[str, ...]]

    def dims_of(self, name: str) -> tuple[str, ...]:
        """The dimensions of a variable."""
        return (*self.dims, *self.extra.get(name, ()))

    def names(self) -> tuple[str, ...]:
        """All names of variables, coordinates and dimensions."""
        along = [dim for dims, *_ in self.coordinates.values() for dim in dims]
        extra = [dim for dims in self.extra.values() for dim in dims]
        every = *self.dims, *self.coordinates, *along, *self.meanings, *self.extra, *extra
        return tuple(dict.fromkeys(every))

    def check(self, arrays: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> None:
        """Label results that are not there yet, known by shape and dtype.

        Raises:
            ValueError: if that can't be done, so that it is known before they are computed.
        """
        count = math.prod(self.shape)
        try:
            self.dataset(
                {
                    name: np.broadcast_to(np.zeros((), dtype), (count, *shape))
                    for name, (shape, dtype) in arrays.items()
                }
            )
        except ValueError as error:
            raise ValueError(
                f"the results can't be labelled: {error}: give axes and measures other names"
            ) from None

    def fill(self, name: str, dtype: np.dtype) -> Any:
        """What a variable is where nothing was computed: no number, or the code for none."""
        if name == "status":
            return int(Status.NOT_RUN)
        if np.issubdtype(dtype, np.inexact):
            return np.nan
        codes = self.meanings.get(name, {}).get("flag_values", [0])
        return np.asarray(min(codes), dtype)[()]

    def dataset(self, arrays: Mapping[str, np.ndarray]) -> Any:
        """Arrays `(points, ...)` as a labelled `xarray.Dataset`."""
        import xarray

        data = {
            name: (
                self.dims_of(name),
                values.reshape(self.shape + values.shape[1:]),
                self.meanings.get(name, {}),
            )
            for name, values in arrays.items()
        }
        return xarray.Dataset(data, self.coordinates, self.attributes)
