"""What people write is taken as they mean it, or refused in words of the package, whatever it is."""

import datetime
import math

import bad_calls
import diffrax
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d

import rnnjax
from rnnjax import inputs
from rnnjax._machine.verb import as_key
from rnnjax.circuits import ExcitatoryInhibitory, WilsonCowan
from rnnjax.circuits._checks import first_state, starting_state
from rnnjax.measures import Final, Mean

EVERY = settings(max_examples=200, deadline=None, derandomize=True)
E_I = ExcitatoryInhibitory()


@pytest.fixture(autouse=True, scope="module")
def _as_for_users():
    """Without the checked annotations of the tests, which would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


SEEDS = (int, np.int64, np.uint32, np.asarray, jnp.uint32, jax.random.PRNGKey, jax.random.key)


@EVERY
@given(st.integers(0, 2**32 - 1), st.sampled_from(SEEDS), st.booleans())
def test_a_number_is_the_key_that_it_makes(number, kind, wide):
    with jax.enable_x64(wide):
        if kind in (jax.random.PRNGKey, jax.random.key):
            number = number % 2**31
        found = jax.random.key_data(as_key(kind(number)))
        assert found.tolist() == jax.random.key_data(jax.random.key(np.uint32(number))).tolist()


CONTAINERS = (
    list, tuple, np.asarray, np.float32, jnp.asarray, bad_calls.Tensor,
    lambda x: [np.float64(v) for v in x], lambda x: [jnp.float32(v) for v in x],
)  # fmt: skip
NUMBERS = st.floats(-1e3, 1e3, width=32)


@EVERY
@given(st.lists(NUMBERS, min_size=2, max_size=2), st.sampled_from(CONTAINERS), st.booleans())
def test_a_state_comes_in_any_container(numbers, container, made):
    """In every one it is the same state, given as it is or by a function of the circuit."""
    whole = container(numbers)
    given_ = (lambda c: whole) if made else whole
    found = starting_state(bad_calls.PAIR, None, first_state(given_, bad_calls.PAIR))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, numbers)


@EVERY
@given(st.lists(NUMBERS, min_size=2, max_size=2), st.sampled_from(CONTAINERS[:2]), st.booleans())
def test_lists_stand_for_named_tuples(numbers, container, arrays):
    entries = [np.asarray(x) for x in numbers] if arrays else numbers
    found = starting_state(E_I, None, first_state(container(entries), E_I))
    assert type(found) is type(E_I.rest())
    assert [float(x) for x in found] == numbers


RUBBISH = {
    "words": "rest", "bytes": b"1", "an object": object(), "a class": WilsonCowan, "a set": {1.0},
    "a dictionary": {"a": 1.0}, "a list with a hole": [1.0, None], "a ragged list": [[1.0], [1.0, 2.0]],
    "words in an array": np.array(["a", "b"]), "objects in an array": np.array([None, 1.0]),
    "a date": datetime.date(2020, 1, 1), "NumPy's date": np.datetime64("2020-01-01"),
    "complex": 1 + 2j, "complex ones": np.ones(2, complex), "NaN": np.nan, "infinity": np.inf,
    "minus one": -1.0, "a matrix": np.ones((2, 3)), "an input": inputs.Step(), "a key": jax.random.key(0),
    "a solver": diffrax.Tsit5(), "a module": np, "a slice": slice(3), "an ellipsis": ...,
}  # fmt: skip
ARGUMENTS = {
    "times": lambda x: rnnjax.simulate(bad_calls.PAIR, x),
    "start": lambda x: rnnjax.simulate(bad_calls.PAIR, [0.0, 1.0], start=x),
    "duration": lambda x: rnnjax.measure(bad_calls.PAIR, bad_calls.MEAN, x, step=0.5),
    "step": lambda x: rnnjax.simulate(bad_calls.PAIR, [0.0, 1.0], step=x),
    "transient": lambda x: rnnjax.measure(bad_calls.PAIR, bad_calls.MEAN, 1.0, step=0.5, transient=x),
    "rtol": lambda x: rnnjax.simulate(bad_calls.PAIR, [0.0, 1.0], rtol=x),
    "max_steps": lambda x: rnnjax.simulate(bad_calls.PAIR, [0.0, 1.0], max_steps=x),
    "noise": lambda x: rnnjax.simulate(bad_calls.PAIR, [0.0, 1.0], noise=x, step=0.5, key=0),
    "adjoint": lambda x: rnnjax.simulate(bad_calls.PAIR, [0.0, 1.0], adjoint=x),
    "dtype": lambda x: rnnjax.simulate(bad_calls.PAIR, [0.0, 1.0], dtype=x),
    "observe": lambda x: rnnjax.simulate(bad_calls.PAIR, [0.0, 1.0], observe=x),
    "measures": lambda x: rnnjax.measure(bad_calls.PAIR, x, 1.0, step=0.5),
    "circuit": lambda x: rnnjax.find_equilibria(x),
    "guesses": lambda x: rnnjax.find_equilibria(bad_calls.PAIR, guesses=x),
    "state": lambda x: rnnjax.linearize(bad_calls.PAIR, x),
    "time": lambda x: rnnjax.linearize(bad_calls.PAIR, [0.0, 0.0], time=x),
    "where": lambda x: rnnjax.axis(x, [1.0]),
    "bounds": lambda x: rnnjax.continue_equilibria(bad_calls.PAIR, lambda c: c.bias, None, x),
    "max_step": lambda x: rnnjax.continue_equilibria(
        bad_calls.PAIR, lambda c: c.bias, None, (-1.0, 1.0), max_step=x
    ),
    "guess": lambda x: rnnjax.find_orbit(bad_calls.PAIR, x, period=10.0),
    "over": lambda x: rnnjax.sweep(bad_calls.PAIR, {"m": bad_calls.MEAN}, x, duration=1.0, step=0.5),
    "objective": lambda x: rnnjax.fit(bad_calls.PAIR, lambda c: c.tau, x, steps=1, progress=False),
    "optimizer": lambda x: rnnjax.fit(
        bad_calls.PAIR, lambda c: c.tau, lambda c, key: c.tau, steps=1, optimizer=x
    ),
    "weights": lambda x: rnnjax.connectivity.Dense(x),
    "tau": lambda x: WilsonCowan(tau_e=x),
    "onset": lambda x: inputs.Pulse(onset=x),
    "path": lambda x: rnnjax.load(x),
}  # fmt: skip
# What is right after all.
TAKEN = {
    ("key", "a key"), ("onset", "minus one"), ("onset", "a matrix"), ("tau", "a matrix"),
    ("time", "minus one"), ("start", "a class"), ("state", "a class"), ("observe", "an input"),
}  # fmt: skip


@settings(max_examples=700, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(ARGUMENTS)), st.sampled_from(sorted(RUBBISH)))
def test_rubbish_is_refused_in_words(argument, name):
    if (argument, name) in TAKEN:
        return
    row = (lambda: ARGUMENTS[argument](RUBBISH[name])), (TypeError, ValueError, OSError)
    found = bad_calls.tried(row)
    assert found.kind == "right", f"{argument} = {name}: {found}"


def test_onsets_per_unit_are_those_of_each_unit():
    pulse = inputs.Pulse(onset=np.array([1.0, 2.0]), duration=np.array([1.0, 1.5]))
    circuit = rnnjax.circuits.LinearNetwork(rnnjax.connectivity.Dense(np.zeros((2, 2))))
    both = rnnjax.simulate(circuit, [0.0, 5.0], pulse).final
    for k in range(2):
        alone = inputs.Pulse(onset=pulse.onset[k], duration=pulse.duration[k])
        one = rnnjax.simulate(circuit, [0.0, 5.0], alone).final
        np.testing.assert_allclose(both[k], one[k], rtol=1e-5)


class Leak(rnnjax.AbstractCircuit):
    """A leak, which is right."""

    tau: float = rnnjax.parameter(10.0, "ms")

    def __call__(self, v, i):
        return (-v + i) / self.tau

    def rest(self):
        return 0.0 * self.tau

    def no_input(self):
        return 0.0


class Deciding(Leak):
    def __call__(self, v, i):
        return (-v + i) / self.tau if self.tau > 5 else -v


class Rooted(Leak):
    def __call__(self, v, i):
        return (-v + i) / math.sqrt(self.tau)


class DecidingInput(inputs.AbstractInput):
    size: float = rnnjax.parameter(1.0, "1")

    def __call__(self, t):
        return jnp.sin(t) if self.size > 0 else 0.0


class DecidingMeasure(Mean):
    level: float = rnnjax.parameter(1.0, "1")

    def finish(self, carry, t, x):
        return super().finish(carry, t, x) if self.level > 0 else x


TIMES = np.arange(10.0)
DECIDES = {
    "C": lambda **how: rnnjax.simulate(Deciding(), TIMES, **how),
    "S": lambda **how: rnnjax.simulate(Rooted(), TIMES, **how),
    "I": lambda **how: rnnjax.simulate(Leak(), TIMES, DecidingInput(), **how),
    "M": lambda **how: rnnjax.measure(Leak(), DecidingMeasure(), 10.0, **how),
    "E": lambda **how: rnnjax.find_equilibria(Deciding()),
    "W": lambda **how: rnnjax.sweep(
        Deciding(), {"m": Mean()}, [rnnjax.axis(lambda c: c.tau, [6.0, 7.0])], duration=10.0,
        progress=False, **how
    ),
    "P": lambda **how: rnnjax.simulate(Leak(), TIMES, interp1d(TIMES, TIMES), **how),
}  # fmt: skip


@pytest.mark.parametrize("how", [{"step": 0.1}, {}])
@pytest.mark.parametrize("call", DECIDES)
def test_own_parameters_decide_nothing(call, how):
    with pytest.raises(TypeError, match="that JAX can trace, for any numbers at once"):
        DECIDES[call](**how)


def test_inputs_are_summed_and_divided():
    both = sum([inputs.Constant(1.0), inputs.Constant(3.0)]) / 2
    assert float(both(0.0)) == 2.0
    with pytest.raises(TypeError, match=r"a number or an array is Constant\(value\)"):
        1.0 + inputs.Constant(1.0)
    with pytest.raises(TypeError, match="numbers that an input is multiplied by"):
        inputs.Constant(1.0) / inputs.Constant(1.0)


def test_what_pandas_holds_is_taken():
    pandas = pytest.importorskip("pandas")
    for kind in ("Float64", "Int64", "float64", "int32"):
        for made in (pandas.array, pandas.Series):
            drive = inputs.Recording(made([1, 2, 3], dtype=kind), 1000.0)
            np.testing.assert_array_equal(drive.samples, [1.0, 2.0, 3.0])
            with pytest.raises(TypeError, match=r"Recording\.samples: expected"):
                inputs.Recording(made(["a", "b"]), 1000.0)
    with pytest.raises(ValueError, match="1 of 3 samples missing"):
        inputs.Recording(pandas.array([1, 2, None], dtype="Int64"), 1000.0)


SIZE = 1.0


def wave(t):
    """A plain function, of a number of its module."""
    return SIZE + 0.0 * t


@pytest.mark.parametrize("how", [{"step": 0.1}, {}, {"measured": 0.1}, {"measured": None}])
def test_a_function_whose_numbers_change_is_another_one(monkeypatch, how):
    held = {"size": 1.0, "array": np.ones(1)}

    def inner(t):
        return held["size"] * held["array"][0] + 0.0 * t

    def end(drive):
        if "measured" in how:
            return float(rnnjax.measure(Leak(), Final(), 9.0, drive, step=how["measured"]))
        return float(rnnjax.simulate(Leak(), TIMES, drive, **how).final)

    once, first = end(wave), end(inner)
    monkeypatch.setitem(globals(), "SIZE", 2.0)
    held["size"] = 3.0
    np.testing.assert_allclose(end(wave), 2 * once, rtol=1e-4)
    np.testing.assert_allclose(end(inner), 3 * first, rtol=1e-4)
    held["array"][:] = 2.0
    np.testing.assert_allclose(end(inner), 6 * first, rtol=1e-4)


def test_transformations_of_what_runs_on_the_host():
    def swept(tau):
        over = [rnnjax.axis(lambda c: c.tau, [6.0, 7.0])]
        return rnnjax.sweep(Leak(tau), {"m": Mean()}, over, duration=10.0, step=0.1)

    with pytest.raises(TypeError, match="outside of jit, grad and vmap"):
        jax.jit(swept)(3.0)
    with pytest.raises(TypeError, match="outside of jit, grad and vmap"):
        jax.jit(lambda x: rnnjax.axis(lambda c: c.tau, x))(TIMES)
