"""A fit on disk, so that it can go on after it was killed: whole or not there."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnjax._files.archive import read_archive, write_archive

_FORMAT = 2


def write(path: Path, identity: Mapping[str, Any], step: int, arrays: Sequence[Any]) -> None:
    """Put a checkpoint in the place of the one before.

    Args:
        path: the file.
        identity: what the fit is; it must be the same when it goes on.
        step: the number of the next step.
        arrays: all that it needs, in a fixed order.

    Raises:
        OSError: if the file can't be written; the one before is still there.
    """
    header = {
        "format": _FORMAT, "identity": dict(identity), "jax": jax.__version__, "step": step
    }  # fmt: skip
    write_archive(path, header, arrays)


def read(path: Path, identity: Mapping[str, Any]) -> tuple[int, list[np.ndarray], str] | None:
    """The next step's number, the arrays and the version of JAX of a checkpoint; None without one.

    Raises:
        ValueError: for a damaged file, or the checkpoint of another fit: says what differs.
    """
    if not os.path.exists(path):
        return None
    try:
        header, arrays = read_archive(path)
        step, found = int(header["step"]), dict(header["identity"])
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is no checkpoint of a fit, or it is damaged ({error}): delete it to begin anew"
        ) from None
    if header.get("format") != _FORMAT:
        raise ValueError(
            f"{path} was written by another version of rnnjax: expected format {_FORMAT}, got "
            f"{header.get('format')}: give another path to begin anew"
        )
    differing = [k for k in identity if found.get(k) != identity[k]]
    if differing:
        what = "; ".join(f"{k}: {found.get(k)!r} there, {identity[k]!r} here" for k in differing)
        raise ValueError(
            f"{path} is the checkpoint of another fit ({what}): give the same arguments to go on, "
            "or another path to begin anew"
        )
    return step, arrays, str(header.get("jax"))
