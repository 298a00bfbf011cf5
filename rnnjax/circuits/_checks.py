"""What verbs check of a circuit, its state and its input before anything compiles."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from rnnjax._gate import check_finite, check_gave, check_made, instant, own_structure
from rnnjax._machine.tracing import check_takes, shapes_of, told
from rnnjax._parameter import Parametric, check, parameter_fields
from rnnjax._precision import by_shapes, cast, default_dtype, to_host
from rnnjax._types import (
    Arrays,
    Expected,
    Function,
    InputLike,
    Key,
    Shapes,
    StartLike,
    State,
    is_traced,
)
from rnnjax.circuits._base import AbstractCircuit, AbstractMap, AbstractSystem, Driven
from rnnjax.circuits._structure import arranged, check_no_module, rest_of
from rnnjax.inputs._base import AbstractInput
from rnnjax.inputs.constant import Constant
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Iteration
from rnnjax.solvers._checks import positive


def time_constants(circuit: AbstractSystem[Any]) -> dict[str, float]:
    """The smallest value of each concrete time constant (ms): parameters named `tau...`."""
    return {
        field.path: float(np.min(np.asarray(field.value)))
        for field in parameter_fields(circuit)
        if field.unit == "ms" and field.path.rpartition(".")[2].startswith("tau")
        and not is_traced(field.value)
    }  # fmt: skip


def check_step(
    circuit: AbstractSystem[Any], step: float | None, input: Expected[InputLike | None] = None
) -> None:
    """Refuse a step longer than the fastest time constant, or half a cycle of the input."""
    if step is None or isinstance(circuit, AbstractMap):
        return
    if isinstance(input, AbstractInput) and not is_traced(input):
        cycle = float(np.min(input.shortest_cycle()))
        if 2 * step > cycle * (1 + 1e-12):
            raise ValueError(
                f"step: expected at most half a cycle of the input, {cycle / 2:g} ms at "
                f"{1000 / cycle:g} Hz, got {step:g} ms: such steps can't tell it from a slower one; "
                "take a tenth of a cycle or less"
            )
    constants = time_constants(circuit)
    if constants:
        name, fastest = min(constants.items(), key=lambda item: item[1])
        if step > fastest:
            raise ValueError(
                f"step: expected at most the fastest time constant, {name} = {fastest:g} ms, got "
                f"{step:g} ms: take a tenth of it or less"
            )


def as_input(
    circuit: AbstractSystem[Any], input: Expected[InputLike | None]
) -> Callable[[Any], Any]:
    """The input as a function of time: none, a constant, or a function already."""
    if input is None:
        return Constant(circuit.no_input())
    return input if callable(input) else Constant(arranged(input, circuit.no_input()))


def held_input(circuit: AbstractSystem[Any], input: Expected[InputLike | None], time: float) -> Any:
    """The input at one time, in float64, on the host."""
    with jax.enable_x64(True):
        return to_host(cast(as_input(circuit, input), np.float64)(instant(time)))


def apart(
    circuit: Expected[AbstractSystem[Any] | Driven], input: Expected[InputLike | None]
) -> tuple[Any, Any]:
    """The circuit and its input, of a circuit alone or of a `Driven` pair.

    Raises:
        ValueError: for an input beside that of a pair.
    """
    if not isinstance(circuit, Driven):
        return circuit, input
    if input is not None:
        raise ValueError("input: the Driven pair has one already; give it there")
    return circuit.circuit, circuit.input


def iterated(
    circuit: Expected[AbstractSystem[Any]], solver: Any, step: Expected[float | None]
) -> tuple[Any, Any]:
    """The solver and the step of a run: those that were given, or the iteration of a map.

    Raises:
        ValueError: for a solver or another step than 1 with a map.
    """
    if not isinstance(circuit, AbstractMap):
        return solver, None if step is None else positive(step, "step", "ms")
    if solver is not None or step not in (None, 1):
        raise ValueError(
            f"{type(circuit).__name__} is a map, which is iterated: leave out solver= and step="
        )
    return Iteration(), 1.0


def check_run(
    circuit: Expected[AbstractSystem[Any]],
    input: Expected[InputLike | None],
    noise: Expected[AbstractNoise | None],
    key: Expected[Key | None],
    *,
    maps: bool = False,
) -> None:
    """Refuse, on the host, what can never run.

    Args:
        circuit: a circuit, or where `maps` a map as well.
        input: its input.
        noise: its noise.
        key: the key of the noise.
        maps: whether maps are taken.

    Raises:
        TypeError: for what is no circuit, or gives no derivative in the state's structure.
        ValueError: for parameters or an input that do not fit.
    """
    if isinstance(circuit, AbstractMap) and not maps:
        raise TypeError(
            f"expected a circuit in continuous time, got the map {type(circuit).__name__}: maps are "
            "for simulate and lyapunov_exponents"
        )
    for name, part in (("circuit", circuit), ("input", input), ("noise", noise)):
        check_made(part, name)
    check_circuit(circuit)
    check(circuit)
    rest_of(circuit)
    if isinstance(input, Parametric):
        check(input)
    elif input is not None and not callable(input):
        wanted = jax.eval_shape(circuit.no_input)
        check_finite_parts(own_structure(arranged(input, wanted), "input", None), "input")
    if noise is not None and not isinstance(noise, AbstractNoise):
        raise TypeError(f"noise: expected e.g. rnnjax.noise.Additive(0.1), got {noise!r}")
    if isinstance(noise, Parametric):
        check(noise)
    if noise is not None and key is None:
        raise ValueError("noise needs key=: give one, e.g. key=jax.random.key(0)")
    if noise is None and key is not None:
        raise ValueError("key is only for noise, and there is none: give noise=, or leave out key")


def check_circuit(circuit: Expected[AbstractSystem[Any]]) -> None:
    """Refuse what is neither a circuit nor a map.

    Raises:
        TypeError: says what it is, and what to do.
    """
    check_made(circuit, "circuit")
    if isinstance(circuit, Driven):
        raise TypeError(
            "expected a circuit alone, got the pair Driven(circuit, input), which is for verbs with "
            "`where`: give its circuit, and its input as input="
        )
    if not isinstance(circuit, AbstractCircuit | AbstractMap):
        raise TypeError(
            f"expected a circuit, got {type(circuit).__name__}: subclass rnnjax.AbstractCircuit"
        )


def check_noise(noise: Expected[AbstractNoise | None], start: Arrays) -> None:
    """Refuse noise whose diffusion does not have the structure and shapes of the state."""
    if noise is None:
        return
    try:
        given = jax.eval_shape(noise, *as_default((start,)))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{type(noise).__name__}: expected strengths for {_describe(start)}; {error}"
        ) from None
    _same(f"{type(noise).__name__}(state)", given, start, noise)


def starting_state(
    circuit: AbstractSystem[Any],
    input: Expected[InputLike | None],
    start: Expected[State | None],
    name: str = "start",
) -> Any:
    """The first state; checked, with the input and the derivative by their shapes alone.

    Args:
        circuit: the circuit.
        input: its input.
        start: a state, or None for that of rest.
        name: of the argument, for messages.

    Raises:
        ValueError: if the start or the input does not have the circuit's structure, or the start is
            not finite.
        TypeError: if the derivative does not have the structure of the state.
    """
    if start is None:
        start, name = circuit.rest(), f"{type(circuit).__name__}.rest()"
        check_gave(start, name, "a state")
    rest = rest_of(circuit)
    check_no_module(start, rest, name)
    start = own_structure(arranged(start, rest), name, None)
    if not any(np.size(x) for x in jax.tree.leaves(start)):
        raise ValueError(f"{name}: expected at least one number, got none")
    _check_shapes(circuit, input, start, name)
    check_finite_parts(start, name)
    return start


def first_state(start: Expected[StartLike | None], circuit: AbstractSystem[Any]) -> Any:
    """The start, of a function that for this circuit; None for none.

    Raises:
        TypeError: if the function gives nothing.
    """
    if callable(start):
        check_no_module(start, rest_of(circuit), "start")
        check_takes("start", check_made(start, "start"), 1)
        with told("start"):
            start = check_gave(start(circuit), "start", "a state")
    if start is None:
        return None
    return own_structure(arranged(start, rest_of(circuit)), "start", None)


def given_state(
    circuit: AbstractSystem[Any], input: Expected[InputLike | None], state: Expected[State]
) -> Any:
    """A state that has to be given, checked as `starting_state` does.

    Raises:
        TypeError: for none.
    """
    if state is None:
        raise TypeError("state: expected a state of the circuit, e.g. circuit.rest(), got None")
    return starting_state(circuit, input, state, "state")


def check_observe(observe: Expected[Callable[[State], Arrays] | None], state: State) -> None:
    """Refuse a function of the state that gives nothing."""
    if observe is not None:
        seen = shapes_of("observe", check_made(observe, "observe"), as_default(state))
        check_gave(seen, "observe", "what to keep of a state")


def check_finite_parts(tree: Arrays, name: str) -> None:
    """Refuse a structure of numbers in which one is NaN or infinite, by the name of the part."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        inner = jax.tree_util.keystr(path, simple=True, separator=".")
        check_finite(leaf, f"{name}.{inner}" if inner else name)


@by_shapes
def _check_shapes(
    circuit: AbstractSystem[Any],
    input: Expected[InputLike | None],
    start: Expected[State | None],
    name: str,
) -> None:
    """Refuse a start, an input or a derivative that does not fit."""
    rest = rest_of(circuit)
    _same(name, jax.eval_shape(lambda: start), rest, circuit)
    with jax.enable_x64(True):  # times have all their digits
        time = jax.ShapeDtypeStruct((), np.float64)
        driven = cast(as_input(circuit, input), np.float64)
        given = shapes_of("input", driven, time, kind="a function of time")
    _check_real(given, "input")
    check_gave(given, "input", "the input at a time")
    wanted = jax.eval_shape(circuit.no_input)
    if not (jax.tree.structure(given) == jax.tree.structure(0) and _one_array(wanted)):
        _same("input", given, wanted, circuit, scalars=True)
    elif given.shape not in ((), wanted_shape := jax.tree.leaves(wanted)[0].shape):
        raise ValueError(
            f"input: expected one number or {wanted_shape} numbers for {type(circuit).__name__}, "
            f"got shape {given.shape}: a signal over time is rnnjax.inputs.Recording(x, sample_rate)"
        )
    call = f"{type(circuit).__name__}.__call__"
    derivative = shapes_of(call, circuit, *as_default((start, given)))
    check_gave(derivative, call, "the derivative of the state")
    _check_real(derivative, call)
    if jax.tree.structure(derivative) != jax.tree.structure(rest) or _shapes(derivative) != _shapes(
        start
    ):
        raise TypeError(
            f"{call}: expected the derivative in the structure of the "
            f"state, {_describe(rest)}, got {_describe(derivative)}"
        )


def _check_real(tree: Shapes, name: str) -> None:
    """Refuse complex numbers, of which a part would get lost."""
    if any(np.issubdtype(x.dtype, np.complexfloating) for x in jax.tree.leaves(tree)):
        raise TypeError(
            f"{name}: expected real numbers, got complex ones: give the real and the imaginary part "
            "as two"
        )


def _same(
    name: str, given: Shapes, wanted: Shapes, circuit: Parametric | Function, scalars: bool = False
) -> None:
    """Refuse another structure, or other shapes (single numbers allowed where `scalars`)."""
    shapes = _shapes(given)
    fits = jax.tree.structure(given) == jax.tree.structure(wanted) and all(
        a == b or (scalars and a == ()) for a, b in zip(shapes, _shapes(wanted), strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name}: expected {_describe(wanted)} for {type(circuit).__name__}, got "
            f"{_describe(given)}"
        )


def _shapes(tree: Shapes) -> list[tuple[int, ...]]:
    return [np.shape(x) for x in jax.tree.leaves(tree)]


def _describe(tree: Shapes) -> str:
    names = getattr(tree, "_fields", None)
    if isinstance(tree, tuple) and names is not None:
        inner = ", ".join(f"{name}: {_describe(x)}" for name, x in zip(names, tree, strict=True))
        return f"{type(tree).__name__}({inner})"
    leaves = jax.tree.leaves(tree)
    if jax.tree.structure(tree) == jax.tree.structure(0):
        shape = np.shape(leaves[0])
        return "one number" if shape == () else f"an array of shape {shape}"
    return str(jax.tree.structure(tree))


def _one_array(tree: Shapes) -> bool:
    return jax.tree.structure(tree) == jax.tree.structure(0)


def as_default(tree: Shapes) -> Any:
    """Shapes with every float in the scope's dtype, as the verbs will cast them."""

    def leaf(x: Shapes) -> Any:
        return jax.ShapeDtypeStruct(np.shape(x), default_dtype())

    return jax.tree.map(leaf, tree)
