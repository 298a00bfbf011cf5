# ruff: noqa: E501
"""Calls as people write them, coming from other tools: each works, or is refused in words.

A row is a name, a function without arguments, and what is expected of it: `WORKS`, or the type of the
error and a word of its message. To add rows, write another dictionary of them and add it to `TABLES`.
`python tests/reports/bad_calls.py` runs them all without pytest and counts.
"""

import contextlib
import io
import math
import random
import sys
import traceback
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax

import rnnjax
from rnnjax import circuits, connectivity, inputs, measures, noise, tasks
from rnnjax.connectivity import Dale, Dense, LowRank, Masked

WORKS = "works"
NOT_FOREIGN = "works, or is refused in words"
Rows = dict[str, tuple[Callable[[], object], object] | tuple[Callable[[], object], object, str]]

TIMES = np.linspace(0.0, 4.0, 5)
E_I = circuits.ExcitatoryInhibitory()
PAIR = circuits.LinearNetwork(Dense([[0.1, 0.2], [0.3, 0.4]]))
KEY = jax.random.key(0)
MEAN = measures.Mean()
NOISE = noise.Additive(0.1)
TASK = tasks.DelayedXOR(delay=2.0, pulse=2.0)
CURRENTS = circuits.CurrentNetwork(Dense(0.1 * np.eye(3)))
NETWORK = rnnjax.TaskNetwork.random(CURRENTS, TASK, key=KEY)


class Leak(rnnjax.AbstractCircuit):
    """$\\tau \\dot x = -x + u$, of one unit in an array."""

    tau: object = rnnjax.parameter(10.0, "ms", positive=True)

    def __call__(self, state, input):
        return (-state + input) / self.tau

    def rest(self):
        return np.zeros(1)


class WithNumPy(Leak):
    """Uses NumPy where JAX traces."""

    def __call__(self, state, input):
        return (-state + np.tanh(state)) / self.tau


class WithMath(Leak):
    """Uses `math` where JAX traces."""

    def __call__(self, state, input):
        return (-state + math.exp(state[0])) / self.tau


class WithIf(Leak):
    """Decides by the state."""

    def __call__(self, state, input):
        return -state / self.tau if state[0] > 0 else state / self.tau


class WithWhile(Leak):
    """Loops as long as the state says."""

    def __call__(self, state, input):
        while state.sum() > 1:
            state = state / 2
        return state


class WithIndex(Leak):
    """Picks by the state what NumPy holds."""

    def __call__(self, state, input):
        return np.arange(3.0)[state.astype(int)]


class InPlace(Leak):
    """Assigns to an entry of the state."""

    def __call__(self, state, input):
        state[0] = 0.0
        return state


class NoReturn(Leak):
    """Forgets to return."""

    def __call__(self, state, input):
        state + input


class RestOfList(Leak):
    """Rests at a list."""

    def rest(self):
        return [0.0]


class RestOfNothing(Leak):
    """Rests at None."""

    def rest(self):
        return None


class RestOfWords(Leak):
    """Rests at a word."""

    def rest(self):
        return "zero"


class Wide(Leak):
    """Has no units."""

    def rest(self):
        return np.zeros(0)


class Tensor:
    """What torch's tensors offer to NumPy."""

    def __init__(self, values):
        self.values, self.requires_grad = np.asarray(values), False
        self.shape = self.values.shape

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)


class Quantity(np.ndarray):
    """An array with a unit, as Brian2 has them."""

    def __new__(cls, values):
        return np.asarray(values).view(cls)


def with_if(t):
    return 1.0 if t > 2 else 0.0


def with_numpy(t):
    return np.sin(t)


def with_math(t):
    return math.sin(t)


def seen_with_numpy(state):
    return np.tanh(state)


def seen_with_if(state):
    return state if state[0] > 0 else -state


def seen_nothing(state):
    return state.nothing


def loss_with_numpy(circuit, key):
    return np.tanh(circuit.tau)


def loss_with_if(circuit, key):
    return circuit.tau if circuit.tau > 1 else 2 * circuit.tau


def with_numpy_of(circuit):
    return np.tanh(circuit.tau)


def with_if_of(circuit):
    return circuit.tau if circuit.tau > 1 else 2 * circuit.tau


def tau(circuit):
    return circuit.tau


def simulated(circuit=PAIR, times=TIMES, *args, **settings):
    return lambda: rnnjax.simulate(circuit, times, *args, **settings)


def stepped(circuit=PAIR, **settings):
    return simulated(circuit, **{"step": 0.5, **settings})


def measured(circuit=PAIR, chosen=MEAN, duration=4.0, *args, **settings):
    return lambda: rnnjax.measure(circuit, chosen, duration, *args, **{"step": 0.5, **settings})


def swept(circuit=PAIR, chosen=None, over=None, **settings):
    chosen = {"mean": MEAN} if chosen is None else chosen
    over = [rnnjax.axis(tau, [5.0, 10.0])] if over is None else over
    given = {"duration": 4.0, "step": 0.5, **settings}
    return lambda: rnnjax.sweep(circuit, chosen, over, **given)


def fitted(circuit=PAIR, where=tau, objective=None, **settings):
    objective = (lambda c, key: c.tau**2) if objective is None else objective
    return lambda: rnnjax.fit(
        circuit, where, objective, **{"steps": 1, "progress": False, **settings}
    )


def same_draws(a, b):
    """That both calls give the same."""

    def both():
        for x, y in zip(jax.tree.leaves(a()), jax.tree.leaves(b()), strict=True):
            np.testing.assert_array_equal(np.asarray(x), np.asarray(y))

    return both


def noisy(key, **settings):
    return lambda: stepped(noise=NOISE, key=key, **settings)().states


def branch(circuit=PAIR, where=None, start=None, bounds=(-1.0, 1.0), **settings):
    where = (lambda c: c.bias) if where is None else where
    return lambda: rnnjax.continue_equilibria(circuit, where, start, bounds, **settings)


@contextlib.contextmanager
def looking_for_nans():
    """JAX raises wherever a NaN is made."""
    with jax.debug_nans(True), jax.debug_infs(True):
        yield


def watched(call):
    def run():
        with looking_for_nans():
            return call()

    return run


KEYS: Rows = {
    "a number for a key": (same_draws(noisy(7), noisy(jax.random.key(7))), WORKS),
    "a NumPy number for a key": (same_draws(noisy(np.int64(7)), noisy(7)), WORKS),
    "a JAX number for a key": (same_draws(noisy(jnp.asarray(7)), noisy(7)), WORKS),
    "an array of one number": (noisy(np.array([7])), TypeError, "key"),
    "an old key": (same_draws(noisy(jax.random.PRNGKey(7)), noisy(7)), WORKS),
    "a fraction for a key": (noisy(0.5), TypeError, "key"),
    "a whole float for a key": (noisy(7.0), TypeError, "key"),
    "a truth value for a key": (noisy(True), TypeError, "key"),
    "a NumPy truth value for a key": (noisy(np.True_), TypeError, "key"),
    "a word for a key": (noisy("seed"), TypeError, "key"),
    "NumPy's generator for a key": (noisy(np.random.default_rng(0)), TypeError, "key"),
    "Python's generator for a key": (noisy(random.Random(0)), TypeError, "key"),
    "a function for a key": (noisy(jax.random.key), TypeError, "key"),
    "no key where noise needs one": (noisy(None), ValueError, "key"),
    "a negative number for a key": (noisy(-1), ValueError, "key"),
    "too large a number for a key": (noisy(2**32), ValueError, "key"),
    "many keys for one run": (noisy(jax.random.split(KEY, 3)), ValueError, "key"),
    "many old keys for one run": (noisy(jax.random.split(jax.random.PRNGKey(0), 3)), ValueError, "key"),
    "a number for a key of measure": (measured(noise=NOISE, key=3), WORKS),
    "a number for a key of sweep": (swept(noise=NOISE, key=3), WORKS),
    "a number for a key of find_equilibria": (lambda: rnnjax.find_equilibria(PAIR, key=3), WORKS),
    "a fraction for a key of find_slow_points": (lambda: rnnjax.find_slow_points(PAIR, key=0.5), TypeError, "key"),
    "a fraction for a key of leading_eigenvalues": (
        lambda: rnnjax.leading_eigenvalues(PAIR, np.zeros(2), count=1, key=0.5), TypeError, "key",
    ),
    "a fraction for a key of lyapunov_exponents": (
        lambda: rnnjax.lyapunov_exponents(PAIR, 100.0, step=0.5, noise=NOISE, key=0.5), TypeError, "key",
    ),
    "a number for a key of random_points": (
        lambda: rnnjax.random_points(rnnjax.axis(tau, (1.0, 2.0)), count=3, key=3), WORKS,
    ),
    "a number for a key of Dense.random": (
        same_draws(lambda: Dense.random(4, key=3).weights, lambda: Dense.random(4, key=jax.random.key(3)).weights), WORKS,
    ),
    "a number for a key of Dale.random": (lambda: Dale.random(4, key=3), WORKS),
    "a number for a key of Masked.random": (lambda: Masked.random(20, key=3), WORKS),
    "a number for a key of TaskNetwork.random": (lambda: rnnjax.TaskNetwork.random(CURRENTS, TASK, key=3), WORKS),
    "a number for a key of sample": (lambda: TASK.sample(3), WORKS),
    "a number for a key of perform": (lambda: rnnjax.perform(NETWORK, TASK, key=3, trials=2), WORKS),
    "a number for a key of fit": (
        fitted(NETWORK, lambda n: n.circuit.connectivity, rnnjax.OnTask(TASK, batch=2), key=3), WORKS,
    ),
    "a number for a key of gradient": (
        lambda: rnnjax.gradient(NETWORK, lambda n: n.circuit.connectivity, rnnjax.OnTask(TASK, batch=2), key=3), WORKS,
    ),
    "a fraction for a key of fit": (fitted(key=0.5), TypeError, "key"),
    "no key for Dense.random": (lambda: Dense.random(4, key=None), TypeError, "key"),
    "a word for a key of sample": (lambda: TASK.sample("three"), TypeError, "key"),
    "a fraction for a key of perform": (lambda: rnnjax.perform(NETWORK, TASK, key=0.5), TypeError, "key"),
    "no key for perform": (lambda: rnnjax.perform(NETWORK, TASK, key=None), TypeError, "key"),
    "a fraction for a key of find_equilibria": (lambda: rnnjax.find_equilibria(PAIR, key=0.5), TypeError, "key"),
    "a fraction for a key of random_points": (
        lambda: rnnjax.random_points(rnnjax.axis(tau, (1.0, 2.0)), count=3, key=0.5), TypeError, "key",
    ),
    "a fraction for a key of diagram": (lambda: rnnjax.diagram(PAIR, tau, (1.0, 20.0), key=0.5), TypeError, "key"),
    "a fraction for a key of basins": (
        lambda: rnnjax.basins(PAIR, np.zeros((2, 2)), duration=10.0, key=0.5), TypeError, "key",
    ),
}  # fmt: skip

NOTHING_IN_IT: Rows = {
    "weights of no units": (lambda: Dense(np.zeros((0, 0))), ValueError, "at least one"),
    "Dale weights of no units": (lambda: Dale(np.zeros((0, 0))), ValueError, "at least one"),
    "directions of no units": (lambda: LowRank(np.zeros((0, 1)), np.zeros((0, 1))), ValueError, "at least one"),
    "directions of rank 0": (lambda: LowRank(np.zeros((3, 0)), np.zeros((3, 0))), ValueError, "at least one"),
    "a random network of no units": (lambda: Dense.random(0, key=0), ValueError, "units"),
    "a task network of no circuit": (lambda: rnnjax.TaskNetwork.random(10, TASK, key=0), TypeError, "circuit"),
    "a circuit of no units": (simulated(Wide()), ValueError, "at least one"),
    "a circuit of no units in find_equilibria": (lambda: rnnjax.find_equilibria(Wide()), ValueError, "at least one"),
    "an empty parameter": (lambda: circuits.LinearNetwork(tau=[]), ValueError, "tau"),
    "empty weights": (lambda: Dense([]), ValueError, "Dense.weights"),
    "an empty recording": (lambda: inputs.Recording([], 1000.0), ValueError, "samples"),
    "an empty start": (simulated(start=[]), ValueError, "start"),
    "an empty batch of starts": (simulated(start=np.zeros((0, 2))), ValueError, "start"),
    "no times": (simulated(times=[]), ValueError, "times"),
    "no measures": (measured(chosen={}), TypeError, "measures"),
    "no measures in sweep": (swept(chosen={}), TypeError, "measures"),
    "no axes": (swept(over=[]), ValueError, "over"),
    "no values on an axis": (lambda: rnnjax.axis(tau, []), ValueError, "at least one"),
    "no points": (lambda: rnnjax.points(), ValueError, "points"),
    "no ranges": (lambda: rnnjax.random_points(count=3, key=0), ValueError, "random_points"),
    "no random points": (
        lambda: rnnjax.random_points(rnnjax.axis(tau, (1.0, 2.0)), count=0, key=0), ValueError, "count",
    ),
    "no guesses": (lambda: rnnjax.find_equilibria(PAIR, guesses=np.zeros((0, 2))), ValueError, "guesses"),
    "no starts of basins": (lambda: rnnjax.basins(PAIR, [], duration=10.0), ValueError, "starts"),
    "nothing to fit": (fitted(where=lambda c: ()), ValueError, "where"),
    "no inputs in a tuple": (simulated(input=()), ValueError, "at least one"),
    "no frequencies": (lambda: measures.Spectrum(frequencies=[]), ValueError, "frequencies"),
    "no trials": (lambda: tasks.FromTrials([], []), ValueError, "trial"),
}  # fmt: skip

STATES: Rows = {
    "a list for a start": (same_draws(lambda: simulated(start=[0.5, 1.0])().states, lambda: simulated(start=np.array([0.5, 1.0]))().states), WORKS),
    "a list of one": (simulated(Leak(), start=[0.5]), WORKS),
    "a list of one in measure": (measured(Leak(), start=[0.5]), WORKS),
    "a list of one in sweep": (swept(Leak(), start=[0.5]), WORKS),
    "a list in measure": (same_draws(measured(start=[0.5, 1.0]), measured(start=np.array([0.5, 1.0]))), WORKS),
    "a list from a function": (measured(start=lambda c: [0.5, 1.0]), WORKS),
    "a list from a function in sweep": (swept(start=lambda c: [0.5, 1.0]), WORKS),
    "a tuple of numbers for an array": (simulated(start=(0.5, 1.0)), WORKS),
    "a list of whole numbers": (measured(start=[1, 0]), WORKS),
    "a list for two populations": (simulated(E_I, start=[1.0, 2.0]), WORKS),
    "a tuple for two populations": (measured(E_I, start=(1.0, 2.0)), WORKS),
    "a list for two populations in sweep": (
        swept(E_I, over=[rnnjax.axis(lambda c: c.tau_i, [20.0, 50.0])], start=[1.0, 2.0]), WORKS,
    ),
    "three numbers for two populations": (simulated(E_I, start=[1.0, 2.0, 3.0]), ValueError, "start"),
    "a dictionary for two populations": (simulated(E_I, start={"e": 1.0, "i": 2.0}), ValueError, "start"),
    "a list in linearize": (lambda: rnnjax.linearize(PAIR, [0.0, 0.0]), WORKS),
    "a tuple for two populations in linearize": (lambda: rnnjax.linearize(E_I, (1.0, 2.0)), WORKS),
    "a list in leading_eigenvalues": (lambda: rnnjax.leading_eigenvalues(PAIR, [0.0, 0.0], count=1), WORKS),
    "a list of guesses": (lambda: rnnjax.find_equilibria(PAIR, guesses=[[0.0, 0.0], [1.0, 1.0]]), WORKS),
    "one list for a guess": (lambda: rnnjax.find_equilibria(PAIR, guesses=[0.0, 0.0]), WORKS),
    "a list of states for guesses": (
        lambda: rnnjax.find_equilibria(E_I, guesses=[E_I.rest(), E_I.rest()], throw=False), WORKS,
    ),
    "a list of three in find_slow_points": (lambda: rnnjax.find_slow_points(PAIR, guesses=[[0.0, 0.0, 0.0]]), ValueError, "guesses"),
    "a list of starts of basins": (lambda: rnnjax.basins(PAIR, [[0.0, 1.0], [1.0, 0.0]], duration=50.0, step=0.5), WORKS),
    "a list in vector_field": (lambda: rnnjax.vector_field(PAIR, (0.0, 1.0), (0.0, 1.0), state=[0.0, 0.0], points=3), WORKS),
    "a list in lyapunov_exponents": (
        lambda: rnnjax.lyapunov_exponents(PAIR, 100.0, step=0.5, blocks=10, every=5, start=[0.5, 1.0]), WORKS,
    ),
    "a list in continue_equilibria": (branch(start=[0.0, 0.0, 0.0]), ValueError, "shape (3,)"),
    "lists in a box": (lambda: rnnjax.enumerate_equilibria(PAIR, box=([-1.0, -1.0], [1.0, 1.0])), WORKS),
    "a list with a hole": (simulated(start=[0.5, None]), TypeError, "start"),
    "a ragged list": (simulated(start=[[0.5], [1.0, 2.0]]), ValueError, "start"),
    "a ragged list of guesses": (lambda: rnnjax.find_equilibria(PAIR, guesses=[[0.5], [1.0, 2.0]]), ValueError, "guesses"),
    "a word for a start": (simulated(start="rest"), TypeError, "start"),
    "a list of words": (simulated(start=["a", "b"]), TypeError, "start"),
    "a word for a state of linearize": (lambda: rnnjax.linearize(PAIR, "rest"), TypeError, "state"),
    "no state of linearize": (lambda: rnnjax.linearize(PAIR, None), TypeError, "state"),
    "a word for guesses": (lambda: rnnjax.find_equilibria(PAIR, guesses="many"), TypeError, "guesses"),
    "a number of guesses": (lambda: rnnjax.find_equilibria(PAIR, guesses=100), ValueError, "guesses"),
    "a tensor for a start": (simulated(start=Tensor([0.5, 1.0])), WORKS),
    "a tensor for a start of measure": (measured(start=Tensor([0.5, 1.0])), WORKS),
    "a tensor for a state of linearize": (lambda: rnnjax.linearize(PAIR, Tensor([0.5, 1.0])), WORKS),
    "a set for a start": (simulated(start={0.5, 1.0}), TypeError, "start"),
    "a range for a start": (simulated(start=range(2)), WORKS),
    "a generator for a start": (simulated(start=(0.5 for _ in range(2))), TypeError, "start"),
    "a trajectory for a start": (lambda: simulated(start=simulated()())(), TypeError, "start"),
    "a class for a start": (simulated(start=np.ndarray), TypeError, "start"),
    "a start with a function that fails": (simulated(start=lambda: 0.0), TypeError, "start"),
    "a batch with dense=True, called": (
        lambda: simulated(start=np.zeros((3, 2)), dense=True)()(0.5), WORKS,
    ),
    "a batch in measure": (measured(start=np.zeros((3, 2))), ValueError, "start"),
    "a batch in sweep": (swept(start=np.zeros((3, 2))), ValueError, "start"),
    "a batch in linearize": (lambda: rnnjax.linearize(PAIR, np.zeros((3, 2))), ValueError, "state"),
}  # fmt: skip

OWN_CODE: Rows = {
    "np.tanh in a circuit": (simulated(WithNumPy()), TypeError, "jnp."),
    "np.tanh in a circuit, fixed steps": (stepped(WithNumPy()), TypeError, "jnp."),
    "np.tanh in a circuit of measure": (measured(WithNumPy()), TypeError, "jnp."),
    "np.tanh in a circuit of sweep": (swept(WithNumPy()), TypeError, "jnp."),
    "np.tanh in a circuit of find_equilibria": (lambda: rnnjax.find_equilibria(WithNumPy()), TypeError, "jnp."),
    "np.tanh in a circuit of linearize": (lambda: rnnjax.linearize(WithNumPy(), np.zeros(1)), TypeError, "jnp."),
    "np.tanh in a circuit of lyapunov_exponents": (
        lambda: rnnjax.lyapunov_exponents(WithNumPy(), 100.0, step=0.5, blocks=10, every=5), TypeError, "jnp.",
    ),
    "np.tanh in a circuit of diagram": (lambda: rnnjax.diagram(WithNumPy(), tau, (1.0, 20.0)), TypeError, "jnp."),
    "np.tanh in a circuit of basins": (
        lambda: rnnjax.basins(WithNumPy(), np.zeros((2, 1)), duration=10.0), TypeError, "jnp.",
    ),
    "math.exp in a circuit": (simulated(WithMath()), TypeError, "jnp."),
    "if in a circuit": (simulated(WithIf()), TypeError, "jnp.where"),
    "if in a circuit of measure": (measured(WithIf()), TypeError, "jnp.where"),
    "while in a circuit": (simulated(WithWhile()), TypeError, "jnp.where"),
    "an index of the state in a circuit": (simulated(WithIndex()), TypeError, "jnp."),
    "an assignment in a circuit": (simulated(InPlace()), TypeError, ".at["),
    "a circuit that returns nothing": (simulated(NoReturn()), TypeError, "NoReturn.__call__"),
    "a circuit at rest in a list": (simulated(RestOfList()), TypeError, "RestOfList.rest"),
    "a circuit at rest in nothing": (simulated(RestOfNothing()), TypeError, "RestOfNothing.rest"),
    "a circuit at rest in words": (simulated(RestOfWords()), TypeError, "RestOfWords.rest"),
    "if in an input": (simulated(input=with_if), TypeError, "jnp.where"),
    "if in an input of measure": (measured(input=with_if), TypeError, "jnp.where"),
    "np.sin in an input": (simulated(input=with_numpy), TypeError, "jnp."),
    "math.sin in an input": (stepped(input=with_math), TypeError, "jnp."),
    "an input without an argument": (simulated(input=lambda: 1.0), TypeError, "input"),
    "an input of two arguments": (simulated(input=lambda t, x: x), TypeError, "input"),
    "np.tanh in observe": (stepped(observe=seen_with_numpy), TypeError, "observe"),
    "if in observe": (stepped(observe=seen_with_if), TypeError, "observe"),
    "np.tanh in observe, adaptive": (simulated(observe=seen_with_numpy), TypeError, "observe"),
    "what a state does not have in observe": (stepped(observe=seen_nothing), AttributeError, "observe"),
    "np.tanh in a measure": (measured(chosen=measures.Mean(of=seen_with_numpy)), TypeError, "Mean.of"),
    "if in a measure": (measured(chosen=measures.Mean(of=seen_with_if)), TypeError, "Mean.of"),
    "np.tanh in a measure of sweep": (swept(chosen={"mean": measures.Mean(of=seen_with_numpy)}), TypeError, "Mean.of"),
    "what a state does not have in a measure": (measured(chosen=measures.Mean(of=seen_nothing)), AttributeError, "Mean.of"),
    "a word for what is measured": (lambda: measures.Mean(of="v"), TypeError, "Mean.of"),
    "np.tanh in a function of sweep": (
        lambda: rnnjax.sweep(PAIR, {"x": with_numpy_of}, [rnnjax.axis(tau, [5.0, 10.0])]), TypeError, "measures['x']",
    ),
    "if in a function of sweep": (
        lambda: rnnjax.sweep(PAIR, {"x": with_if_of}, [rnnjax.axis(tau, [5.0, 10.0])]), TypeError, "measures['x']",
    ),
    "np.tanh in an objective": (fitted(objective=loss_with_numpy), TypeError, "objective"),
    "if in an objective": (fitted(objective=loss_with_if), TypeError, "objective"),
    "an objective of one argument": (fitted(objective=lambda c: c.tau), TypeError, "objective"),
    "an objective that gives nothing": (fitted(objective=lambda c, key: None), ValueError, "objective"),
    "an objective that gives a float": (fitted(objective=lambda c, key: 1.0), ValueError, "objective"),
    "the cause is kept": (lambda: cause_of(simulated(WithNumPy())), WORKS),
    "a nonlinearity by name": (lambda: circuits.RateNetwork(nonlinearity="tanh"), TypeError, "circuits.tanh"),
    "another nonlinearity by name": (
        lambda: circuits.CurrentNetwork(nonlinearity="relu"), TypeError, "rectified",
    ),
    "no nonlinearity": (lambda: circuits.CurrentNetwork(nonlinearity=None), TypeError, "nonlinearity"),
    "np.tanh for a nonlinearity": (
        simulated(circuits.CurrentNetwork(nonlinearity=np.tanh)), TypeError, "jnp.",
    ),
    "a number for a nonlinearity": (lambda: circuits.RateNetwork(nonlinearity=2.0), TypeError, "nonlinearity"),
}  # fmt: skip


def cause_of(call):
    """That the error that is told was caused by JAX's."""
    cause = None
    try:
        call()
    except TypeError as error:
        cause = error.__cause__
    assert isinstance(cause, jax.errors.TracerArrayConversionError), cause


def explodes():
    return rnnjax.simulate(Growing(), [0.0, 500.0], start=[1.0], step=0.5)


class Growing(Leak):
    """Grows without bounds: $\\dot x = x^2$."""

    def __call__(self, state, input):
        return state**2


NANS: Rows = {
    "a run that works, looking for NaN": (watched(simulated()), WORKS),
    "fixed steps, looking for NaN": (watched(stepped()), WORKS),
    "a run that explodes, looking for NaN": (watched(explodes), rnnjax.SimulationError, "finite"),
    "an adaptive run that explodes, looking for NaN": (
        watched(simulated(Growing(), [0.0, 500.0], start=[1.0])), rnnjax.SimulationError, "",
    ),
    "a measured run that explodes, looking for NaN": (
        watched(lambda: rnnjax.measure(Growing(), MEAN, 500.0, step=0.5, start=[1.0])), rnnjax.SimulationError, "finite",
    ),
    "equilibria, looking for NaN": (watched(lambda: rnnjax.find_equilibria(PAIR)), WORKS),
    "no equilibria, looking for NaN": (
        watched(lambda: rnnjax.find_equilibria(Drift())), rnnjax.ConvergenceError, "no equilibrium",
    ),
    "a sweep, looking for NaN": (watched(swept()), WORKS),
    "an error in words, looking for NaN": (watched(simulated(times=[0.0, np.nan])), ValueError, "times"),
}  # fmt: skip


class Drift(Leak):
    """Rests nowhere: $\\dot x = 1$."""

    def __call__(self, state, input):
        return np.ones(1) + 0 * state


class Counter(rnnjax.AbstractMap):
    """$x_{n+1} = x_n / 2$."""

    half: object = rnnjax.parameter(0.5, "1")

    def __call__(self, state, input):
        return self.half * state + input

    def rest(self):
        return np.zeros(1)


SIMULATE: Rows = {
    "dt for step": (simulated(dt=0.1), TypeError, "step"),
    "seed for key": (simulated(noise=NOISE, seed=0, step=0.5), TypeError, "key"),
    "method for solver": (simulated(method="euler"), TypeError, "solver"),
    "y0 for start": (simulated(y0=[0.0, 0.0]), TypeError, "start"),
    "no times at all": (lambda: rnnjax.simulate(PAIR), TypeError, "times"),
    "a circuit's class": (simulated(circuits.WilsonCowan), TypeError, "call it"),
    "a function for a circuit": (simulated(lambda t, y: -y), TypeError, "circuit"),
    "a matrix for a circuit": (simulated(np.eye(2)), TypeError, "circuit"),
    "a connectivity for a circuit": (simulated(Dense(np.eye(2))), TypeError, "circuit"),
    "no circuit at all": (simulated(None), TypeError, "circuit"),
    "times before the circuit": (lambda: rnnjax.simulate(TIMES, PAIR), TypeError, "circuit"),
    "a driven pair": (simulated(rnnjax.Driven(PAIR, inputs.Step())), TypeError, "circuit"),
    "a duration for times": (simulated(times=100.0), ValueError, "times"),
    "a pair of words for times": (simulated(times=["0", "100"]), TypeError, "times"),
    "a word for times": (simulated(times="100 ms"), TypeError, "times"),
    "no times but None": (simulated(times=None), TypeError, "times"),
    "times with a hole": (simulated(times=[0.0, None, 2.0]), TypeError, "times"),
    "times with NaN": (simulated(times=[0.0, np.nan, 2.0]), ValueError, "times"),
    "times in two axes": (simulated(times=np.zeros((2, 3))), ValueError, "times"),
    "times that repeat": (simulated(times=[0.0, 1.0, 1.0]), ValueError, "times"),
    "complex times": (simulated(times=[0.0, 1.0 + 1.0j]), TypeError, "times"),
    "dates for times": (simulated(times=np.array(["2020-01-01", "2020-01-02"], "datetime64[D]")), TypeError, "times"),
    "a dictionary for times": (simulated(times={"start": 0, "stop": 1}), TypeError, "times"),
    "a range for times": (simulated(times=range(5)), WORKS),
    "a generator for times": (simulated(times=(t for t in range(5))), TypeError, "times"),
    "a tensor for times": (simulated(times=Tensor(TIMES)), WORKS),
    "truth values for times": (simulated(times=[False, True]), WORKS),
    "Unix times in ms": (simulated(times=1.7e12 + TIMES), NOT_FOREIGN),
    "Unix times in ms, fixed steps": (stepped(times=1.7e12 + TIMES), NOT_FOREIGN),
    "Unix times in ms, in float64": (simulated(times=1.7e12 + TIMES, dtype="float64"), WORKS),
    "a step of zero": (stepped(step=0.0), ValueError, "step"),
    "a step of NaN": (stepped(step=np.nan), ValueError, "step"),
    "a negative step": (stepped(step=-0.5), ValueError, "step"),
    "a step in words": (stepped(step="0.5"), ValueError, "step"),
    "a step for each time": (stepped(step=[0.5, 0.5]), ValueError, "step"),
    "a complex step": (stepped(step=0.5 + 0j), ValueError, "step"),
    "a truth value for a step": (stepped(step=True), ValueError, "step"),
    "a decimal step": (stepped(step=Decimal("0.5")), ValueError, "step"),
    "a fraction for a step": (stepped(step=Fraction(1, 2)), WORKS),
    "a JAX number for a step": (stepped(step=jnp.asarray(0.5)), WORKS),
    "a quantity for a step": (stepped(step=Quantity(0.5)), ValueError, "step"),
    "a step longer than the run": (stepped(step=8.0), ValueError, "times"),
    "a step above the time constant": (stepped(times=[0.0, 40.0], step=20.0), ValueError, "step"),
    "a solver's class": (simulated(solver=diffrax.Tsit5), TypeError, "solver"),
    "a solver by name": (simulated(solver="rk4"), TypeError, "solver"),
    "an optimizer for a solver": (simulated(solver=optax.adam(0.1)), TypeError, "solver"),
    "rtol of None": (simulated(rtol=None), ValueError, "rtol"),
    "a negative rtol": (simulated(rtol=-1e-6), ValueError, "rtol"),
    "rtol per unit": (simulated(rtol=[1e-6, 1e-6]), ValueError, "rtol"),
    "atol of NaN": (simulated(atol=np.nan), ValueError, "atol"),
    "atol in words": (simulated(atol="small"), ValueError, "atol"),
    "max_steps of None": (simulated(max_steps=None), ValueError, "max_steps"),
    "max_steps as a float": (simulated(max_steps=1e4), ValueError, "max_steps"),
    "half floats": (simulated(dtype=np.float16), ValueError, "dtype"),
    "whole numbers for a dtype": (simulated(dtype=int), ValueError, "dtype"),
    "float for a dtype": (simulated(dtype=float), WORKS),
    "a dtype by a wrong name": (simulated(dtype="double precision"), ValueError, "dtype"),
    "noise as a number": (simulated(noise=0.1, key=0, step=0.5), TypeError, "noise"),
    "noise as its class": (simulated(noise=noise.Additive, key=0, step=0.5), TypeError, "noise"),
    "noise as an array": (stepped(noise=np.ones(2), key=0), TypeError, "noise"),
    "noise for another circuit": (stepped(noise=noise.Additive(np.ones(3)), key=0), ValueError, "Additive"),
    "adjoint by name": (simulated(adjoint="backsolve"), TypeError, "adjoint"),
    "adjoint's class": (simulated(adjoint=diffrax.DirectAdjoint), TypeError, "adjoint"),
    "adjoint of fixed steps by name": (stepped(adjoint="checkpoint"), ValueError, "adjoint"),
    "a memory's class": (stepped(adjoint=rnnjax.StoreAll), ValueError, "adjoint"),
    "observe as a list": (stepped(observe=["v"]), TypeError, "observe"),
    "an input's class": (simulated(input=inputs.Step), TypeError, "input"),
    "an input in words": (simulated(input="step"), TypeError, "input"),
    "an input with a hole": (simulated(input=[1.0, None]), TypeError, "input"),
    "a list for an input": (simulated(input=[1.0, 2.0]), WORKS),
    "a list for the input of two populations": (simulated(E_I, input=[1.0, 2.0]), WORKS),
    "one number for the input of two populations": (simulated(E_I, input=1.0), ValueError, "input"),
    "a dictionary for an input": (simulated(E_I, input={"e": 1.0, "i": 0.0}), ValueError, "input"),
    "a time series for an input": (simulated(input=np.sin(np.arange(100.0))), ValueError, "Recording"),
    "a time series per unit for an input": (simulated(input=np.zeros((100, 2))), ValueError, "Recording"),
    "an input of NaN": (simulated(input=np.nan), ValueError, "input"),
    "an input that gives a list": (simulated(input=lambda t: [1.0, 2.0]), ValueError, "input"),
    "an input that gives nothing": (simulated(input=lambda t: None), TypeError, "input"),
    "an input that gives words": (simulated(input=lambda t: "on"), TypeError, "input"),
    "an input that gives too many": (simulated(input=lambda t: jnp.zeros(3)), ValueError, "input"),
    "inputs in a list": (simulated(input=[inputs.Step(), inputs.Pulse()]), TypeError, "input"),
    "onsets per unit": (simulated(times=[0.0, 5.0], input=inputs.Pulse(onset=np.array([1.0, 2.0]), duration=1.0)), WORKS),
    "onsets per unit of steps": (simulated(times=[0.0, 5.0], input=inputs.Step(onset=np.array([1.0, 2.0]))), WORKS),
    "onsets per unit, fixed steps": (stepped(input=inputs.Pulse(onset=np.array([1.0, 2.0]), duration=1.0)), WORKS),
    "onsets per unit in measure": (
        lambda: rnnjax.measure(PAIR, MEAN, 5.0, inputs.Pulse(onset=np.array([1.0, 2.0]), duration=1.0)), WORKS,
    ),
    "onsets of another number of units": (simulated(input=inputs.Pulse(onset=np.array([1.0, 2.0, 3.0]))), ValueError, "input"),
    "durations per unit": (simulated(times=[0.0, 5.0], input=inputs.Pulse(onset=1.0, duration=np.array([1.0, 2.0]))), WORKS),
    "a map with a step": (simulated(Counter(), [0, 1, 2], step=0.1), ValueError, "map"),
    "a map with a solver": (simulated(Counter(), [0, 1, 2], solver=diffrax.Tsit5()), ValueError, "map"),
    "a map between its times": (simulated(Counter(), [0, 0.5, 1]), ValueError, "times"),
    "throw in words": (simulated(throw="no"), TypeError, "throw"),
    "dense in words": (simulated(dense="yes"), TypeError, "dense"),
    "a time after a dense run": (lambda: simulated(dense=True)()(100.0), ValueError, "t:"),
    "a time in words of a dense run": (lambda: simulated(dense=True)()("now"), TypeError, "t:"),
    "a time of NaN of a dense run": (lambda: simulated(dense=True)()(np.nan), ValueError, "t:"),
    "no times of a dense run": (lambda: simulated(dense=True)()([]), ValueError, "t:"),
}  # fmt: skip

MEASURE: Rows = {
    "a measure's class": (measured(chosen=measures.Mean), TypeError, "measures"),
    "a measure by name": (measured(chosen="mean"), TypeError, "measures"),
    "a list of measures": (measured(chosen=[measures.Mean(), measures.Final()]), WORKS),
    "a function for a measure": (measured(chosen=np.mean), TypeError, "measures"),
    "NumPy's mean by name": (measured(chosen={"mean": np.mean}), TypeError, "measures"),
    "no measure": (measured(chosen=None), TypeError, "measures"),
    "times for a duration": (measured(duration=TIMES), ValueError, "duration"),
    "a duration in words": (measured(duration="1 s"), ValueError, "duration"),
    "no duration": (measured(duration=None), ValueError, "duration"),
    "a duration of NaN": (measured(duration=np.nan), ValueError, "duration"),
    "an infinite duration": (measured(duration=np.inf), ValueError, "duration"),
    "a negative duration": (measured(duration=-4.0), ValueError, "duration"),
    "a duration before the measure": (lambda: rnnjax.measure(PAIR, 4.0, MEAN, step=0.5), TypeError, "measures"),
    "a transient in words": (measured(transient="half"), TypeError, "transient"),
    "no transient but None": (measured(transient=None), TypeError, "transient"),
    "a transient of NaN": (measured(transient=np.nan), ValueError, "transient"),
    "a negative transient": (measured(transient=-1.0), ValueError, "transient"),
    "a transient per unit": (measured(transient=[1.0, 1.0]), ValueError, "transient"),
    "a transient off the grid": (measured(transient=0.3), ValueError, "transient"),
    "a map in measure": (measured(Counter()), TypeError, "map"),
    "tolerances in words": (measured(step=None, rtol="tight"), ValueError, "rtol"),
    "a driven pair in measure": (measured(rnnjax.Driven(PAIR, inputs.Step())), TypeError, "circuit"),
    "a level in words": (measured(chosen=lambda: measures.Frequency(level="zero")), TypeError, "measures"),
    "a frequency's level in words": (lambda: measures.Frequency(level="zero"), TypeError, "level"),
    "a negative frequency of a spectrum": (lambda: measures.Spectrum(frequencies=[-1.0]), ValueError, "frequencies"),
    "a split in words": (lambda: measures.Growth(split="half"), TypeError, "split"),
}  # fmt: skip

SWEEP: Rows = {
    "a measure without a name": (swept(chosen=MEAN), TypeError, "measures"),
    "a list of measures in sweep": (swept(chosen=[MEAN]), TypeError, "measures"),
    "a measure's class in sweep": (swept(chosen={"mean": measures.Mean}), TypeError, "measures"),
    "a measure by name in sweep": (swept(chosen={"mean": "mean"}), TypeError, "measures"),
    "names that are numbers": (swept(chosen={0: MEAN}), TypeError, "measures"),
    "one axis without a list": (swept(over=rnnjax.axis(tau, [5.0, 10.0])), WORKS),
    "a dictionary of values for axes": (swept(over={"tau": [5.0, 10.0]}), TypeError, "over"),
    "values for axes": (swept(over=[5.0, 10.0]), TypeError, "over"),
    "no axes but None": (lambda: rnnjax.sweep(PAIR, {"mean": MEAN}, None, duration=4.0, step=0.5), TypeError, "over"),
    "a word for axes": (swept(over="tau"), TypeError, "over"),
    "a parameter by name": (lambda: swept(over=[rnnjax.axis("tau", [5.0])])(), TypeError, "where"),
    "a parameter by value": (lambda: swept(over=[rnnjax.axis(PAIR.tau, [5.0])])(), TypeError, "where"),
    "values in words": (lambda: rnnjax.axis(tau, "5:10"), TypeError, "axis"),
    "values among words": (lambda: rnnjax.axis(tau, [5.0, "ten"]), TypeError, "axis"),
    "values with a hole": (lambda: rnnjax.axis(tau, [5.0, None]), TypeError, "axis"),
    "values of None": (lambda: rnnjax.axis(tau, None), TypeError, "axis"),
    "ragged values": (lambda: rnnjax.axis(tau, [[5.0], [5.0, 10.0]]), ValueError, "axis"),
    "values in a dictionary": (lambda: rnnjax.axis(tau, {"low": 5.0}), TypeError, "axis"),
    "one value": (lambda: rnnjax.axis(tau, 5.0), ValueError, "axis"),
    "values in a range": (lambda: rnnjax.axis(tau, range(5, 10)), WORKS),
    "complex values": (lambda: rnnjax.axis(tau, [5.0, 1j]), TypeError, "axis"),
    "a number for a name": (lambda: swept(over=[rnnjax.axis(tau, [5.0, 10.0], 3)])(), TypeError, "name"),
    "axes that are no axes": (lambda: rnnjax.points([5.0], [10.0]), TypeError, "points"),
    "a list of axes for points": (lambda: rnnjax.points([rnnjax.axis(tau, [5.0])]), TypeError, "points"),
    "points of two lengths": (lambda: rnnjax.points(rnnjax.axis(tau, [5.0]), rnnjax.axis(tau, [5.0, 6.0])), ValueError, "points"),
    "a negative number of points": (
        lambda: rnnjax.random_points(rnnjax.axis(tau, (1.0, 2.0)), count=-3, key=0), ValueError, "count",
    ),
    "half a point": (lambda: rnnjax.random_points(rnnjax.axis(tau, (1.0, 2.0)), count=1.5, key=0), ValueError, "count"),
    "ranges that are no axes": (lambda: rnnjax.random_points((1.0, 2.0), count=3, key=0), TypeError, "random_points"),
    "a range from high to low": (lambda: rnnjax.random_points(rnnjax.axis(tau, (2.0, 1.0)), count=3, key=0), ValueError, "random_points"),
    "a chunk of zero": (swept(chunk=0), ValueError, "chunk"),
    "a negative chunk": (swept(chunk=-2), ValueError, "chunk"),
    "a chunk of half a point": (swept(chunk=1.5), ValueError, "chunk"),
    "a chunk in words": (swept(chunk="auto"), ValueError, "chunk"),
    "a store of another kind": (swept(store="result.csv"), ValueError, "store"),
    "a number for a store": (swept(store=3), TypeError, "store"),
    "a plan in words": (swept(plan="parallel"), TypeError, "plan"),
    "a plan of no lanes": (swept(plan=rnnjax.Plan(0, 1)), ValueError, "plan.tile"),
    "a plan of half a lane": (swept(plan=rnnjax.Plan(1.5, 1)), ValueError, "plan.tile"),
    "a plan of devices in words": (swept(plan=rnnjax.Plan(None, "all")), ValueError, "plan.devices"),
    "no duration in sweep": (lambda: rnnjax.sweep(PAIR, {"mean": MEAN}, [rnnjax.axis(tau, [5.0])]), ValueError, "duration"),
    "a time constant of zero on an axis": (swept(over=[rnnjax.axis(tau, [0.0, 5.0])]), ValueError, "tau"),
    "the same parameter twice": (swept(over=[rnnjax.axis(tau, [5.0]), rnnjax.axis(tau, [6.0])]), ValueError, "over"),
    "a parameter that there is not": (swept(over=[rnnjax.axis(lambda c: c.sigma, [5.0])]), ValueError, "where"),
    "an expression for a parameter": (swept(over=[rnnjax.axis(lambda c: 2 * c.tau, [5.0])]), ValueError, "where"),
    "a where of two arguments": (swept(over=[rnnjax.axis(lambda c, x: c.tau, [5.0])]), ValueError, "where"),
    "an input beside that of a pair": (swept(rnnjax.Driven(PAIR, inputs.Step()), over=[rnnjax.axis(lambda d: d.circuit.tau, [5.0])], input=1.0), ValueError, "input"),
    "a noise without simulation": (
        lambda: rnnjax.sweep(PAIR, {"x": tau}, [rnnjax.axis(tau, [5.0])], noise=NOISE, key=0), ValueError, "noise",
    ),
    "a function that gives words": (lambda: rnnjax.sweep(PAIR, {"x": lambda c: "high"}, [rnnjax.axis(tau, [5.0])]), TypeError, "measures['x']"),
    "a function that takes nothing": (lambda: rnnjax.sweep(PAIR, {"x": lambda: 1.0}, [rnnjax.axis(tau, [5.0])]), TypeError, "measures['x']"),
}  # fmt: skip


def held_orbit(**settings):
    angle = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
    guess = np.stack([np.cos(angle), np.sin(angle)], 1)
    return lambda: rnnjax.find_orbit(
        PAIR, **{"guess": guess, "period": 10.0, "throw": False, **settings}
    )


ANALYSIS: Rows = {
    "a class in find_equilibria": (lambda: rnnjax.find_equilibria(circuits.WilsonCowan), TypeError, "call it"),
    "a function in find_equilibria": (lambda: rnnjax.find_equilibria(lambda x: -x), TypeError, "circuit"),
    "a map in find_equilibria": (lambda: rnnjax.find_equilibria(Counter()), TypeError, "map"),
    "deflate in words": (lambda: rnnjax.find_equilibria(PAIR, deflate="yes"), ValueError, "deflate"),
    "a negative deflate": (lambda: rnnjax.find_equilibria(PAIR, deflate=-1), ValueError, "deflate"),
    "half a round": (lambda: rnnjax.find_equilibria(PAIR, deflate=1.5), ValueError, "deflate"),
    "max_steps of zero": (lambda: rnnjax.find_equilibria(PAIR, max_steps=0), ValueError, "max_steps"),
    "max_steps in words": (lambda: rnnjax.find_equilibria(PAIR, max_steps="many"), ValueError, "max_steps"),
    "max_steps of slow points": (lambda: rnnjax.find_slow_points(PAIR, max_steps=0), ValueError, "max_steps"),
    "a time in words": (lambda: rnnjax.find_equilibria(PAIR, time="now"), TypeError, "time"),
    "no time but None": (lambda: rnnjax.find_equilibria(PAIR, time=None), TypeError, "time"),
    "a time of NaN": (lambda: rnnjax.linearize(PAIR, np.zeros(2), time=np.nan), ValueError, "time"),
    "times for a time": (lambda: rnnjax.linearize(PAIR, np.zeros(2), time=TIMES), ValueError, "time"),
    "guesses of three units": (lambda: rnnjax.find_equilibria(PAIR, guesses=np.zeros((4, 3))), ValueError, "guesses"),
    "guesses the other way round": (lambda: rnnjax.find_equilibria(PAIR, guesses=np.zeros((2, 5))), ValueError, "guesses"),
    "a tolerance of slow points in words": (lambda: rnnjax.find_slow_points(PAIR, tolerance="low"), TypeError, "tolerance"),
    "no tolerance of slow points": (lambda: rnnjax.find_slow_points(PAIR, tolerance=None), TypeError, "tolerance"),
    "a tolerance per unit": (lambda: rnnjax.find_slow_points(PAIR, tolerance=[1.0, 1.0]), ValueError, "tolerance"),
    "a state of three units": (lambda: rnnjax.linearize(PAIR, np.zeros(3)), ValueError, "state"),
    "an input before the state": (lambda: rnnjax.linearize(PAIR, inputs.Step(), np.zeros(2)), TypeError, "state"),
    "equilibria for a state": (lambda: rnnjax.linearize(PAIR, rnnjax.find_equilibria(PAIR)), TypeError, "state"),
    "no state at all": (lambda: rnnjax.linearize(PAIR), TypeError, "state"),
    "too many eigenvalues": (lambda: rnnjax.leading_eigenvalues(PAIR, np.zeros(2), count=5), ValueError, "count"),
    "eigenvalues in words": (lambda: rnnjax.leading_eigenvalues(PAIR, np.zeros(2), count="all"), ValueError, "count"),
    "a tolerance of eigenvalues in words": (
        lambda: rnnjax.leading_eigenvalues(PAIR, np.zeros(2), count=1, tolerance="low"), TypeError, "tolerance",
    ),
    "a subspace in words": (lambda: rnnjax.leading_eigenvalues(PAIR, np.zeros(2), count=1, subspace="big"), ValueError, "subspace"),
    "a box of one number": (lambda: rnnjax.enumerate_equilibria(PAIR, box=10.0), ValueError, "box"),
    "a box upside down": (lambda: rnnjax.enumerate_equilibria(PAIR, box=(np.ones(2), -np.ones(2))), ValueError, "box"),
    "a box in words": (lambda: rnnjax.enumerate_equilibria(PAIR, box="all"), ValueError, "box"),
    "a box of three units": (lambda: rnnjax.enumerate_equilibria(PAIR, box=(-np.ones(3), np.ones(3))), ValueError, "box"),
    "a resolution in words": (lambda: rnnjax.enumerate_equilibria(Leak(), box=([-1.0], [1.0]), resolution="fine"), TypeError, "resolution"),
    "a negative resolution": (lambda: rnnjax.enumerate_equilibria(Leak(), box=([-1.0], [1.0]), resolution=-1.0), ValueError, "resolution"),
    "no boxes": (lambda: rnnjax.enumerate_equilibria(Leak(), box=([-1.0], [1.0]), max_boxes=0), ValueError, "max_boxes"),
    "a plane of three": (lambda: rnnjax.vector_field(E_I, (0.0, 1.0, 2.0), (0.0, 1.0)), ValueError, "x:"),
    "a plane of numbers": (lambda: rnnjax.vector_field(E_I, 1.0, 2.0), ValueError, "x:"),
    "a plane in words": (lambda: rnnjax.vector_field(E_I, "e", "i"), TypeError, "x:"),
    "one variable of a plane": (lambda: rnnjax.vector_field(E_I, (0.0, 1.0), (0.0, 1.0), variables="e"), ValueError, "variables"),
    "variables by number": (lambda: rnnjax.vector_field(E_I, (0.0, 1.0), (0.0, 1.0), variables=(0, 1)), ValueError, "variables"),
    "a plane of one unit": (lambda: rnnjax.vector_field(Leak(), (0.0, 1.0), (0.0, 1.0)), ValueError, "variables"),
    "no points of a plane": (lambda: rnnjax.vector_field(E_I, (0.0, 1.0), (0.0, 1.0), points=0), ValueError, "points"),
    "points of a plane in words": (lambda: rnnjax.vector_field(E_I, (0.0, 1.0), (0.0, 1.0), points="many"), ValueError, "points"),
    "points of a plane as a float": (lambda: rnnjax.vector_field(E_I, (0.0, 1.0), (0.0, 1.0), points=11.0), ValueError, "points"),
    "no step of exponents": (lambda: rnnjax.lyapunov_exponents(PAIR, 100.0), ValueError, "step"),
    "blocks in words": (lambda: rnnjax.lyapunov_exponents(PAIR, 100.0, step=0.5, blocks="ten"), ValueError, "blocks"),
    "more exponents than variables": (lambda: rnnjax.lyapunov_exponents(PAIR, 100.0, step=0.5, blocks=10, every=5, count=3), ValueError, "count"),
    "times for the duration of exponents": (lambda: rnnjax.lyapunov_exponents(PAIR, TIMES, step=0.5), ValueError, "duration"),
    "a transient of exponents in words": (
        lambda: rnnjax.lyapunov_exponents(PAIR, 100.0, step=0.5, transient="half"), TypeError, "transient",
    ),
    "a batch of exponents": (lambda: rnnjax.lyapunov_exponents(PAIR, 100.0, step=0.5, blocks=10, every=5, start=np.zeros((3, 2))), ValueError, "start"),
    "no bounds": (branch(bounds=None), ValueError, "bounds"),
    "bounds in words": (branch(bounds="all"), ValueError, "bounds"),
    "bounds among words": (branch(bounds=("low", "high")), ValueError, "bounds"),
    "one bound": (branch(bounds=1.0), ValueError, "bounds"),
    "three bounds": (branch(bounds=(0.0, 1.0, 2.0)), ValueError, "bounds"),
    "bounds upside down": (branch(bounds=(1.0, -1.0)), ValueError, "bounds"),
    "bounds of NaN": (branch(bounds=(np.nan, 1.0)), ValueError, "bounds"),
    "bounds around something else": (branch(bounds=(5.0, 6.0)), ValueError, "bounds"),
    "bounds for the start": (lambda: rnnjax.continue_equilibria(PAIR, lambda c: c.bias, (-1.0, 1.0)), ValueError, "bounds"),
    "a parameter by name, followed": (branch(where="bias"), TypeError, "where"),
    "no parameter, followed": (lambda: rnnjax.continue_equilibria(PAIR, None, bounds=(-1.0, 1.0)), TypeError, "where"),
    "weights, followed": (branch(where=lambda c: c.connectivity.weights), ValueError, "where"),
    "a circuit and where the other way round": (lambda: rnnjax.continue_equilibria(tau, PAIR, None, (1.0, 20.0)), TypeError, "circuit"),
    "max_step in words": (branch(max_step="small"), TypeError, "max_step"),
    "max_step of None": (branch(max_step=None), TypeError, "max_step"),
    "a negative max_step": (branch(max_step=-0.1), ValueError, "max_step"),
    "max_points of None": (branch(max_points=None), ValueError, "max_points"),
    "bifurcations by name": (branch(bifurcations=("Hopf",)), TypeError, "bifurcations"),
    "bifurcations by one name": (branch(bifurcations="Hopf"), TypeError, "bifurcations"),
    "a bifurcation without a tuple": (branch(bifurcations=rnnjax.bifurcations.Hopf()), TypeError, "bifurcations"),
    "a bifurcation's class": (branch(bifurcations=(rnnjax.bifurcations.Hopf,)), TypeError, "bifurcations"),
    "a list of bifurcations and a name": (branch(bifurcations=[rnnjax.bifurcations.Fold(), "Hopf"]), TypeError, "'Hopf'"),
    "equilibria for the start of a branch": (lambda: branch(start=rnnjax.find_equilibria(PAIR))(), TypeError, "start"),
    "bounds of a large branch in words": (
        lambda: rnnjax.continue_large(PAIR, lambda c: c.bias, None, "all", count=1), ValueError, "bounds",
    ),
    "max_step of a large branch in words": (
        lambda: rnnjax.continue_large(PAIR, lambda c: c.bias, None, (-1.0, 1.0), count=1, max_step="x"), TypeError, "max_step",
    ),
    "no guess of an orbit": (lambda: rnnjax.find_orbit(PAIR, None), TypeError, "guess"),
    "a state for an orbit": (held_orbit(guess=np.zeros(2)), ValueError, "guess"),
    "a word for an orbit": (held_orbit(guess="cycle"), TypeError, "guess"),
    "an orbit of three units": (held_orbit(guess=np.zeros((16, 3))), ValueError, "guess"),
    "a period in words": (held_orbit(period="long"), ValueError, "period"),
    "a period of NaN": (held_orbit(period=np.nan), ValueError, "period"),
    "an infinite period": (held_orbit(period=np.inf), ValueError, "period"),
    "a negative period": (held_orbit(period=-10.0), ValueError, "period"),
    "no period": (held_orbit(period=None), ValueError, "period"),
    "periods": (held_orbit(period=[10.0, 20.0]), ValueError, "period"),
    "intervals in words": (held_orbit(intervals="many"), ValueError, "intervals"),
    "a short list for an orbit": (held_orbit(guess=[[0.0, 1.0]] * 7), ValueError, "8 samples"),
    "a trajectory of observations for an orbit": (
        lambda: rnnjax.find_orbit(PAIR, stepped(observe=first)()), ValueError, "observe",
    ),
    "no orbit in phase_response": (lambda: rnnjax.phase_response(PAIR, None), ValueError, "orbit"),
    "a trajectory in phase_response": (lambda: rnnjax.phase_response(PAIR, simulated()()), ValueError, "orbit"),
    "no orbit in phase_of": (lambda: rnnjax.phase_of(PAIR, None, np.zeros(2)), ValueError, "orbit"),
    "a state for the orbit in phase_of": (lambda: rnnjax.phase_of(PAIR, np.zeros(2), np.zeros(2)), ValueError, "orbit"),
    "no start of orbits": (lambda: rnnjax.continue_orbits(PAIR, lambda c: c.bias, None, (-1.0, 1.0)), ValueError, "start"),
    "a state for the start of orbits": (
        lambda: rnnjax.continue_orbits(PAIR, lambda c: c.bias, np.zeros(2), (-1.0, 1.0)), ValueError, "start",
    ),
    "no start of a curve": (
        lambda: rnnjax.continue_bifurcation(E_I, (lambda c: c.tau_i, lambda c: c.tau_e), None, ((1.0, 90.0), (1.0, 20.0))), TypeError, "start",
    ),
    "one parameter of a curve": (
        lambda: rnnjax.continue_bifurcation(E_I, lambda c: c.tau_i, None, (1.0, 90.0)), TypeError, "start",
    ),
    "a diagram without bounds": (lambda: rnnjax.diagram(PAIR, lambda c: c.bias, None), ValueError, "bounds"),
    "a diagram of bounds in words": (lambda: rnnjax.diagram(PAIR, lambda c: c.bias, "all"), ValueError, "bounds"),
    "a diagram of a parameter by name": (lambda: rnnjax.diagram(PAIR, "bias", (-1.0, 1.0)), TypeError, "where"),
    "a diagram of no circuit": (lambda: rnnjax.diagram("WilsonCowan", tau, (1.0, 2.0)), TypeError, "circuit"),
    "a diagram of a class": (lambda: rnnjax.diagram(circuits.WilsonCowan, lambda c: c.p, (1.0, 2.0)), TypeError, "call it"),
    "a diagram of no values": (lambda: rnnjax.diagram(PAIR, lambda c: c.bias, (-1.0, 1.0), values=0), ValueError, "values"),
    "a diagram with a second parameter alone": (
        lambda: rnnjax.diagram(PAIR, lambda c: c.bias, (-1.0, 1.0), second=tau), TypeError, "second",
    ),
    "a diagram with an unknown option": (lambda: rnnjax.diagram(PAIR, lambda c: c.bias, (-1.0, 1.0), ds=0.1), TypeError, "ds"),
    "a diagram of no branches": (lambda: rnnjax.diagram(PAIR, lambda c: c.bias, (-1.0, 1.0), max_branches=0), ValueError, "max_branches"),
    "no duration of basins": (lambda: rnnjax.basins(PAIR, np.zeros((2, 2)), duration=None), ValueError, "duration"),
    "basins for a duration in words": (lambda: rnnjax.basins(PAIR, np.zeros((2, 2)), duration="long"), ValueError, "duration"),
    "starts of basins by name": (lambda: rnnjax.basins(PAIR, "everywhere", duration=10.0), TypeError, "starts"),
    "no starts of basins but None": (lambda: rnnjax.basins(PAIR, None, duration=10.0), TypeError, "starts"),
    "a tolerance of basins in words": (
        lambda: rnnjax.basins(PAIR, np.zeros((2, 2)), duration=10.0, tolerance="low"), TypeError, "tolerance",
    ),
    "attractors in words": (lambda: rnnjax.basins(PAIR, np.zeros((2, 2)), duration=10.0, attractors="all"), TypeError, "attractors"),
    "attractors of three units": (lambda: rnnjax.basins(PAIR, np.zeros((2, 2)), duration=10.0, attractors=np.zeros((1, 3))), ValueError, "attractors"),
    "axes of basins by name": (
        lambda: rnnjax.basins(PAIR, [rnnjax.axis("x", [0.0, 1.0])], duration=10.0), TypeError, "where",
    ),
}  # fmt: skip


def first(state):
    return state[0]


TRAINING: Rows = {
    "a parameter by name in fit": (fitted(where="tau"), TypeError, "where"),
    "a list of names in fit": (fitted(where=["tau", "bias"]), TypeError, "where"),
    "no where in fit": (lambda: rnnjax.fit(PAIR, None, loss_with_if), TypeError, "where"),
    "an objective and where the other way round": (lambda: rnnjax.fit(PAIR, rnnjax.OnTask(TASK), tau, key=0), TypeError, "where"),
    "a task for an objective": (fitted(NETWORK, lambda n: n.circuit.connectivity, TASK, key=0), TypeError, "objective"),
    "an objective by name": (fitted(objective="mse"), TypeError, "objective"),
    "no objective": (lambda: rnnjax.fit(PAIR, tau, None), TypeError, "objective"),
    "an objective of many numbers": (fitted(objective=lambda c, key: jnp.ones(3) * c.tau), ValueError, "objective"),
    "an optimizer's class": (fitted(optimizer=optax.adam), TypeError, "optimizer"),
    "an optimizer by name": (fitted(optimizer="adam"), TypeError, "optimizer"),
    "a learning rate for an optimizer": (fitted(optimizer=1e-3), TypeError, "optimizer"),
    "lr in fit": (fitted(lr=1e-3), TypeError, "optimizer"),
    "epochs in fit": (fitted(epochs=10), TypeError, "steps"),
    "no steps in fit": (fitted(steps=0), ValueError, "steps"),
    "steps as a float": (fitted(steps=10.0), ValueError, "steps"),
    "steps in words": (fitted(steps="many"), ValueError, "steps"),
    "a stop by a number": (fitted(stop=0.01), TypeError, "stop"),
    "a stop without validations": (fitted(stop=rnnjax.Stop(below=0.1)), ValueError, "validate_every"),
    "an audit by a number": (fitted(audit=100), TypeError, "audit"),
    "a checkpoint as a truth value": (fitted(checkpoint=True), TypeError, "checkpoint"),
    "a checkpoint as a number": (fitted(checkpoint=3), TypeError, "checkpoint"),
    "a checkpoint's interval in words": (fitted(checkpoint_interval="often"), TypeError, "checkpoint_interval"),
    "a checkpoint's negative interval": (fitted(checkpoint_interval=-1.0), ValueError, "checkpoint_interval"),
    "validate_every of zero": (fitted(validate_every=0), ValueError, "validate_every"),
    "a class in fit": (fitted(circuits.WilsonCowan, lambda c: c.p), TypeError, "call it"),
    "a word in fit": (fitted("WilsonCowan", lambda c: c.p), TypeError, "circuit"),
    "a matrix in fit": (fitted(np.eye(3), lambda c: c), TypeError, "circuit"),
    "a circuit for a task network": (fitted(PAIR, tau, rnnjax.OnTask(TASK), key=0), TypeError, "TaskNetwork"),
    "no key in fit": (fitted(NETWORK, lambda n: n.circuit.connectivity, rnnjax.OnTask(TASK)), ValueError, "key"),
    "many keys for one circuit": (fitted(key=jax.random.split(KEY, 3)), ValueError, "key"),
    "a task's class": (lambda: rnnjax.OnTask(tasks.FlipFlop), TypeError, "task"),
    "a task by name": (lambda: rnnjax.OnTask("flipflop"), TypeError, "task"),
    "no batch": (lambda: rnnjax.OnTask(TASK, batch=0), ValueError, "batch"),
    "a batch in words": (lambda: rnnjax.OnTask(TASK, batch="all"), ValueError, "batch"),
    "a batch as a float": (lambda: rnnjax.OnTask(TASK, batch=16.0), ValueError, "batch"),
    "a loss by name": (lambda: rnnjax.OnTask(TASK, loss="mse"), TypeError, "loss"),
    "a rule's class": (lambda: rnnjax.OnTask(TASK, credit=rnnjax.credit.DiagonalRecurrent), TypeError, "credit"),
    "a rule by name": (lambda: rnnjax.OnTask(TASK, credit="bptt"), TypeError, "credit"),
    "a forcing by name": (lambda: rnnjax.OnTask(TASK, forcing="teacher"), TypeError, "forcing"),
    "a forcing's class": (lambda: rnnjax.OnTask(TASK, forcing=rnnjax.forcing.TeacherForcing), TypeError, "forcing"),
    "noise of a task as a number": (lambda: rnnjax.OnTask(TASK, noise=0.1), TypeError, "noise"),
    "a solver of a task by name": (lambda: rnnjax.OnTask(TASK, solver="euler"), TypeError, "solver"),
    "a circuit in perform": (lambda: rnnjax.perform(PAIR, TASK, key=0), TypeError, "TaskNetwork"),
    "a task's class in perform": (lambda: rnnjax.perform(NETWORK, tasks.FlipFlop, key=0), TypeError, "task"),
    "another task in perform": (lambda: rnnjax.perform(NETWORK, tasks.FlipFlop(), key=0), ValueError, "FlipFlop has"),
    "no trials in perform": (lambda: rnnjax.perform(NETWORK, TASK, key=0, trials=0), ValueError, "trials"),
    "no circuit in gradient": (lambda: rnnjax.gradient("c", tau, loss_with_if), TypeError, "circuit"),
    "no where in gradient": (lambda: rnnjax.gradient(PAIR, "tau", lambda c, key: c.tau), TypeError, "where"),
    "every zero steps": (lambda: rnnjax.every(0), ValueError, "every"),
    "every in words": (lambda: rnnjax.every("epoch"), ValueError, "every"),
    "a stop that never stops": (lambda: rnnjax.Stop(), ValueError, "Stop"),
    "a stop below a word": (lambda: rnnjax.Stop(below="low"), TypeError, "Stop.below"),
    "a negative patience": (lambda: rnnjax.Stop(patience=-1), ValueError, "Stop.patience"),
    "bits in words": (lambda: tasks.FlipFlop(bits="three").sample(0), ValueError, "bits"),
    "no bits": (lambda: tasks.FlipFlop(bits=0).sample(0), ValueError, "bits"),
    "a delay in words": (lambda: tasks.DelayedXOR(delay="long"), TypeError, "delay"),
    "a negative delay": (lambda: tasks.DelayedXOR(delay=-20.0), ValueError, "delay"),
    "a task's step in words": (lambda: tasks.DelayedXOR(step="1 ms"), TypeError, "step"),
    "no step of a task": (lambda: tasks.DelayedXOR(step=None), TypeError, "step"),
    "trials of two lengths": (lambda: tasks.FromTrials(np.zeros((3, 10, 2)), np.zeros((3, 11, 1))), ValueError, "11"),
    "trials in words": (lambda: tasks.FromTrials("inputs", "targets"), TypeError, "inputs"),
    "a target's frequency in words": (lambda: rnnjax.targets.OscillatesAt("alpha"), TypeError, "frequency"),
    "a target's class": (fitted(objective=rnnjax.targets.OscillatesAt), TypeError, "objective"),
    "a target at a state of three units": (
        fitted(objective=rnnjax.targets.RestsAt(np.zeros(3))), ValueError, "RestsAt",
    ),
}  # fmt: skip

PARTS: Rows = {
    "weights in words": (lambda: Dense("random"), TypeError, "Dense.weights"),
    "no weights": (lambda: Dense(None), TypeError, "Dense.weights"),
    "one weight": (lambda: Dense(3.0), ValueError, "Dense.weights"),
    "a number of units for weights": (lambda: Dense(100), ValueError, "Dense.weights"),
    "weights in three axes": (lambda: Dense(np.zeros((2, 2, 2))), ValueError, "Dense.weights"),
    "ragged weights": (lambda: Dense([[1.0], [1.0, 2.0]]), ValueError, "Dense.weights"),
    "weights among words": (lambda: Dense([["a", "b"], ["c", "d"]]), TypeError, "Dense.weights"),
    "weights with a hole": (lambda: Dense([[None, 1.0], [1.0, 0.0]]), TypeError, "Dense.weights"),
    "a tensor for weights": (lambda: np.shape(Dense(Tensor(np.eye(2))).weights), WORKS),
    "a tensor for weights, run": (lambda: simulated(circuits.LinearNetwork(Dense(Tensor(np.eye(2) / 2))))(), WORKS),
    "weights in a dictionary": (lambda: Dense({"w": 1.0}), TypeError, "Dense.weights"),
    "a function for weights": (lambda: Dense(np.eye), TypeError, "Dense.weights"),
    "a size in words": (lambda: Dense.random("ten", key=0), ValueError, "units"),
    "a size as a float": (lambda: Dense.random(10.0, key=0), ValueError, "units"),
    "a shape for a size": (lambda: Dense.random((10, 10), key=0), ValueError, "units"),
    "a gain in words": (lambda: Dense.random(4, key=0, gain="high"), TypeError, "gain"),
    "a density above one": (lambda: Masked.random(20, key=0, density=2.0), ValueError, "density"),
    "a density in words": (lambda: Masked.random(20, key=0, density="sparse"), TypeError, "density"),
    "a share above one": (lambda: Dale.random(20, key=0, excitatory=2.0), ValueError, "excitatory"),
    "a ring's size in words": (lambda: connectivity.Cosine(size="ten"), ValueError, "Cosine.size"),
    "a ring's size as a float": (lambda: connectivity.Cosine(size=10.0), ValueError, "Cosine.size"),
    "a matrix for a network": (lambda: circuits.RateNetwork(np.eye(3)), TypeError, "connectivity"),
    "a size for a network": (lambda: circuits.RateNetwork(100), TypeError, "connectivity"),
    "a connectivity's class": (lambda: circuits.RateNetwork(Dense), TypeError, "connectivity"),
    "a time constant in words": (lambda: circuits.RateNetwork(tau="10 ms"), TypeError, "RateNetwork.tau"),
    "no time constant": (lambda: circuits.RateNetwork(tau=None), TypeError, "RateNetwork.tau"),
    "a time constant of zero": (lambda: circuits.RateNetwork(tau=0), ValueError, "RateNetwork.tau"),
    "a complex time constant": (lambda: circuits.RateNetwork(tau=10 + 1j), TypeError, "RateNetwork.tau"),
    "a list with a hole for time constants": (lambda: circuits.LinearNetwork(tau=[1.0, None]), TypeError, "tau"),
    "a parameter that there is not, given": (lambda: circuits.WilsonCowan(tau=1.0), TypeError, "tau"),
    "time constants per unit": (simulated(circuits.WilsonCowan(tau_e=[1.0, 2.0])), TypeError, "WilsonCowan.__call__"),
    "a decimal for a parameter": (lambda: circuits.WilsonCowan(p=Decimal("1.25")), TypeError, "WilsonCowan.p"),
    "a fraction for a parameter": (lambda: simulated(circuits.WilsonCowan(p=Fraction(5, 4)))(), WORKS),
    "a date for a parameter": (lambda: circuits.WilsonCowan(p=np.datetime64("2020-01-01")), TypeError, "WilsonCowan.p"),
    "a tensor for a parameter": (lambda: simulated(circuits.WilsonCowan(p=Tensor(1.25)))(), WORKS),
    "a quantity for a parameter": (lambda: circuits.WilsonCowan(p=Quantity(1.25)), TypeError, "unit"),
    "a set for a parameter": (lambda: circuits.WilsonCowan(p={1.25}), TypeError, "WilsonCowan.p"),
    "a pulse in words": (lambda: inputs.Pulse("strong"), TypeError, "Pulse.amplitude"),
    "a pulse before an onset in words": (lambda: inputs.Pulse(1.0, "100 ms"), TypeError, "Pulse.onset"),
    "no frequency of a sinusoid": (lambda: inputs.Sinusoid(frequency=None), TypeError, "Sinusoid.frequency"),
    "a frequency of zero": (lambda: inputs.Sinusoid(frequency=0.0), ValueError, "Sinusoid.frequency"),
    "a ramp of no duration": (lambda: inputs.Ramp(duration=0.0), ValueError, "Ramp.duration"),
    "a recording in words": (lambda: inputs.Recording("file.wav", 1000.0), TypeError, "samples"),
    "a recording of None": (lambda: inputs.Recording(None, 1000.0), TypeError, "samples"),
    "a recording's rate in words": (lambda: inputs.Recording(np.zeros(9), "1 kHz"), TypeError, "sample_rate"),
    "a ragged recording": (lambda: inputs.Recording([[1.0], [1.0, 2.0]], 1000.0), ValueError, "samples"),
    "a recording in three axes": (lambda: simulated(input=inputs.Recording(np.zeros((9, 2, 2)), 1000.0))(), ValueError, "Recording.samples"),
    "a recording the other way round": (lambda: simulated(input=inputs.Recording(np.zeros((2, 9)), 1000.0))(), ValueError, "input"),
    "a tensor for a recording": (lambda: inputs.Recording(Tensor(np.zeros(9)), 1000.0), WORKS),
    "an input plus a number": (lambda: inputs.Step() + 1.0, TypeError, "Constant"),
    "an input times a word": (lambda: inputs.Step() * "two", TypeError, "profile"),
    "an input times an input": (lambda: inputs.Step() * inputs.Pulse(), TypeError, "profile"),
    "noise in words": (lambda: noise.Additive("strong"), TypeError, "Additive.scale"),
    "noise of None": (lambda: noise.Additive(None), TypeError, "Additive.scale"),
    "a unit that is a number": (lambda: rnnjax.parameter(1.0, 3), TypeError, "unit"),
    "a path that is a number, saved": (lambda: rnnjax.save(3, PAIR), TypeError, "path"),
    "nothing, saved": (lambda: rnnjax.save("/tmp/nothing.rnnjax", None), TypeError, "circuit"),
    "an array, saved": (lambda: rnnjax.save("/tmp/nothing.rnnjax", np.zeros(3)), TypeError, "circuit"),
    "a folder that there is not": (lambda: rnnjax.save("/proc/nowhere/x.rnnjax", PAIR), OSError, "/proc"),
    "a file that there is not": (lambda: rnnjax.load("/no/such/file"), OSError, "/no/such"),
    "a number, loaded": (lambda: rnnjax.load(3), TypeError, "path"),
    "no path, loaded": (lambda: rnnjax.load(None), TypeError, "path"),
    "this file, loaded": (lambda: rnnjax.load(__file__), ValueError, "no circuit"),
    "no trajectory, drawn": (lambda: rnnjax.plot.trajectory(np.zeros(3)), TypeError, "trajectory"),
    "no equilibria, drawn": (lambda: rnnjax.plot.branches(np.zeros(3)), TypeError, "branch"),
    "an axis in words, drawn": (lambda: rnnjax.plot.trajectory(stepped()(), "left"), TypeError, "ax"),
    "a variable that there is not, drawn": (lambda: rnnjax.plot.trajectory(stepped()(), variables="v"), ValueError, "v"),
    "a cache at a number": (lambda: rnnjax.cache(3), TypeError, "folder"),
    "a tuning in words": (lambda: rnnjax.tune_cpu("all"), TypeError, "devices"),
    "a tuning by half a device": (lambda: rnnjax.tune_cpu(1.5), TypeError, "devices"),
    "a verb that there is not": (lambda: rnnjax.run, AttributeError, "run"),
}  # fmt: skip

TABLES: dict[str, Rows] = {
    "keys": KEYS, "nothing in it": NOTHING_IN_IT, "states": STATES, "own code": OWN_CODE,
    "looking for NaN": NANS, "simulate": SIMULATE, "measure": MEASURE, "sweep": SWEEP,
    "analysis": ANALYSIS, "training": TRAINING, "parts": PARTS,
}  # fmt: skip
ROWS = {f"{table}: {name}": row for table, rows in TABLES.items() for name, row in rows.items()}


class Outcome(NamedTuple):
    """What became of a call: whether it is as expected, and in words."""

    kind: str  # "right", "silent", "foreign", "other"
    words: str


def tried(row) -> Outcome:
    """Run one row.

    "silent" is what was taken although it should be refused, "foreign" an error that another library
    raised or whose words are not ours, "other" one of ours in other words or of another type.
    """
    call, expected, *word = row
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            call()
    except Exception as error:
        return _judged(error, expected, *word)
    return (
        Outcome("right", "")
        if isinstance(expected, str)
        else Outcome("silent", "nothing was raised")
    )


def _judged(error: Exception, expected, word: str = "") -> Outcome:
    told = f"{type(error).__name__}: {' '.join([str(error), *getattr(error, '__notes__', [])])}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = "/rnnjax/" in last.filename and str(last.line).startswith("raise ")
    ours |= "__init__() " in str(error)  # of Python, with the name of the class
    if not (ours or last.filename == __file__) or "Traced<" in told or len(told) > 700:
        return Outcome("foreign", f"{told} ({last.filename.rpartition('/')[2]}:{last.lineno})")
    if expected is NOT_FOREIGN:
        return Outcome("right", told)
    if expected is WORKS or not isinstance(error, expected):
        return Outcome("other", told)
    return Outcome("right", told) if word in told else Outcome("other", told)


def main() -> None:
    """All of them, and the counts; with words, those whose names have one of them."""
    counts = dict.fromkeys(("right", "silent", "foreign", "other"), 0)
    for name, row in ROWS.items():
        if len(sys.argv) > 1 and not any(word in name for word in sys.argv[1:]):
            continue
        found = tried(row)
        counts[found.kind] += 1
        if found.kind != "right":
            print(f"{found.kind:<8} {name}\n         {found.words[:400]}", flush=True)
    print(counts)


if __name__ == "__main__":
    main()
