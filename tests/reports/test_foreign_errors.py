"""What people write is taken as they mean it, or refused in words of the package, whatever it is."""

import datetime

import bad_calls
import diffrax
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnjax
from rnnjax import inputs
from rnnjax._machine.verb import as_key
from rnnjax.circuits import ExcitatoryInhibitory, WilsonCowan
from rnnjax.circuits._checks import first_state, starting_state

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
