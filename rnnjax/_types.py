"""Types of arrays and of structures of arrays, and what a leaf of one is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Complex, Float, Int, PRNGKeyArray, PyTree, Shaped

T = TypeVar("T")

if TYPE_CHECKING:
    # To a type checker, numbers that do arithmetic with each other.
    Scalar: TypeAlias = Array | np.ndarray | float
    Vector: TypeAlias = Array | np.ndarray
    PerUnit: TypeAlias = Array | np.ndarray | float
    Matrix: TypeAlias = Array | np.ndarray
    Numbers: TypeAlias = Array | np.ndarray | float
    Expected: TypeAlias = Annotated[T, "refused in words"]
    AnyArray: TypeAlias = Any
else:
    Scalar = Float[ArrayLike, ""]  # one real number: a parameter, a state variable, a time
    Vector = Float[ArrayLike, " n"]  # one number per unit
    PerUnit = Float[ArrayLike, "..."]  # one number for all units, or one per unit
    Matrix = Float[ArrayLike, "post pre"]  # weights, the receiving unit first
    Numbers = Shaped[ArrayLike, "..."]
    AnyArray = Array | np.ndarray | np.generic  # of what runs in a program and on the host alike

    class Expected:
        """What an argument should be, where the function itself refuses other things in words."""

        def __class_getitem__(cls, wanted: Any) -> Any:
            """Anything at run time, so that those words are heard."""
            return Any


# Structures of arrays; a type checker takes them for anything, the tests look at every leaf.
State = PyTree[Float[ArrayLike, "..."]]  # of a circuit: an array, or a `NamedTuple` of arrays
Input = PyTree[Float[ArrayLike, "..."]]  # the value of a circuit's input at one time
Arrays = PyTree[Shaped[ArrayLike, "..."]]  # whatever arrays: parameters, results
Shapes = PyTree[Shaped[ArrayLike, "..."] | jax.ShapeDtypeStruct]  # arrays, or their shapes alone
InputLike: TypeAlias = Callable[[Scalar], Input] | Input  # a function of time (ms), or held
StartLike: TypeAlias = Callable[..., State] | State  # a state, or one made from the circuit
Unravel: TypeAlias = Callable[[Array], State]  # from a vector to a state
Limits: TypeAlias = tuple[float, float]  # the lowest and the highest value of a number
Where: TypeAlias = Callable[[T], Arrays]  # names arrays of what it is given: `lambda c: c.tau`
Function: TypeAlias = Callable[[Array], Array]  # of one vector

NDArray: TypeAlias = Array | np.ndarray  # of a result: on a device, or on the host
Value: TypeAlias = Array | np.ndarray | np.number | float | int  # the same, or one number
Key = PRNGKeyArray
DTypeLike: TypeAlias = str | type | np.dtype  # float32 or float64, by name or as a type

__all__ = ["Array", "ArrayLike", "Bool", "Complex", "Float", "Int", "PyTree", "Shaped"]


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is a value inside a JAX transformation, which the host can't look at."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def numpy_of(*trees: Any) -> Any:
    """NumPy, or `jax.numpy` where a value is traced: for what is the same on the host."""
    return jnp if is_traced(*trees) else np


def as_given(tree: T) -> T:
    """The same numbers, without a gradient."""
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)


def lane_of(batch: T, k: Expected[int]) -> T:
    """One lane of a batch, whose axis is in front of every array."""
    return jax.tree.map(
        lambda x: x[k] if eqx.is_array(x) or isinstance(x, np.ndarray) else x, batch
    )


def is_key(leaf: Expected[ArrayLike]) -> bool:
    """Whether it is a random key, or an array of them."""
    return jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key)


def numbers_of(leaf: Shaped[Any, "..."]) -> np.ndarray:
    """The numbers of an array, also of random keys."""
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)


def like(numbers: np.ndarray, leaf: Shaped[Any, "..."]) -> jax.Array:
    """Numbers as what they were: an array, or random keys."""
    if not is_key(leaf):
        return jnp.asarray(numbers)
    return jax.random.wrap_key_data(jnp.asarray(numbers), impl=jax.random.key_impl(leaf))
