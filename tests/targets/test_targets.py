"""Targets: zero where closed forms say so, gradients against differences, and fits one would check."""

import pathlib
import runpy

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
    LinearNetwork,
    RateNetwork,
    WilsonCowan,
    WilsonCowanState,
    tanh,
)
from rnnjax.connectivity import Cosine, Dale, Dense, Symmetric
from rnnjax.targets import (
    AbstractTarget,
    Amplifies,
    HasEigenvalues,
    OscillatesAt,
    RestsAt,
    TimeConstant,
)
from rnnjax.tasks import DelayedXOR, FlipFlop

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
QUIET = {"progress": False, "dtype": "float64"}
RANDOM = np.random.default_rng(0)
NETWORK = CurrentNetwork(Dense(0.3 * RANDOM.normal(size=(4, 4))), tau=5.0)
STATES = RANDOM.normal(size=(3, 4))
FACTORS = np.array([0.5, -1.0])  # eigenvalues of the weights of a linear network
LINEAR = LinearNetwork(Dense(np.diag(FACTORS)), bias=np.array([1.0, 2.0]), tau=10.0)
RATES = (FACTORS - 1) / 10  # -0.05, -0.2 per ms
TURN = LinearNetwork(
    Dense([[0.5, -1.0], [1.0, 0.5]]), bias=np.zeros(2), tau=10.0
)  # -0.05 +- 0.1j per ms


def weights(circuit):
    return circuit.connectivity.weights


def gradients(target, circuit, where, step=1e-5):
    """The gradient by JAX and by central differences, of one program in float64."""
    with jax.enable_x64(True):
        x = jnp.asarray(where(circuit))
        both = jax.jit(jax.value_and_grad(lambda x: target(eqx.tree_at(where, circuit, x))))
        found = np.zeros(x.shape)
        for k in np.ndindex(*x.shape):
            h = np.zeros(x.shape)
            h[k] = step
            found[k] = (both(x + h)[0] - both(x - h)[0]) / (2 * step)
        return np.asarray(both(x)[1]), found


def test_states_at_which_a_linear_network_rests():
    at = np.array([2.0, 1.0])  # (1 - m) v = b
    assert RestsAt(at)(LINEAR) == 0
    # the scaled field is (m - 1) v + b, the growth rate -0.05 per ms everywhere
    off = (FACTORS - 1) * np.array([[0.0, 0.0], [4.0, 1.0]]) + np.array([1.0, 2.0])
    states = np.array([[0.0, 0.0], [4.0, 1.0]])
    np.testing.assert_allclose(RestsAt(states)(LINEAR), np.mean(off**2), rtol=1e-12)
    np.testing.assert_allclose(RestsAt(at, growth_rate=-0.05)(LINEAR), 0, atol=1e-28)
    np.testing.assert_allclose(RestsAt(at, growth_rate=-0.08)(LINEAR), 0.3**2, rtol=1e-12)
    grows = RestsAt(states, growth_rate=[0.0, -0.06], least_growth_rate=[0.02, -0.1], weight=2.0)
    # 0.7 too slow at the first state, 0.1 too fast at the second, in units of the time constant
    wanted = np.mean(off**2) + 2 * (0.7**2 + 0.1**2) / 2
    np.testing.assert_allclose(grows(LINEAR), wanted, rtol=1e-12)


def test_a_pitchfork_rests_where_theory_has_it():
    gain = 1.5  # v = tanh(1.5 v): 0 is unstable at 0.05 per ms, both others are stable
    one = RateNetwork(Dense([[gain]]), tanh)
    v = 0.8
    for _ in range(200):
        v = np.tanh(gain * v)
    rate = (gain * (1 - v**2) - 1) / 10
    states = np.array([[v], [-v]])
    assert RestsAt(states, growth_rate=rate + 1e-9)(one) < 1e-24
    assert RestsAt(states, growth_rate=rate - 0.01)(one) > 1e-4
    middle = RestsAt(np.zeros(1), least_growth_rate=0.05 - 1e-9)
    assert middle(one) == 0
    np.testing.assert_allclose(RestsAt(np.zeros(1), growth_rate=0.0)(one), 0.5**2, rtol=1e-12)


def test_a_circuit_of_other_variables_is_scaled_as_asked():
    state = WilsonCowanState(e=0.1, i=0.2)
    field = WilsonCowan()(state, WilsonCowanState(e=0.0, i=0.0))
    taus = WilsonCowanState(e=2.0, i=3.0)
    with jax.enable_x64(True):
        found = RestsAt(state, time_constant=taus)(WilsonCowan())
    wanted = np.mean(np.array([2.0 * field.e, 3.0 * field.i]) ** 2)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_eigenvalues_of_linear_networks():
    assert HasEigenvalues(RATES)(LINEAR) < 1e-28
    assert HasEigenvalues(RATES[::-1])(LINEAR) < 1e-28
    found = HasEigenvalues([-0.08, -0.2])(LINEAR)
    np.testing.assert_allclose(found, 0.3**2 / 2, rtol=1e-12)
    assert HasEigenvalues([-0.05 + 0.1j])(TURN) < 1e-28
    assert len(HasEigenvalues(-0.05 + 0.1j).values) == 2
    found = HasEigenvalues([-0.05 - 0.13j])(TURN)
    np.testing.assert_allclose(found, 0.3**2, rtol=1e-12)


def test_eigenvalues_with_one_real_part_are_told_apart():
    def turning(*speeds):
        weights = np.zeros((2 * len(speeds) + 1,) * 2)
        for k, speed in enumerate(speeds):
            weights[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[0.0, -speed], [speed, 0.0]]
        return LinearNetwork(Dense(weights), bias=np.zeros(len(weights)), tau=10.0)

    # all modes decay at -0.1 per ms: two pairs that turn, and one that does not
    wanted = HasEigenvalues([-0.1 + 0.25j, -0.1 + 0.5j, -0.1])
    for speeds in ((2.5, 5.0), (5.0, 2.5)):
        assert wanted(turning(*speeds)) < 1e-28
    np.testing.assert_allclose(wanted(turning(3.5, 5.0)), 2 / 5 * 1.0**2, rtol=1e-12)
    above = turning(2.5, 5.0)  # the slow pair decays more slowly, and is the slow pair still
    above = eqx.tree_at(weights, above, weights(above) + np.diag([1e-3, 1e-3, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(wanted(above), 2 / 5 * 1e-6, rtol=1e-8)


def test_time_constants_of_linear_networks():
    slow = TimeConstant(20.0, others=0.25, direction=np.array([2.0, 0.0]))
    assert slow(LINEAR) < 1e-28
    other = TimeConstant(20.0, others=0.2)  # the other is 5 ms, which 4 were to be
    np.testing.assert_allclose(other(LINEAR), np.log(1 + 0.2**2), rtol=1e-12)
    across = TimeConstant(20.0, others=0.25, direction=np.array([0.0, 1.0]))
    np.testing.assert_allclose(across(LINEAR), np.log(1 + 3.0**2), rtol=1e-12)
    longer = TimeConstant(40.0)
    np.testing.assert_allclose(longer(LINEAR), np.log(1 + 1.0) + np.log(1 + 0.2**2), rtol=1e-12)


def test_gains_of_linear_networks():
    # the answer to a constant input is its part in each mode over 1 - m: 2 and 0.5
    assert Amplifies(2.0, np.array([3.0, 0.0]))(LINEAR) < 1e-28
    assert Amplifies(np.hypot(1.2, 0.4), np.array([3.0, 4.0]))(LINEAR) < 1e-28
    assert Amplifies(-0.4, np.array([3.0, 4.0]), np.array([0.0, -1.0]))(LINEAR) < 1e-28
    np.testing.assert_allclose(Amplifies(3.0, np.array([1.0, 0.0]))(LINEAR), 1.0, rtol=1e-12)
    grows = LinearNetwork(Dense(np.diag([1.5, 0.0])), bias=np.zeros(2), tau=10.0)
    np.testing.assert_allclose(Amplifies(2.0, np.array([1.0, 0.0]))(grows), 0.25, rtol=1e-12)


def test_task_networks_and_driven_pairs_are_circuits():
    network = rnnjax.TaskNetwork.random(NETWORK, FlipFlop(bits=2), key=jax.random.key(0))
    states = RestsAt(STATES, growth_rate=-0.1)
    np.testing.assert_allclose(states(network), states(NETWORK), rtol=1e-12)
    held = RestsAt(STATES, input=np.full(2, 0.3))
    drive = np.asarray(network.encoder.weights, np.float64) @ np.full(2, 0.3)
    pair = RestsAt(STATES)(Driven(NETWORK, drive))
    np.testing.assert_allclose(held(network), pair, rtol=1e-12)
    with pytest.raises(ValueError, match="pair has one already"):
        RestsAt(STATES, input=0.1)(Driven(NETWORK, drive))


@pytest.mark.parametrize(
    "target",
    [RestsAt(STATES, growth_rate=-0.25), RestsAt(STATES, least_growth_rate=0.2)],
    ids=["stable", "unstable"],
)
def test_gradients_of_states(target):
    exact, found = gradients(target, NETWORK, weights)
    np.testing.assert_allclose(exact, found, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [
        HasEigenvalues([-0.05 + 0.1j, -0.3]),
        TimeConstant(2000.0, direction=np.ones(4), input=np.full(4, 0.2)),
        Amplifies(3.0, np.ones(4), input=np.full(4, 0.2)),
        Amplifies(3.0, 1.0, readout=STATES[0]),
    ],
    ids=["eigenvalues", "time constant", "gain", "readout"],
)
def test_gradients_at_an_equilibrium(target):
    exact, found = gradients(target, NETWORK, weights)
    np.testing.assert_allclose(exact, found, rtol=1e-6, atol=1e-8)


def test_a_defective_jacobian_where_nothing_is_asked_for():
    chain = LinearNetwork(Dense(np.tri(3, k=-1)), tau=10.0)
    exact, _ = gradients(RestsAt(np.zeros(3), growth_rate=-0.05), chain, weights)
    np.testing.assert_array_equal(exact, 0)


THREE = CurrentNetwork(tau=3.0)  # oscillates
WAVE = WilsonCowan()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("circuit", "target", "where", "oscillates"),
    [
        (WAVE, OscillatesAt(150.0, step=0.05, intervals=64), lambda c: c.w_ee, True),
        (
            eqx.tree_at(lambda c: c.connectivity.weights, THREE, 0.7 * weights(THREE)),
            OscillatesAt(40.0), weights, False,
        ),
        (CurrentNetwork(Symmetric(np.diag([0.5, 0.2, 0.0])), tau=3.0), OscillatesAt(40.0),
         weights, False),
    ],
    ids=["orbit", "focus", "node"],
)  # fmt: skip
def test_gradients_of_the_frequency_with_and_without_an_orbit(circuit, target, where, oscillates):
    assert (target(circuit) < 1) == oscillates
    exact, found = gradients(target, circuit, where)
    np.testing.assert_allclose(exact, found, rtol=1e-6, atol=1e-6 * np.abs(found).max())


@pytest.mark.slow
def test_no_closed_form_is_off_the_frequency_of_a_rotation():
    # tau dx/dt = -x + W tanh(x) at small gain: the focus that is asked for has loss 1 at rest
    omega, tau = 2 * np.pi * 40 / 1000, 5.0
    turn = tau * omega
    focus = np.array([[1 + 0.1 * turn, -turn], [turn, 1 + 0.1 * turn]])
    still = OscillatesAt(40.0, start=np.zeros(2))  # a run that begins at rest stays there
    np.testing.assert_allclose(still(CurrentNetwork(Dense(focus), tau=tau)), 1, atol=1e-12)


@pytest.mark.slow
def test_it_adds_up_with_a_task():
    task = DelayedXOR()
    network = rnnjax.TaskNetwork.random(
        CurrentNetwork(Dense(0.2 * RANDOM.normal(size=(6, 6))), tau=10.0), task,
        key=jax.random.key(0),
    )  # fmt: skip
    target = RestsAt(np.ones((2, 6)), growth_rate=-0.08)
    on_task = rnnjax.OnTask(task, batch=4, validation=4)

    def of_weights(network, x):
        return eqx.tree_at(lambda n: n.circuit.connectivity.weights, network, x)

    @eqx.filter_jit
    def each(network, key, objectives):
        free = [jnp.asarray(weights(network.circuit), jnp.float32)]
        return [
            o.value_and_gradient(
                lambda x: of_weights(network, x[0]), free, key, o.begin(network, key)
            )
            for o in objectives
        ]  # fmt: skip

    both, alone, other = each(network, jax.random.key(1), (on_task + 2.0 * target, on_task, target))
    np.testing.assert_allclose(both[0], alone[0] + 2 * other[0], rtol=1e-6)
    (of_both,), (of_alone,), (of_other,) = both[1], alone[1], other[1]
    np.testing.assert_allclose(of_both, of_alone + 2 * of_other, rtol=1e-4, atol=1e-7)
    assert np.abs(of_other).max() > 1e-3
    np.testing.assert_allclose(other[0], target.validate(network, None), rtol=1e-6)


def test_dales_law_holds_while_states_are_fitted():
    network = RateNetwork(Dale.random(6, key=jax.random.key(0)), tanh)
    states = np.sign(RANDOM.normal(size=(2, 6))) * 0.5
    target = RestsAt(states, growth_rate=-0.02)
    signs = network.connectivity.signs()
    kept, optimizer = [], optax.adam(2e-2)

    def lawful(circuit, key):
        return jnp.sum(jnp.maximum(-circuit.connectivity.matrix() * signs, 0.0))

    objective = target + lawful
    for steps in (1, 100):
        found = rnnjax.fit(
            network, lambda c: (c.connectivity, c.bias), objective, steps=steps,
            optimizer=optimizer, **QUIET,
        )  # fmt: skip
        assert (np.asarray(found.circuit.connectivity.matrix()) * signs >= 0).all()
        np.testing.assert_allclose(found.loss, target(found.circuit), rtol=1e-6)
        kept.append(found.loss)
    assert kept[1] < kept[0] / 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HasEigenvalues([]), "HasEigenvalues.values: expected finite numbers"),
        (lambda: HasEigenvalues([np.nan]), "expected finite numbers"),
        (lambda: TimeConstant(-5.0), "TimeConstant.time_constant: expected a value above zero ms"),
        (lambda: TimeConstant(5.0, others=1.5), "TimeConstant.others: expected a share below 1"),
        (lambda: TimeConstant(5.0, direction=np.zeros(2)), "TimeConstant.direction"),
        (lambda: Amplifies(-1.0, np.ones(2)), "a length has no sign"),
        (lambda: Amplifies(1.0, np.zeros(2)), "Amplifies.direction: expected a direction"),
        (lambda: OscillatesAt(0.0), "OscillatesAt.frequency: expected a value above zero Hz"),
        (lambda: OscillatesAt(40.0, step=300.0), "a step above 0 and a longer duration"),
        (lambda: OscillatesAt(40.0, intervals=0), "intervals: expected a positive whole number"),
        (lambda: RestsAt(np.array([np.nan, 0.0])), "RestsAt.states: expected finite numbers"),
    ],
)
def test_targets_that_are_none_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("target", "circuit", "error", "words"),
    [
        (RestsAt(np.zeros(3)), LINEAR, ValueError, "RestsAt.states: expected states"),
        (RestsAt(np.zeros((2, 2)), growth_rate=np.zeros(3)), LINEAR, ValueError, "each of 2 states"),
        (RestsAt(np.zeros(2), time_constant=(1.0, 2.0)), LINEAR, ValueError, "time_constant"),
        (RestsAt(np.zeros(2), input=np.zeros(3)), LINEAR, ValueError, "input: expected"),
        (RestsAt(np.zeros(2)), 3.0, TypeError, "expected a circuit"),
        (HasEigenvalues([-1, -2, -3]), LINEAR, ValueError, "expected at most 2"),
        (HasEigenvalues([-1], np.zeros(3)), LINEAR, ValueError, "HasEigenvalues.near"),
        (TimeConstant(5.0, direction=np.ones(3)), LINEAR, ValueError, "TimeConstant.direction"),
        (Amplifies(1.0, np.ones(3)), LINEAR, ValueError, "Amplifies.direction: input"),
        (Amplifies(1.0, np.ones(2), np.ones(3)), LINEAR, ValueError, "Amplifies.readout: start"),
        (OscillatesAt(40.0, np.zeros(3)), LINEAR, ValueError, "start: expected"),
        (OscillatesAt(40.0), RateNetwork(Dense([[0.5]])), ValueError, "at least two variables"),
        (OscillatesAt(4.0), CurrentNetwork(), ValueError, "step: expected at most the fastest"),
    ],
)  # fmt: skip
def test_circuits_that_do_not_fit_are_refused_before_anything_compiles(
    target, circuit, error, words
):
    with pytest.raises(error, match=words):
        target(circuit)
    if error is ValueError:
        with pytest.raises(error, match=words):
            rnnjax.fit(circuit, lambda c: c.tau, target, steps=1, progress=False)


@pytest.mark.slow
def test_where_no_equilibrium_is_found_one_is_made():
    # the first unit integrates a bias of 1: nothing rests, until the bias is gone
    lost = LinearNetwork(Dense([[1.0, 0.0], [0.0, 0.0]]), bias=np.array([1.0, 0.0]), tau=10.0)
    assert TimeConstant(100.0)(lost) == 1.5
    exact, _ = gradients(TimeConstant(100.0), lost, lambda c: c.bias)
    np.testing.assert_allclose(exact, [1.0, 0.0], atol=1e-12)


def test_one_can_write_a_target():
    class Silent(AbstractTarget):
        """The first variable is 0 at rest."""

        input: object = None

        def loss(self, circuit, input):
            return circuit.bias[0] ** 2

    found = rnnjax.fit(
        LINEAR, lambda c: c.bias, Silent() + RestsAt(np.array([0.0, 1.0])), steps=300, **QUIET
    )
    np.testing.assert_allclose(found.circuit.bias, [0.0, 2.0], atol=1e-2)


# Fits that one would check by other means.


@pytest.mark.slow
def test_an_integrator_is_one():
    network = RateNetwork(Dale.random(12, key=jax.random.key(3), gain=0.8), tanh)
    found = rnnjax.fit(
        network, weights, TimeConstant(2000.0, others=0.05), steps=400,
        optimizer=optax.adam(optax.cosine_decay_schedule(2e-2, 400)), **QUIET,
    )  # fmt: skip
    values = rnnjax.linearize(found.circuit, np.zeros(12)).eigenvalues
    np.testing.assert_allclose(values[0], -1 / 2000, rtol=1e-3)
    assert values[1].real < -0.99 / 100
    # a small displacement along the slow mode decays so slowly in a simulation
    mode = rnnjax.linearize(found.circuit, np.zeros(12)).eigenvectors[:, 0].real * 1e-3
    run = rnnjax.simulate(
        found.circuit, [0.0, 1000.0], start=mode, dtype="float64", rtol=1e-9, atol=1e-12
    )
    left = np.linalg.norm(run.states[-1]) / np.linalg.norm(mode)
    np.testing.assert_allclose(left, np.exp(-0.5), rtol=2e-3)


@pytest.mark.slow
def test_a_ring_attractor_is_recovered_from_bumps():
    units = 24
    ring = RateNetwork(Cosine(lambda_1=1.9, size=units), tanh)
    preferred = np.deg2rad(ring.connectivity.angles())

    def bumps(angles):
        starts = np.cos(preferred - angles[:, None])
        return rnnjax.simulate(ring, [0.0, 1000.0], start=starts, dtype="float64").states[:, -1]

    angles = 0.01 + 2 * np.pi * np.arange(12) / 12
    shown, unseen = bumps(angles), bumps(angles + np.pi / 12)
    random = np.random.default_rng(0).normal(size=(units, units)) / np.sqrt(units)
    network = RateNetwork(Symmetric(0.4 * (random + random.T)), tanh)
    found = rnnjax.fit(
        network, weights, RestsAt(shown, growth_rate=0.0), steps=500,
        optimizer=optax.adam(optax.cosine_decay_schedule(2e-2, 500)), **QUIET,
    )  # fmt: skip
    before, after = (
        max(np.abs(c.tau * c(x, 0.0)).max() for x in unseen) for c in (network, found.circuit)
    )
    assert after < before / 30
    for x in unseen:
        values = rnnjax.linearize(found.circuit, x).eigenvalues.real
        assert abs(values[0]) < 0.005
        assert values[1] < -0.04
    # it holds the angles and heights of bumps that it was not shown
    later = rnnjax.simulate(found.circuit, [0.0, 100.0], start=unseen, dtype="float64").final
    held, shown_as = (np.asarray(x) @ np.exp(1j * preferred) for x in (later, unseen))
    assert np.abs(np.angle(held / shown_as)).max() < np.deg2rad(2)
    np.testing.assert_allclose(np.abs(held / shown_as), 1, atol=0.02)


@pytest.mark.slow
def test_a_flip_flop_keeps_its_bits_in_stable_fixed_points():
    task = FlipFlop(duration=200.0)
    circuit = RateNetwork(Dense.random(32, key=jax.random.key(0), gain=1.0), tanh)
    network = rnnjax.TaskNetwork.random(circuit, task, key=jax.random.key(1))
    found = rnnjax.fit(
        network, lambda n: (n.circuit.connectivity, n.circuit.bias, n.encoder, n.readout),
        rnnjax.OnTask(task, batch=32), steps=700, key=jax.random.key(2), progress=False,
        optimizer=optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, 700))
        ),
    ).circuit  # fmt: skip
    corners = np.array([[a, b, c] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)])
    held = jax.vmap(lambda s: rnnjax.simulate(found, [0.0, 10.0], s).final)(corners)
    free = rnnjax.simulate(found, np.linspace(0.0, 300.0, 4), start=np.asarray(held)).states
    guesses = np.asarray(free).reshape(-1, 32)
    rest = rnnjax.find_equilibria(found, guesses=guesses)
    bits = [
        np.asarray(found.outputs(rest[k]))
        for k, each in enumerate(rest.linearizations)
        if each.stable
    ]
    off = np.abs(np.array(bits)[:, None] - corners).max(-1)  # from each corner
    assert ((off < 0.25).sum(0) == 1).all()  # one for each combination of bits
    done = rnnjax.perform(found, task, key=jax.random.key(3))
    along = rnnjax.find_equilibria(found, guesses=done)
    seen = [
        np.asarray(found.outputs(along[k]))
        for k, each in enumerate(along.linearizations)
        if each.stable
    ]
    assert (np.abs(np.array(seen)[:, None] - corners).max(-1).min(0) < 0.25).all()


def frequency_of(circuit, variable, start=None, settle=500.0, duration=1000.0):
    """Hz, by the times at which a simulation crosses its mean upwards."""
    times = settle + np.arange(0.0, duration, 0.05)
    run = rnnjax.simulate(
        circuit,
        np.concatenate([[0.0], times]),
        start=start,
        dtype="float64",
        rtol=1e-10,
        atol=1e-12,
        max_steps=10**6,
    )
    x = np.asarray(variable(run.states))[1:]
    x = x - x.mean()
    before = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    crossings = times[before] + 0.05 * x[before] / (x[before] - x[before + 1])
    return 1000 * (len(crossings) - 1) / (crossings[-1] - crossings[0])


@pytest.mark.slow
def test_a_circuit_is_moved_to_a_frequency():
    """Wilson and Cowan's E-I circuit: that of Dayan and Abbott is rectified, its orbits have kinks."""
    target = OscillatesAt(120.0, start=WilsonCowanState(e=0.3, i=0.1), step=0.05, intervals=64)
    found = rnnjax.fit(
        WAVE, lambda c: (c.tau_e, c.tau_i), target, steps=20, optimizer=optax.sgd(0.6), **QUIET
    )  # fmt: skip
    assert found.status == Status.OK
    run = rnnjax.simulate(
        found.circuit, np.arange(0, 200, 0.05), start=WilsonCowanState(e=0.3, i=0.1),
        dtype="float64",
    )  # fmt: skip
    orbit = rnnjax.find_orbit(found.circuit, run, intervals=128)
    np.testing.assert_allclose(orbit.frequency, 120, rtol=1e-6)
    measured = frequency_of(found.circuit, lambda s: s.e, WilsonCowanState(e=0.3, i=0.1))
    np.testing.assert_allclose(measured, 120, rtol=1e-6)


@pytest.mark.slow
def test_a_network_that_does_not_oscillate_is_made_to():
    network = CurrentNetwork(Dense(0.3 * np.random.default_rng(0).normal(size=(6, 6))), tau=5.0)
    target = OscillatesAt(40.0)
    found = rnnjax.fit(
        network, weights, target, steps=150,
        optimizer=optax.adam(optax.cosine_decay_schedule(3e-2, 150)), **QUIET,
    )  # fmt: skip
    assert found.losses[0] > 1 > 1e-6 > found.loss
    start = np.linspace(0.5, -0.5, 6)
    measured = frequency_of(found.circuit, lambda s: s[:, 0], start)
    np.testing.assert_allclose(measured, 40, rtol=2 * np.sqrt(found.loss))


@pytest.mark.slow
def test_one_random_network_under_dales_law_is_made_three_things():
    example = runpy.run_path(str(EXAMPLES / "targets.py"))
    before = example["network"]()
    fits = example["trained"](before)
    found = {name: fit.circuit for name, fit in fits.items()}
    for circuit in found.values():
        signs = np.sign(np.asarray(circuit.connectivity.matrix()))
        assert (signs * before.connectivity.signs() >= 0).all()
    slow = example["resting"](found["integrator"]).eigenvalues
    np.testing.assert_allclose(-1 / slow[0].real, 2000, rtol=1e-3)
    a, b = (x[:, -1] for x in example["choices"](found["choice"]))  # the winner takes all
    np.testing.assert_allclose(np.abs(a), 0.8, atol=0.02)
    np.testing.assert_allclose(a, -b, atol=0.02)
    assert 4 < (a > 0).sum() < 20
    start = np.linspace(0.5, -0.5, 20)
    measured = frequency_of(found["oscillator"], lambda s: s[:, 0], start)
    assert fits["oscillator"].loss < 1e-5
    np.testing.assert_allclose(np.log(measured / 40) ** 2, fits["oscillator"].loss, rtol=0.05)
