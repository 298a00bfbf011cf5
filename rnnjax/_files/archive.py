"""A JSON header and NumPy arrays in one file: whole or not there, checksummed, and no code."""

import contextlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from rnnjax._files.lock import Lock
from rnnjax._types import Expected

FilePath: TypeAlias = str | os.PathLike[str]

_DAMAGED = ValueError, EOFError, NotImplementedError, RuntimeError, zlib.error


def check_path(path: Expected[FilePath], name: str = "path") -> None:
    """Refuse what is no name of a file.

    Raises:
        TypeError: says what it is.
    """
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise TypeError(f"{name}: expected the name of a file, got {path!r}")


def write_archive(path: FilePath, header: Mapping[str, Any], arrays: Sequence[Any]) -> None:
    """Put a zip of the header and the arrays in the place of what was there.

    Raises:
        OSError: if it can't be written; what was there is still there.
    """
    with replacing(Path(path)) as partial, zipfile.ZipFile(partial, "w") as file:
        known = {**header, "arrays": len(arrays)}
        file.writestr("header.json", json.dumps(known, indent=1))
        for k, array in enumerate(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
            file.writestr(f"{k}.npy", buffer.getvalue())


def read_archive(path: FilePath) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The header and the arrays. No code from the file is run.

    Raises:
        ValueError: with the reason, for a file that is none, or damaged.
        OSError: if there is no such file.
    """
    try:
        with zipfile.ZipFile(path) as file:
            header = json.loads(file.read("header.json"))
            parts = (io.BytesIO(file.read(f"{k}.npy")) for k in range(header["arrays"]))
            return header, [np.lib.format.read_array(p, allow_pickle=False) for p in parts]
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, *_DAMAGED) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well.

    Raises:
        OSError: if it can't be written, or another process does so.
    """
    check_writable(path)
    partial = path.with_name(path.name + ".partial")
    lock = Lock(partial)
    try:
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
        lock.release()


def check_writable(path: Path) -> None:
    """Refuse a place that can't be written, before anything is computed.

    Raises:
        OSError: says which folder and why.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"can't write to {folder}: {error.strerror or error}; choose a folder that exists "
            "and is yours"
        ) from None
