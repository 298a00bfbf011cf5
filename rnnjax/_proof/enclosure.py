"""What a vector field and its derivatives can be on a box of states, as bounds that surely hold.

The field's program is read as JAX writes it down (`jax.make_jaxpr`) and never changed: each of its
operations is carried out on intervals, together with its derivatives by the state (forward
automatic differentiation). Where an operation has a kink its derivative is the interval of all
slopes, so that f(x) - f(y) lies in slope (x - y) for all x, y of the box.
"""

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Bool

from rnnjax._proof.interval_rules import FUNCTIONS, RULES, Enclosed
from rnnjax._proof.intervals import Interval, point
from rnnjax._types import Arrays, NDArray, Numbers, Shaped

_PROGRAMS = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # parameters that hold the program of a call
_CALLS = {
    "jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr", "remat", "remat2", "checkpoint",
}  # fmt: skip


PlanT = TypeVar("PlanT")


class Bounds(NamedTuple):
    """What is known of a field on boxes.

    Attributes:
        value: `(box, n)`.
        slope: `(box, n, n)`, or None where it was not asked for.
        jumps: `(box,)`, whether the field may be discontinuous there, and the slope mean nothing.
    """

    value: Interval
    slope: Interval | None
    jumps: np.ndarray


class Enclosure:
    """A vector field that can be asked about boxes of states.

    Args:
        field: f(parameters, x) on vectors `(n,)`.
        parameters: its arrays, taken as the float64 numbers that they are.
        size: n.
    """

    def __init__(self, field: Callable[[Any, Any], Any], parameters: Arrays, size: int):
        with jax.enable_x64(True):
            self.program = jax.make_jaxpr(field)(parameters, np.zeros(size))
        self.parameters = [_constant(x) for x in jax.tree.leaves(parameters)]
        self.size = size
        self.plans: dict[int, Any] = {}

    def __call__(self, box: Interval, slopes: bool = True) -> Bounds:
        """The bounds on boxes `(box, n)`.

        Raises:
            NotImplementedError: for an operation that has no bounds.
        """
        count = len(box.low)
        unit = np.broadcast_to(np.eye(self.size), (count, self.size, self.size))
        given = list(self.parameters)
        given.append(Enclosed(box, point(unit) if slopes else None))
        run = _Run(self.plans, np.zeros(count, bool))
        with np.errstate(all="ignore"), jax.enable_x64(True):
            (found,) = run.read(self.program.jaxpr, self.program.consts, given)
        value = Interval(*(np.broadcast_to(x, (count, self.size)) for x in found.value))
        slope = found.slope or point(np.zeros(unit.shape))
        slope = Interval(*(np.broadcast_to(x, unit.shape) for x in slope)) if slopes else None
        return Bounds(value, slope, run.jumps)


class _Run:
    """One reading of a program on a batch of boxes."""

    def __init__(self, plans: dict[int, Any], jumps: np.ndarray):
        self.plans = plans  # what was worked out of an operation before, by its identity
        self.jumps = jumps

    def read(
        self, program: Jaxpr, constants: Sequence[NDArray], given: list[Enclosed]
    ) -> list[Enclosed]:
        """The results of a program."""
        held = [_constant(x) for x in constants]
        known = dict(zip([*program.constvars, *program.invars], [*held, *given], strict=True))
        for equation in program.eqns:
            results = self.apply(equation, [_look(known, atom) for atom in equation.invars])
            known.update(zip(equation.outvars, results, strict=True))
        return [_look(known, atom) for atom in program.outvars]

    def apply(self, equation: JaxprEqn, operands: list[Enclosed]) -> list[Enclosed]:
        """The results of one operation."""
        name, inner = equation.primitive.name, _program_of(equation)
        if inner is None and all(_is_exact(x) for x in operands):
            return _exactly(equation, operands)
        if inner is not None and name in _CALLS:
            known = self.plan(equation, _known)
            if known is not None:
                return [known(self, *operands)]
            return self.read(getattr(inner, "jaxpr", inner), getattr(inner, "consts", []), operands)
        if name in RULES:
            return [RULES[name](self, equation, *operands)]
        if name in MOVES or name in MOVABLE:
            return self.move(equation, operands)
        raise _unbounded(name, "there are no bounds for it")

    def plan(self, equation: JaxprEqn, make: Callable[..., PlanT], *args: Any) -> PlanT:
        """What `make` gives for an operation, worked out once."""
        if id(equation) not in self.plans:
            self.plans[id(equation)] = equation, make(equation, *args)
        return self.plans[id(equation)][1]

    def move(self, equation: JaxprEqn, operands: list[Enclosed]) -> list[Enclosed]:
        """An operation that only moves elements, by what it does to their numbers."""
        places = MOVABLE.get(equation.primitive.name, range(len(operands)))
        movable = [operands[k] for k in places]
        sources = self.plan(equation, _sources, operands, places)
        value = _side_by_side([x.value for x in movable], 0)
        size = next((x.slope.low.shape[-1] for x in movable if x.slope is not None), None)
        if size is None:
            return [Enclosed(Interval(*(x[:, at] for x in value))) for at in sources]
        zero = [point(np.zeros((1, *x.value.low.shape[1:], size))) for x in movable]
        slope = _side_by_side([x.slope or z for x, z in zip(movable, zero, strict=True)], 1)
        return [
            Enclosed(Interval(*(x[:, at] for x in value)), Interval(*(x[:, at] for x in slope)))
            for at in sources
        ]

    def jump(self, where: Bool[np.ndarray, "box *shape"]) -> None:
        """Remember the boxes on which the program may jump."""
        self.jumps = self.jumps | where.any(tuple(range(1, where.ndim)))


def _constant(x: Numbers) -> Enclosed:
    return Enclosed(point(np.asarray(x)[None]))


def _look(known: dict[Any, Enclosed], atom: Literal | Var) -> Enclosed:
    return _constant(atom.val) if isinstance(atom, Literal) else known[atom]


def _unbounded(name: str, why: str) -> NotImplementedError:
    return NotImplementedError(
        f"enumerate_equilibria: the vector field uses the operation `{name}`, and {why}. Write "
        "the field with other operations, or use find_equilibria with many guesses, which proves "
        "nothing"
    )


def _program_of(equation: JaxprEqn) -> Any:
    return next((equation.params[k] for k in _PROGRAMS if k in equation.params), None)


def _is_exact(x: Enclosed) -> bool:
    """Whether it is whole numbers or truth values that are known, for all boxes alike."""
    low, high = x.value
    whole = not np.issubdtype(low.dtype, np.floating)
    return whole and len(low) == 1 and (low is high or np.array_equal(low, high))


def _exactly(equation: JaxprEqn, operands: list[Enclosed]) -> list[Enclosed]:
    """What does not depend on the state and is no rounded number, by JAX itself."""
    found = _bind(equation, [x.value.low[0] for x in operands])
    return [_constant(x) for x in found]


def _bind(equation: JaxprEqn, arrays: list[Any]) -> list[np.ndarray]:
    found = equation.primitive.bind(*(jnp.asarray(x) for x in arrays), **equation.params)
    return [np.asarray(x) for x in (found if equation.primitive.multiple_results else [found])]


def _side_by_side(parts: list[Interval], tail: int) -> Interval:
    """The elements of several arrays, `(box, element, ...)`, with the last `tail` axes as they are."""
    many = max(len(x.low) for x in parts)
    sides = [[_in_rows(x, many, tail) for x in side] for side in zip(*parts, strict=True)]
    return Interval(*(np.concatenate(s, 1) if len(s) > 1 else s[0] for s in sides))


def _in_rows(x: Shaped[np.ndarray, "..."], many: int, tail: int) -> Any:
    middle, kept = x.shape[1 : x.ndim - tail], x.shape[x.ndim - tail :]
    return np.broadcast_to(x, (many, *x.shape[1:])).reshape(many, math.prod(middle), *kept)


def _sources(
    equation: JaxprEqn, operands: list[Enclosed], places: Collection[int]
) -> list[np.ndarray]:
    """For each result, from which of the operands' elements each of its elements comes."""
    name = equation.primitive.name
    arrays, first = [x.value.low[0] for x in operands], 0
    if not all(_is_exact(x) for k, x in enumerate(operands) if k not in places):
        raise _unbounded(name, "it moves elements to where the state says")
    for k in places:
        size = arrays[k].size
        arrays[k] = np.arange(first, first + size).reshape(arrays[k].shape)
        first += size
    if name in MOVES:
        return [np.asarray(x) for x in MOVES[name](equation.params, *arrays)]
    found = _bind(equation, arrays)
    # other numbers, moved in the same way: what does not change with them is none of them
    others = _bind(equation, [x + first * (k in places) for k, x in enumerate(arrays)])
    if any((x + first != y).any() for x, y in zip(found, others, strict=True)):
        raise _unbounded(name, "it reaches beyond its array there")
    return found


def _known(equation: JaxprEqn) -> Any:
    """The bounds of a whole function, where the program calls exactly that function."""
    label = equation.params.get("name", equation.primitive.name)
    function, rule = FUNCTIONS.get(label, (None, None))
    if function is None:
        return None
    avals: list[Any] = [x.aval for x in equation.invars]
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in avals]
    try:
        reference = jax.make_jaxpr(function)(*shapes)
    except (TypeError, ValueError):  # another function, which takes other arrays
        return None
    return rule if any(_text(x) == _text(equation) for x in _calls(reference.jaxpr)) else None


def _calls(program: Jaxpr) -> Any:
    """All calls of functions within a program."""
    inner = [(x, _program_of(x)) for x in program.eqns]
    calls = [(x, each) for x, each in inner if each is not None]
    return itertools.chain(
        (x for x, _ in calls), *(_calls(getattr(each, "jaxpr", each)) for _, each in calls)
    )


def _text(equation: JaxprEqn) -> str:
    return f"{equation.primitive.name} {_program_of(equation)}"


def _spread(params: Mapping[str, Any], x: np.ndarray) -> list[np.ndarray]:
    shape, axes = params["shape"], params["broadcast_dimensions"]
    thin = [x.shape[axes.index(k)] if k in axes else 1 for k in range(len(shape))]
    return [np.broadcast_to(x.reshape(thin), shape)]


def _sliced(params: Mapping[str, Any], x: np.ndarray) -> list[np.ndarray]:
    starts, stops = params["start_indices"], params["limit_indices"]
    steps = params["strides"] or (1,) * x.ndim
    return [x[tuple(slice(a, b, c) for a, b, c in zip(starts, stops, steps, strict=True))]]


# Operations that move elements: what they do to an array of numbers ...
MOVES: dict[str, Any] = {
    "reshape": lambda params, x: [x.reshape(params["new_sizes"])],
    "squeeze": lambda params, x: [np.squeeze(x, tuple(params["dimensions"]))],
    "broadcast_in_dim": _spread,
    "transpose": lambda params, x: [np.transpose(x, params["permutation"])],
    "stack": lambda params, *xs: [np.stack(xs, params["axis"])],
    "unstack": lambda params, x: list(np.moveaxis(x, params["axis"], 0)),
    "tile": lambda params, x: [np.tile(x, params["reps"])],
    "concatenate": lambda params, *xs: [np.concatenate(xs, params["dimension"])],
    "split": lambda params, x: np.split(x, np.cumsum(params["sizes"])[:-1], params["axis"]),
    "slice": _sliced,
    "rev": lambda params, x: [np.flip(x, params["dimensions"])],
    "copy": lambda params, x: [x],
    "copy_p": lambda params, x: [x],
    "stop_gradient": lambda params, x: [x],
    "optimization_barrier": lambda params, *xs: list(xs),
}
# ... or which operands they move, the others being whole numbers that say where
MOVABLE: dict[str, Any] = {
    "gather": (0,), "dynamic_slice": (0,), "pad": (0, 1), "dynamic_update_slice": (0, 1),
    "scatter": (0, 2),
}  # fmt: skip
