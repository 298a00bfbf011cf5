"""Results as labelled arrays, in memory and on disk.

Everything is written beside its destination and renamed when it is whole: what is there under
its own name is finished.
"""

import math
import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnjax._files.archive import FilePath, check_path, check_writable, replacing
from rnnjax._files.labels import Labels
from rnnjax._files.lock import Lock
from rnnjax._files.names import called, for_files, names_in_files
from rnnjax._results import Status
from rnnjax._types import Expected

if TYPE_CHECKING:
    import xarray


class MemorySink:
    """Keeps the results of a sweep in memory."""

    kept = "the finished points are in its `partial` attribute"

    def __init__(self, labels: Labels):
        self.labels = labels
        self._arrays: dict[str, np.ndarray] = {}
        self._lock: Lock | None = None

    def __enter__(self) -> "MemorySink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:  # fmt: skip
        if self._lock is not None:
            self._lock.release()

    def write(self, first: int, results: Mapping[str, np.ndarray]) -> None:
        """Results of the points from `first` on."""
        for name, values in results.items():
            if name not in self._arrays:
                shape = (math.prod(self.labels.shape), *values.shape[1:])
                self._arrays[name] = np.full(
                    shape, self.labels.fill(name, values.dtype), values.dtype
                )
            self._arrays[name][first : first + len(values)] = values

    def note(self, attributes: Mapping[str, Any]) -> None:
        """Attributes of the results that are known at the end only."""
        self.labels.attributes.update(attributes)

    def unfinished(self) -> Any:
        """What there is so far."""
        return self.labels.dataset(self._arrays)

    def finish(self) -> Any:
        """The labelled results."""
        return self.labels.dataset(self._arrays)


class NetcdfSink(MemorySink):
    """Keeps the results in memory and writes one NetCDF-4 file when all are there."""

    def __init__(self, path: Path, labels: Labels):
        super().__init__(labels)
        check_writable(path)
        self._path, self._lock = path, _claimed(path)

    def finish(self) -> Any:
        """Write the file and return what it holds."""
        found = super().finish()
        write_netcdf(found, self._path)
        return found


class ZarrSink:
    """Writes results to a Zarr store while they come, whole rows of the first axis at a time."""

    def __init__(self, path: Path, labels: Labels, points: int):
        check_writable(path)
        self.labels, self._path = labels, path
        self._names = names_in_files([*labels.names(), "status"])
        self._partial = path.with_name(path.name + ".partial")
        self._lock = _claimed(path, self._partial)
        self._row = math.prod(labels.shape[1:])
        self._rows = min(labels.shape[0], max(1, points // self._row))
        self._done, self._waiting = 0, {}
        self._group: Any = None

    def __enter__(self) -> "ZarrSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:  # fmt: skip
        self._lock.release()

    def write(self, first: int, results: Mapping[str, np.ndarray]) -> None:
        """Results of the next points, in order.

        Raises:
            OSError: if another process writes the store.
        """
        self._lock.check()
        if self._group is None:
            self._group = self._create(results)
        for name, values in results.items():
            before = self._waiting.get(name)
            self._waiting[name] = values if before is None else np.concatenate([before, values])
        waiting = len(next(iter(self._waiting.values()))) // self._row
        last = self._done + waiting == self.labels.shape[0]
        rows = waiting if last else waiting // self._rows * self._rows
        for name, values in self._waiting.items():
            ready, self._waiting[name] = values[: rows * self._row], values[rows * self._row :]
            shape = (rows, *self.labels.shape[1:], *values.shape[1:])
            if rows:
                place = self._group[self._names[name]]
                place[self._done : self._done + rows] = ready.reshape(shape)
        self._done += rows

    @property
    def kept(self) -> str:
        """What is left of an interrupted sweep."""
        if not self._done:
            return "nothing was written yet"
        return f"the finished rows are in {self._partial}, the others have status {Status.NOT_RUN}"

    def note(self, attributes: Mapping[str, Any]) -> None:
        """Attributes of the results that are known at the end only."""
        self._group.attrs.update(attributes)

    def unfinished(self) -> None:
        """Nothing is kept in memory."""

    def finish(self) -> Any:
        """Give the store its name, and open it without loading it.

        Raises:
            OSError: if another process writes the store.
        """
        import xarray

        self._lock.check()
        os.replace(self._partial, self._path)
        found = xarray.open_zarr(self._path, chunks=None, consolidated=False)
        changed = {other: name for name, other in self._names.items() if other != name}
        known = {*found.variables, *found.dims}
        return found.rename({k: name for k, name in changed.items() if k in known})

    def _create(self, results: Mapping[str, np.ndarray]) -> Any:
        import zarr
        from zarr.codecs import ZstdCodec

        empty = for_files(self.labels.dataset({}), self._names)
        empty.to_zarr(self._partial, mode="w", zarr_format=3, consolidated=False)
        group = zarr.open_group(self._partial, mode="r+", zarr_format=3)
        for name, values in results.items():
            extra, stored = values.shape[1:], self._names[name]
            group.create_array(
                stored,
                shape=(*self.labels.shape, *extra),
                chunks=(self._rows, *self.labels.shape[1:], *extra),
                dtype=values.dtype,
                fill_value=self.labels.fill(name, values.dtype),
                compressors=[ZstdCodec(level=3, checksum=True)],  # a flipped bit is an error
                dimension_names=[self._names[dim] for dim in self.labels.dims_of(name)],
                attributes=self.labels.meanings.get(name, {}) | called(name, stored),
            )
        return group


def open_sink(store: FilePath | None, labels: Labels, points: int) -> Any:
    """Where a sweep's results go, by the ending of `store`; memory for None.

    Raises:
        ValueError: for another ending than `.zarr` or `.nc`.
        OSError: if the place can't be written, or another process writes there.
    """
    if store is None:
        return MemorySink(labels)
    check_path(store, "store")
    path = Path(store)
    if path.suffix == ".zarr":
        return ZarrSink(path, labels, points)
    if path.suffix == ".nc":
        return NetcdfSink(path, labels)
    raise ValueError(f"store: expected a name ending in .zarr or .nc, got {str(store)!r}")


def _claimed(*paths: Path) -> Lock:
    """The right to write the first of these places, where there is nothing yet.

    Raises:
        FileExistsError: if there is something, or another process writes there.
    """
    lock = Lock(paths[0])
    try:
        for path in paths:
            _refuse_existing(path)
    except FileExistsError:
        lock.release()
        raise
    return lock


def _refuse_existing(path: Path) -> None:
    if path.exists():
        why = "holds an interrupted sweep" if path.suffix == ".partial" else "exists already"
        raise FileExistsError(
            f"{path} {why}: choose another name, or delete it if it is not needed"
        )


def write_netcdf(dataset: Expected["xarray.Dataset"], path: FilePath) -> None:
    """Write a dataset to one NetCDF-4 file, whole or not at all.

    Names that files can't bear are spelled differently there, see `names_in_files`.

    Raises:
        OSError: if the place can't be written.
    """
    with replacing(Path(path)) as partial:
        for_files(dataset).to_netcdf(partial, engine="h5netcdf")
