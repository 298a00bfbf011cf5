"""Fits: known minima, constraints, both engines, failures that keep the last good circuit."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnnjax
from rnnjax._results import Status
from rnnjax.circuits import (
    CurrentNetwork,
    Driven,
    ExcitatoryInhibitory,
    ExcitatoryInhibitoryState,
    LinearNetwork,
)
from rnnjax.connectivity import Dale, Dense, Masked, Symmetric
from rnnjax.inputs import Constant
from rnnjax.measures import Frequency
from rnnjax.solvers import RK4

NEAR = ExcitatoryInhibitoryState(e=30.0, i=20.0)
QUIET = {"progress": False, "dtype": "float64"}


def on_the_edge(circuit, key):
    state = rnnjax.find_equilibria(circuit, guesses=NEAR)[0]
    return (1000 * rnnjax.linearize(circuit, state).growth_rate) ** 2


def test_an_eigenvalue_brought_to_the_axis_is_where_theory_has_it():
    # Re lambda = (m_ee - 1) / (2 tau_e) - 1 / (2 tau_i) = 0
    found = rnnjax.fit(ExcitatoryInhibitory(), lambda c: c.tau_i, on_the_edge, steps=300, **QUIET)
    assert found.status == Status.OK
    assert abs(found.circuit.tau_i - 40) < 1e-2
    assert found.losses[-1] < 1e-6 < found.losses[0]
    assert found.losses.shape == (301,)


@pytest.mark.parametrize("step", [None, 0.5])
def test_a_trajectory_is_matched_through_both_engines(step):
    times = np.linspace(0, 80, 17)
    wanted = ExcitatoryInhibitory(tau_i=25.0)
    options = {} if step is None else {"step": step, "solver": RK4()}
    target = rnnjax.simulate(wanted, times, dtype="float64", **options).states.e

    def distance(circuit, key):
        return jnp.mean((rnnjax.simulate(circuit, times, **options).states.e - target) ** 2)

    found = rnnjax.fit(
        ExcitatoryInhibitory(tau_i=30.0), lambda c: c.tau_i, distance, steps=150,
        optimizer=optax.adam(optax.cosine_decay_schedule(2e-2, 150)), **QUIET,
    )  # fmt: skip
    assert abs(found.circuit.tau_i - 25) < 0.02


def excitatory(state):
    return state.e


def test_the_frequency_of_a_limit_cycle_can_be_a_loss():
    def seven(circuit, key):
        found = rnnjax.measure(
            circuit, Frequency(of=excitatory), 1000.0, step=0.5, transient=400.0, solver=RK4(),
            start=ExcitatoryInhibitoryState(e=40.0, i=20.0),
        )  # fmt: skip
        return (found - 7.0) ** 2

    found = rnnjax.fit(
        ExcitatoryInhibitory(), lambda c: (c.tau_e, c.tau_i), seven, steps=80,
        optimizer=optax.adam(optax.cosine_decay_schedule(2e-2, 80)), **QUIET,
    )  # fmt: skip
    after = rnnjax.measure(
        found.circuit, Frequency(of=excitatory, level=20.0), 4000.0, step=0.1, transient=1000.0,
        solver=RK4(), dtype="float64",
    )  # fmt: skip
    assert abs(after - 7) < 0.05


def anything(circuit, key):
    matrix = circuit.connectivity.matrix()
    return jnp.sum((matrix - jax.random.normal(key, matrix.shape)) ** 2)


@pytest.mark.parametrize("kind", [Symmetric, Dale])
def test_constraints_hold_whatever_the_objective_wants(kind):
    weights = np.abs(np.random.default_rng(0).normal(size=(6, 6)))
    network = CurrentNetwork(kind((weights + weights.T) / 2))
    found = rnnjax.fit(
        network, lambda c: c.connectivity, anything, steps=60, optimizer=optax.adam(0.1),
        key=jax.random.key(0), progress=False,
    )  # fmt: skip
    before, after = network.connectivity.matrix(), found.circuit.connectivity.matrix()
    assert np.abs(np.asarray(after) - before).max() > 0.3
    if kind is Symmetric:
        np.testing.assert_allclose(after, after.T, atol=1e-6)
    else:
        assert (np.sign(after) * found.circuit.connectivity.signs() >= 0).all()


def test_no_fit_grows_a_synapse_where_there_is_none():
    network = CurrentNetwork(Masked.random(12, density=0.3, key=jax.random.key(1)))
    mask = network.connectivity.mask
    assert 0 < mask.sum() < mask.size
    found = rnnjax.fit(
        network, lambda c: c.connectivity, anything, steps=30, optimizer=optax.adam(0.1),
        key=jax.random.key(0), progress=False,
    )  # fmt: skip
    before, after = (np.asarray(c.connectivity.matrix()) for c in (network, found.circuit))
    assert (after[~mask] == 0).all()
    assert (after != before)[mask].all()
    assert abs(after - before)[mask].max() > 0.3
    with pytest.raises(
        ValueError, match=r"expected the shape of the weights, \(2, 2\), got \(3,\)"
    ):
        Masked(mask=np.ones(3))
    with pytest.raises(ValueError, match=r"a density in \(0, 1\], got 0"):
        Masked.random(5, density=0, key=jax.random.key(0))


def test_dale_with_a_mask_keeps_both():
    part = Dale.random(12, density=0.5, key=jax.random.key(1))
    assert 0 < part.mask.sum() < part.mask.size
    found = rnnjax.fit(
        CurrentNetwork(part), lambda c: c.connectivity, anything, steps=30,
        optimizer=optax.adam(0.1), key=jax.random.key(0), progress=False,
    )  # fmt: skip
    before, after = (np.asarray(c.matrix()) for c in (part, found.circuit.connectivity))
    assert (after[~part.mask] == 0).all()
    assert (np.sign(after) * part.signs() >= 0).all()
    assert (after != before)[part.mask].all()
    with pytest.raises(ValueError, match=r"Dale.mask: expected the shape .* got \(3,\)"):
        Dale(mask=np.ones(3))
    big = Dale.random(2000, density=0.2, gain=1.3, key=jax.random.key(2)).matrix()
    # the variance of the weights of each column, times their number, adds up to the squared radius
    radius = np.sqrt(np.asarray(big, np.float64).var(0).sum())
    np.testing.assert_allclose(radius, 1.3, rtol=0.02)
    np.testing.assert_allclose(np.mean(big), 0, atol=1e-4)


def test_positive_parameters_stay_positive():
    found = rnnjax.fit(
        ExcitatoryInhibitory(), lambda c: c.tau_i, lambda c, key: (c.tau_i + 5) ** 2, steps=200,
        optimizer=optax.sgd(1e-2), **QUIET,
    )  # fmt: skip
    assert 0 < found.circuit.tau_i < 1


def test_the_input_can_be_fitted():
    pair = Driven(LinearNetwork(Dense(np.diag([0.5, 0.0]))), Constant(np.zeros(2)))

    def reached(d, key):
        state = rnnjax.simulate(d.circuit, [0.0, 300.0], d.input, step=1.0, solver=RK4()).final
        return jnp.sum((state - jnp.asarray([4.0, 1.0])) ** 2)

    found = rnnjax.fit(
        pair, lambda d: d.input.value, reached, steps=400, optimizer=optax.adam(0.05), **QUIET
    )
    np.testing.assert_allclose(found.circuit.input.value, [2.0, 1.0], atol=1e-3)


def test_the_same_key_gives_the_same_bits():
    def noisy(circuit, key):
        return (circuit.tau_i - 30 + jax.random.normal(key, ())) ** 2

    runs = [
        rnnjax.fit(
            ExcitatoryInhibitory(), lambda c: c.tau_i, noisy, steps=30, key=jax.random.key(k),
            progress=False,
        )
        for k in (7, 7, 8)
    ]  # fmt: skip
    assert np.array_equal(runs[0].losses, runs[1].losses)
    assert not np.array_equal(runs[0].losses, runs[2].losses)


def test_many_seeds_by_vmap_equal_one_at_a_time():
    def start(key):
        weights = jax.random.normal(key, (5, 5)) / 2
        return LinearNetwork(Dense(weights))

    def objective(circuit, key):
        return jnp.sum(circuit.connectivity.matrix() ** 2)

    def one(key):
        return rnnjax.fit(start(key), lambda c: c.connectivity, objective, steps=20, progress=False)

    keys = jax.random.split(jax.random.key(0), 3)
    many = eqx.filter_vmap(one)(keys)
    assert many.losses.shape == (3, 21)
    for k in range(3):
        np.testing.assert_allclose(one(keys[k]).losses, many.losses[k], rtol=1e-5)


def test_a_loss_that_is_not_finite_is_reported_with_the_last_good_circuit():
    def steep(circuit, key):
        return jnp.sqrt(circuit.m_ee - 1.2)

    with pytest.raises(rnnjax.FitError, match="not finite after 4 good steps") as caught:
        rnnjax.fit(ExcitatoryInhibitory(), lambda c: c.m_ee, steep, steps=50, progress=False)
    good = caught.value.fit
    assert good.circuit.m_ee > 1.2
    assert good.status == Status.NON_FINITE
    assert np.isfinite(good.losses[: int(good.steps_taken) + 1]).all()
    assert np.isnan(good.losses[int(good.steps_taken) + 1 :]).all()
    quiet = rnnjax.fit(
        ExcitatoryInhibitory(), lambda c: c.m_ee, steep, steps=50, progress=False, throw=False
    )
    assert quiet.circuit.m_ee == good.circuit.m_ee


def test_results_show_themselves():
    found = rnnjax.fit(
        ExcitatoryInhibitory(), lambda c: c.m_ee, lambda c, key: c.m_ee**2, steps=3, progress=False
    )
    assert "in 3 steps, OK" in repr(found)
    assert found.to_xarray().loss.dims == ("step",)
    np.testing.assert_allclose(found.loss, found.losses[-1])


@pytest.mark.parametrize(
    ("where", "objective", "error", "words"),
    [
        (lambda c: c.tau_x, lambda c, k: c.m_ee, ValueError, "tau_x"),
        (lambda c: (), lambda c, k: c.m_ee, ValueError, "expected arrays"),
        (lambda c: c.m_ee, lambda c, k: c.m_ee * jnp.ones(2), ValueError, "expected one number"),
        (lambda c: c.m_ee, 3.0, TypeError, "expected a function"),
    ],
    ids=["unknown field", "nothing", "vector loss", "no function"],
)
def test_bad_fits_are_refused(where, objective, error, words):
    with pytest.raises(error, match=words):
        rnnjax.fit(ExcitatoryInhibitory(), where, objective, progress=False)


def test_bad_step_counts_are_refused():
    with pytest.raises(ValueError, match="steps"):
        rnnjax.fit(
            ExcitatoryInhibitory(), lambda c: c.m_ee, lambda c, k: c.m_ee, steps=0, progress=False
        )
