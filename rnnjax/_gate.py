"""What comes in is looked at once, where it enters: it arrives whole and stays as it was, or is refused.

Numbers become float64 arrays of our own that nobody can write to, so that a buffer may be reused by
whoever gave it. Nothing is lost in silence: not a mask, an imaginary part, a unit or a digit.
"""

import datetime
import numbers
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._types import ArrayLike, Arrays, Expected, Numbers, T, is_key, is_traced

MadeT = TypeVar("MadeT")
Given: TypeAlias = Expected[ArrayLike | Sequence[Any] | None]  # what is looked at here

_WHOLE = 2**53  # up to here float64 holds every whole number
# A duration of one unit is so many ms, divided by so many.
_MILLISECONDS = {
    "W": (604_800_000, 1), "D": (86_400_000, 1), "h": (3_600_000, 1), "m": (60_000, 1),
    "s": (1000, 1), "ms": (1, 1), "us": (1, 10**3), "ns": (1, 10**6), "ps": (1, 10**9),
    "fs": (1, 10**12), "as": (1, 10**15),
}  # fmt: skip
_PLAIN = np.ma.MaskedArray, np.memmap, np.matrix  # kinds of array that have no unit of their own


def own_numbers(value: Given, name: str, unit: str | None = "1", gaps: str = "") -> Any:
    """Numbers as a float64 array of our own, which can't be written to.

    What a JAX transformation passes through is left alone, as are shapes without numbers.

    Args:
        value: a number, an array of any kind, or lists of numbers.
        name: of the argument or field, for messages.
        unit: what one means. Durations (`timedelta64`) are converted to "ms" and refused elsewhere.
        gaps: what to do about masked numbers, for the message.

    Raises:
        TypeError: for what are no real numbers: words, objects, complex numbers, dates.
        ValueError: for gaps, rows of different lengths, or numbers that float64 does not hold.
    """
    if type(value) is float or (type(value) is np.ndarray and value.dtype == np.float64):
        found = np.array(value, np.float64)
        found.setflags(write=False)
        return found
    if is_traced(value):
        return jnp.asarray(value) if isinstance(value, list | tuple) else value
    if isinstance(value, jax.ShapeDtypeStruct):
        return value
    value = _by_numpy(value)
    check_whole(value, name, gaps)
    _check_unit(value, name, unit)
    array = _as_array(value, name, unit)
    kind = array.dtype.kind
    if kind == "m":
        found = _milliseconds(array, name, unit)
    elif kind == "c":
        raise TypeError(
            f"{name}: expected real numbers, got complex ones ({_first(array)}): give their real "
            "part, x.real, or two numbers each"
        )
    elif kind == "b" or jnp.issubdtype(array.dtype, jnp.floating) or kind in "iu":
        found = _exactly(array, name)
    else:
        raise _no_number(value if array.ndim == 0 else array, name, unit)
    found.setflags(write=False)
    return found


def own_structure(
    value: Expected[Arrays], name: str, unit: str | None = "1", *, tuples: bool = False
) -> Any:
    """A structure of numbers, each part as by `own_numbers`; a list is an array.

    Args:
        value: one array, or several in a structure such as a `NamedTuple`.
        name: of the argument or field, for messages.
        unit: what one means.
        tuples: whether a plain tuple is an array as well, not a structure.
    """
    if value is None:
        raise _no_number(value, name, unit)

    def is_array(x: Any) -> bool:
        return isinstance(x, list) or (tuples and type(x) is tuple)

    def part(path: tuple[Any, ...], x: Any) -> Any:
        inner = jax.tree_util.keystr(path, simple=True, separator=".")
        return own_numbers(x, f"{name}.{inner}" if inner else name, unit)

    return jax.tree_util.tree_map_with_path(part, value, is_leaf=is_array)


def one_number(
    value: Expected[Numbers], name: str, unit: str = "1", *, finite: bool = True
) -> float:
    """One number, finite unless said otherwise, or an error that names it.

    Raises:
        TypeError, ValueError: as for `own_numbers`, for more than one number, or none.
    """
    if is_traced(value):
        raise ValueError(f"{name}: expected a number that is known outside of jit and vmap")
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected a number{suffix(unit)}, got {value}")
    found = own_numbers(value, name, unit)
    if found.shape != ():
        raise ValueError(f"{name}: expected one number{suffix(unit)}, got shape {found.shape}")
    if finite:
        check_finite(found, name)
    return float(found)


def instant(time: Expected[Numbers], name: str = "time") -> Any:
    """A time in ms, in float64; traced ones are left alone."""
    return time if is_traced(time) else np.float64(one_number(time, name, "ms"))


def own_truths(value: Given, name: str) -> Any:
    """Truth values, or the numbers 0 and 1, as an array of our own.

    Raises:
        TypeError: for anything that is neither.
        ValueError: for other numbers, or gaps.
    """
    if is_traced(value):
        return value
    wanted = f"{name}: expected truth values (True, False; or 1, 0)"
    if isinstance(value, list | tuple) and not all(_is_truth(x) for x in _inside(value)):
        odd = next(x for x in _inside(value) if not _is_truth(x))
        error = ValueError if isinstance(odd, numbers.Real) else TypeError
        raise error(f"{wanted}, got {odd!r}: say whether, e.g. x == 'e'")
    check_whole(value, name)
    array = _as_array(value, name, None)
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        error = ValueError if array.dtype.kind in "iuf" else TypeError
        odd = array[~np.isin(array, (0, 1))] if error is ValueError else array
        raise error(f"{wanted}, got {_first(odd)}: say whether, e.g. x > 0")
    found = np.array(array, bool)
    found.setflags(write=False)
    return found


def check_whole(value: Given, name: str, gaps: str = "") -> None:
    """Refuse masked arrays with anything masked, inside of lists as well.

    Raises:
        ValueError: says how many, where the first is, and what to do.
    """
    for each in _masked(value):
        mask = np.ma.getmaskarray(each)
        if mask.any():
            first = [int(k) for k in np.argwhere(mask)[0]]
            todo = gaps or "fill them in (x.filled(value), np.interp) or leave them out"
            raise ValueError(
                f"{name}: expected numbers without gaps, got {int(mask.sum())} of {mask.size} masked, "
                f"the first at {first}: {todo}"
            )


def check_finite(array: Expected[Numbers], name: str) -> None:
    """Refuse NaN and infinities; what is traced can't be looked at.

    Raises:
        ValueError: with the first, and its place.
    """
    if is_traced(array) or isinstance(array, jax.ShapeDtypeStruct):
        return
    values = np.asarray(array)
    bad = np.asarray(~np.isfinite(values))
    if bad.any():
        raise ValueError(
            f"{name}: expected finite numbers, got {values[bad].flat[0]}{place(bad)}: check where "
            "the value comes from"
        )


def lost(array: Expected[Numbers], dtype: np.dtype, each: bool) -> str:
    """What a narrower dtype would lose, in words; nothing if it holds the numbers.

    A number too large counts always. One too small counts where `each` number does; else only if it
    leaves nothing of the array: a far tail that becomes 0 beside larger numbers is rounding.
    """
    values, limits = np.asarray(array), np.finfo(dtype)
    least, most = float(limits.smallest_normal), float(limits.max)
    size = abs(float(values)) if values.ndim == 0 else np.abs(values)
    if np.all((size == 0) | ((size >= least) & (size <= most))):
        return ""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        size = np.abs(np.asarray(values, np.float64))
        over = np.isfinite(size) & ~np.isfinite(size.astype(dtype))
        # smaller ones than the normal numbers are 0 on most devices
        under = (size > 0) & (size < limits.smallest_normal)
    todo = "give dtype='float64', or another unit"
    if over.any():
        return (
            f"expected numbers that {dtype} holds, up to {limits.max:.2g}, got "
            f"{values[over].flat[0]:g}{place(over)}: {todo}"
        )
    if under.any() and (each or not (size >= limits.smallest_normal).any()):
        return (
            f"expected 0, or numbers that {dtype} holds, from {limits.smallest_normal:.2g}, got "
            f"{values[under].flat[0]:g}{place(under)}, which would become 0: {todo}"
        )
    return ""


def check_gave(result: T, name: str, wanted: str = "a value") -> T:
    """What a function gave, refused where it is nothing.

    Raises:
        TypeError: names the function.
    """
    if not jax.tree.leaves(result):
        raise TypeError(
            f"{name}: expected a function that returns {wanted}, got one that returns {result!r}: "
            "end it with return"
        )
    return result


def check_made(value: MadeT, name: str) -> MadeT:
    """A part, refused where it is the class of one.

    Raises:
        TypeError: says how to make one.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name}: expected an object, got the class {value.__name__}: call it, "
            f"{value.__name__}()"
        )
    return value


def suffix(unit: str | None) -> str:
    """A unit as it follows a number."""
    return "" if unit in ("1", None) else f" {unit}"


def place(bad: np.ndarray) -> str:
    """Where the first of what is bad is, and how many more there are."""
    if bad.ndim == 0:
        return ""
    index = [int(k) for k in np.argwhere(bad)[0]]
    return f" at {index}" + (f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else "")


def _inside(value: Any) -> Iterator[Any]:
    """What nested lists and tuples hold."""
    for each in value:
        if isinstance(each, list | tuple):
            yield from _inside(each)
        else:
            yield each


def _masked(value: Any) -> Iterator[np.ma.MaskedArray]:
    if isinstance(value, list | tuple):
        yield from (x for x in _inside(value) if isinstance(x, np.ma.MaskedArray))
    elif isinstance(value, np.ma.MaskedArray):
        yield value


def _is_truth(x: Any) -> bool:
    """Whether it is one truth value, or an array, which is looked at as a whole."""
    if isinstance(x, np.ndarray | jax.Array):
        return True
    return isinstance(x, bool | np.bool_ | numbers.Real) and x in (0, 1)


def _by_numpy(value: Any) -> Any:
    """Of pandas what NumPy has no dtype for: NaN where a number is missing."""
    kind = getattr(value, "dtype", None)
    if type(value).__module__.partition(".")[0] != "pandas" or isinstance(kind, np.dtype | None):
        return value
    if getattr(kind, "kind", "O") not in "biuf":
        return value.to_numpy(object)
    missing = {"dtype": np.float64, "na_value": np.nan} if value.isna().any() else {}
    return value.to_numpy(**missing)


def _check_unit(value: Any, name: str, unit: str | None) -> None:
    """Refuse numbers that bring a unit of their own, unless it is the one wanted."""
    if isinstance(value, jax.Array | np.generic | numbers.Number | list | tuple):
        return
    own = getattr(value, "units", getattr(value, "unit", None))
    subclass = isinstance(value, np.ndarray) and not isinstance(value, _PLAIN)
    if (own is not None and str(own) != unit) or (
        own is None and subclass and type(value) is not np.ndarray
    ):
        what = type(value).__name__ + ("" if own is None else f" in {own}")
        raise TypeError(
            f"{name}: expected plain numbers{suffix(unit)}, got {what}: convert and take off the unit"
        )


def _as_array(value: Any, name: str, unit: str | None) -> np.ndarray:
    """Whatever it is, as an array of some dtype."""
    if value is None or isinstance(value, str | bytes | bytearray) or is_key(value):
        raise _no_number(value, name, unit)
    if isinstance(value, numbers.Real) and not isinstance(value, np.generic | bool | float):
        return _one_real(value, name)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        if isinstance(value, list | tuple) and "inhomogeneous" in str(error):
            raise ValueError(
                f"{name}: expected numbers in rows of one length, got rows of different lengths: "
                "give an array"
            ) from None
        raise _no_number(value, name, unit) from None
    if array.dtype == object and array.size:
        if all(isinstance(x, datetime.timedelta) for x in array.flat):
            return array.astype("timedelta64[us]")
        raise _no_number(value if array.ndim == 0 else array, name, unit)
    return array


def _one_real(value: numbers.Real, name: str) -> np.ndarray:
    """A number of Python: whole ones of any length, and fractions."""
    try:
        found = float(value)
    except OverflowError:
        found = np.inf
    if isinstance(value, numbers.Integral) and (found == np.inf or int(found) != int(value)):
        raise _too_long(value, name)
    return np.asarray(found)


def _exactly(array: np.ndarray, name: str) -> np.ndarray:
    """A copy in float64, refused where that holds less."""
    with np.errstate(over="ignore"):
        found = np.array(array, np.float64)
    if array.dtype.kind in "iu":
        large = abs(found) >= _WHOLE
        for x in array[large].flat:
            if int(float(x)) != int(x):
                raise _too_long(x, name)
    elif array.dtype.itemsize > found.dtype.itemsize:
        far = (np.isfinite(array) & ~np.isfinite(found)) | ((array != 0) & (found == 0))
        if far.any():
            raise _too_long(array[far].flat[0], name)
    return found


def _milliseconds(array: np.ndarray, name: str, unit: str | None) -> np.ndarray:
    """Durations in ms, each rounded once."""
    of, count = np.datetime_data(array.dtype)
    if unit != "ms" or of not in _MILLISECONDS:
        raise TypeError(
            f"{name}: expected plain numbers{suffix(unit)}, got durations ({array.dtype}): give e.g. "
            "x / np.timedelta64(1, 'ms')"
        )
    if np.isnat(array).any():
        raise ValueError(f"{name}: expected durations without gaps, got NaT")
    times, per = _MILLISECONDS[of]
    whole, times = array.astype(np.int64), times * count
    if (abs(whole) > _WHOLE // times).any():
        raise _too_long(array[abs(whole) > _WHOLE // times].flat[0], name)
    return np.asarray(whole * times / per, np.float64)


def _first(array: np.ndarray) -> str:
    return str(array.flat[0]) if array.size else f"an empty array of {array.dtype}"


def _too_long(value: Any, name: str) -> ValueError:
    return ValueError(
        f"{name}: expected numbers that float64 holds, got {str(value)[:40]}: round it, or give it in "
        "another unit"
    )


def _no_number(value: Any, name: str, unit: str | None) -> TypeError:
    if isinstance(value, type) or not isinstance(value, np.ndarray):
        what = repr(value)
        what = what if len(what) <= 60 else type(value).__name__
    else:
        odd = (x for x in value.flat if not isinstance(x, numbers.Real))
        what = f"an array of {value.dtype} with {next(odd, None)!r}"
    return TypeError(f"{name}: expected a number{suffix(unit)}, or an array of them, got {what}")
