"""What every member of a family must keep; members are found through the family's exports."""

import inspect
import re

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
from rnnjax import (
    circuits,
    connectivity,
    credit,
    forcing,
    inputs,
    measures,
    noise,
    solvers,
    tasks,
)  # fmt: skip
from rnnjax._engine.fixed_steps import FixedRun, integrate
from rnnjax._precision import cast

SHAPING = {"Sum", "Profile"}  # inputs made of inputs; built by `+` and `*`


def members(family, base):
    """The concrete subclasses of `base` that a family exports from modules of members."""
    found = [
        value
        for value in vars(family).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__.startswith(family.__name__ + ".")
        and not value.__module__.rpartition(".")[2].startswith("_")
        and not inspect.isabstract(value)
    ]
    assert found
    return found


CIRCUITS = members(circuits, rnnjax.AbstractCircuit)
CONNECTIVITIES = members(connectivity, connectivity.AbstractConnectivity)
INPUTS = members(inputs, inputs.AbstractInput)
MEASURES = members(measures, measures.AbstractMeasure)
NOISES = members(noise, noise.AbstractNoise)
SOLVERS = members(solvers, diffrax.AbstractSolver)
TASKS = members(tasks, tasks.AbstractTask)
FORCINGS = [*members(forcing, forcing.AbstractForcing), forcing.NoForcing]
CREDITS = [*members(credit, credit.AbstractCredit), credit.BackpropagationThroughTime]
TRAINING = TASKS + FORCINGS + CREDITS
PARTS = CIRCUITS + CONNECTIVITIES + INPUTS + MEASURES + NOISES + TRAINING
LANES = 3


def each(classes):
    return pytest.mark.parametrize("cls", classes, ids=lambda c: c.__name__)


def arrays(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree) if eqx.is_array(x)]


def stacked(tree, by=0.01):
    """`LANES` slightly different copies of a tree, in front of every array."""
    factors = 1 + by * np.arange(LANES)
    return jax.tree.map(
        lambda x: np.stack([x * f for f in factors]) if eqx.is_inexact_array(x) else x, tree
    )


def lane(tree, k):
    return jax.tree.map(lambda x: x[k] if eqx.is_array(x) else x, tree)


def same(a, b, tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@each(PARTS)
def test_member(cls):
    part = cls()
    assert all(np.isfinite(x).all() for x in arrays(part))
    # a value that is a Python float would compile anew for every value
    assert not [x for x in jax.tree.leaves(part) if isinstance(x, float)]
    fields = list(rnnjax._parameter.parameter_fields(part, nested=False))
    text, rich = repr(part), part._repr_html_()
    assert text.startswith(f"{cls.__name__}(")
    for field in fields:
        assert f"{field.path}=" in text
        assert f"<code>{field.path}</code>" in rich
        if field.unit != "1" and not field.optional:
            assert field.unit in text.replace("&#x27;", "'")
    assert cls.__name__ in rich
    for x in arrays(part):
        if x.ndim == 0:
            assert repr(float(x)) in text
    assert re.search(r"\$[^$]+\$", cls.__doc__), "the docstring has no equation"
    for name, method in vars(cls).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            assert method.__doc__, f"{cls.__name__}.{name} has no docstring"


def started(circuit, dtype):
    """The circuit, a state off its rest, and an input, all in one dtype."""
    state = jax.tree.map(lambda x: np.asarray(x) + 0.3, circuit.rest())
    drive = jax.tree.map(lambda x: np.asarray(x) + 0.2, circuit.no_input())
    return cast((circuit, state, drive), np.dtype(dtype))


@each(CIRCUITS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_circuit(cls, dtype):
    with jax.enable_x64(dtype == "float64"):
        circuit, state, drive = started(cls(), dtype)
        call = eqx.filter_jit(eqx.debug.assert_max_traces(lambda c, s, u: c(s, u), max_traces=1))
        slope = call(circuit, state, drive)
        assert jax.tree.structure(slope) == jax.tree.structure(state)
        for x, y in zip(jax.tree.leaves(slope), jax.tree.leaves(state), strict=True):
            assert x.shape == y.shape
            assert x.dtype == dtype
            assert np.isfinite(x).all()
            assert not x.weak_type
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        same(slope, circuit(state, drive), tolerance)
        # other values of the parameters go through the same program
        lanes = stacked(circuit)
        loop = [call(lane(lanes, k), state, drive) for k in range(LANES)]

        def one(c):
            return c(state, drive)

        together = eqx.filter_vmap(one)(lanes)
        for k in range(LANES):
            same(lane(together, k), loop[k], tolerance)
        assert any(np.ptp(x, axis=0).max() > 0 for x in arrays(together)), "parameters do nothing"

        def size(c):
            return sum(jnp.sum(x**2) for x in jax.tree.leaves(one(c)))

        gradient = eqx.filter_jit(eqx.filter_vmap(eqx.filter_grad(size)))(lanes)
        leaves = arrays(gradient)
        assert leaves
        assert all(np.isfinite(x).all() for x in leaves)
        assert {str(x.dtype) for x in leaves} == {dtype}


@each(CIRCUITS)
def test_circuit_rests(cls):
    circuit = cls()
    for x in arrays(circuit.rest()):
        assert np.isfinite(x).all()
    assert isinstance(cls.state_unit, str)
    trajectory = rnnjax.simulate(circuit, np.array([0.0, 2.0]), step=0.05)
    assert trajectory.status == rnnjax.Status.OK
    assert jax.tree.structure(trajectory.final) == jax.tree.structure(circuit.rest())


def test_networks_take_any_function():
    for cls in CIRCUITS:
        if "nonlinearity" in {f.name for f in cls.__dataclass_fields__.values()}:
            for function in (
                circuits.rectified, circuits.tanh, circuits.logistic, circuits.softplus, jnp.sin
            ):  # fmt: skip
                circuit = cls(
                    connectivity.Dense([[0.5, -0.2], [0.1, 0.3]]), function, tau=[5.0, 9.0]
                )
                slope = circuit(jnp.ones(2), jnp.zeros(2))
                drive = circuit.connectivity.matrix() @ np.ones(2)
                if isinstance(circuit, circuits.CurrentNetwork):
                    expected = -1 + circuit.connectivity.matrix() @ np.asarray(
                        function(jnp.ones(2))
                    )
                else:
                    expected = -1 + np.asarray(function(drive))
                np.testing.assert_allclose(slope, expected / [5.0, 9.0], rtol=1e-5)


@each(CONNECTIVITIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_connectivity(cls, dtype):
    with jax.enable_x64(dtype == "float64"):
        part = cast(cls(), np.dtype(dtype))
        rates = np.random.default_rng(0).normal(size=part.units).astype(dtype)
        matrix = part.matrix()
        assert matrix.shape == (part.units, part.units)
        drive = part(rates)
        assert drive.dtype == dtype
        tolerance = 1e-5 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(
            drive, np.asarray(matrix) @ rates, rtol=tolerance, atol=tolerance
        )


@each(CONNECTIVITIES)
def test_constraints_survive_any_change_of_the_fields(cls):
    part = cls()
    generator = np.random.default_rng(1)
    moved = jax.tree.map(
        lambda x: x + generator.normal(size=np.shape(x)) if eqx.is_inexact_array(x) else x, part
    )
    before, after = np.asarray(part.matrix()), np.asarray(moved.matrix())
    assert not np.allclose(before, after)
    if cls is connectivity.Symmetric:
        assert np.array_equal(after, after.T)
    if cls is connectivity.Dale:
        assert (after * moved.signs() >= 0).all()
        assert {-1.0, 1.0} == set(moved.signs())
    if cls is connectivity.LowRank:
        assert np.linalg.matrix_rank(after, tol=1e-4) == part.left.shape[1]
    if cls is connectivity.Cosine:
        values = np.sort(np.linalg.eigvalsh(np.asarray(after, np.float64)))
        wanted = np.zeros(part.units)
        wanted[:3] = moved.lambda_0, moved.lambda_1, moved.lambda_1
        np.testing.assert_allclose(values, np.sort(wanted), atol=1e-5)


def test_large_products_equal_numpy():
    with jax.enable_x64(True):
        weights = np.random.default_rng(2).normal(size=(7, 7))
        rates = np.arange(7.0)
        for part in (connectivity.Dense(weights), connectivity.Dale(weights)):
            np.testing.assert_allclose(part(rates), np.asarray(part.matrix()) @ rates, rtol=1e-13)


@each(INPUTS)
def test_input(cls):
    part = cls()
    times = np.concatenate([[-1e6, -1.0, 0.0], np.linspace(0.1, 2000.0, 57), [1e6]])
    call = eqx.filter_jit(eqx.debug.assert_max_traces(lambda p, t: p(t), max_traces=1))
    with jax.enable_x64(True):
        values = np.stack([call(part, np.float64(t)) for t in times])
        together = jax.vmap(lambda t: jnp.asarray(part(t)))(times)
        np.testing.assert_allclose(together, values, rtol=1e-12, atol=1e-12)
        assert np.isfinite(values).all()
        twice = part + part
        np.testing.assert_allclose([twice(t) for t in times], 2 * values, rtol=1e-12)
        shares = np.array([1.0, -2.0, 0.5])
        spread = np.stack([(shares * part)(t) for t in times])
        np.testing.assert_allclose(spread, values[:, None] * shares, rtol=1e-12, atol=1e-12)
        named = (circuits.WilsonCowanState(1.0, -3.0) * part)(times[5])
        np.testing.assert_allclose(named, values[5] * np.array([1.0, -3.0]), rtol=1e-12)
        assert len(twice.jumps()) == 2 * len(part.jumps())
        assert len((shares * part).jumps()) == len(part.jumps())
        assert float(twice.longest_step()) == float(part.longest_step())
    with jax.enable_x64(False):
        assert jnp.asarray(cast(part, np.float32)(np.float32(3.0))).dtype == jnp.float32


@each(NOISES)
def test_noise(cls):
    part = cast(cls(), np.float32)
    for state in (np.ones(3, np.float32), circuits.WilsonCowanState(np.float32(1), np.float32(2))):
        strength = part(state)
        assert jax.tree.structure(strength) == jax.tree.structure(state)
        for g, x in zip(jax.tree.leaves(strength), jax.tree.leaves(state), strict=True):
            assert np.shape(g) == np.shape(x)
            assert np.isfinite(g).all()
    moved = part(2 * np.ones(3, np.float32))
    changes = not np.array_equal(moved, part(np.ones(3, np.float32)))
    assert changes != cls.additive


@pytest.fixture(scope="module")
def stored():
    """A stored trajectory of a neutral oscillation, and all measures of the same run."""
    circuit = circuits.LinearNetwork(connectivity.Dense([[1.0, -1.5], [1.5, 1.0]]), tau=8.0)
    chosen = {cls.__name__: cls() for cls in MEASURES}
    chosen["Growth"] = measures.Growth(split=250.0)
    chosen["Level"] = measures.Frequency(level=0.1)
    run = {"step": 0.5, "dtype": "float64", "start": np.array([20.0, 3.0])}
    times = np.arange(0, 400.5, 0.5)
    trajectory = rnnjax.simulate(circuit, times, **run)
    results = rnnjax.measure(circuit, chosen, 400.0, transient=100.0, **run)
    window = times >= 100
    return times[window], trajectory.states[window], results


def by_hand(name, t, x):
    """The measure's definition applied to a stored trajectory; `x` is `(time, variable)`."""
    rest = x[1:]  # measures fold in what each step gives
    if name == "Amplitude":
        return np.ptp(x, axis=0)
    if name == "MinMax":
        return measures.Range(x.min(0), x.max(0))
    if name == "Final":
        return x[-1]
    if name == "Mean":
        return rest.mean(0)
    if name == "Growth":
        late = t >= 250
        return np.log(np.ptp(x[late], axis=0)) - np.log(np.ptp(x[~late], axis=0))
    if name == "Spectrum":
        waves = np.exp(-2j * np.pi * np.arange(1.0, 21.0)[:, None] * t[1:] / 1000)
        return 2 / len(rest) * np.abs(waves @ (rest - rest.mean(0)))
    if name == "Level":
        return np.array([frequency(t, v, 0.1) for v in x.T])
    return None


def frequency(t, v, level):
    up = np.flatnonzero((v[:-1] < level) & (v[1:] >= level))
    at = t[up] + (level - v[up]) / (v[up + 1] - v[up]) * (t[up + 1] - t[up])
    return 1000 * (len(at) - 1) / (at[-1] - at[0])


@pytest.mark.parametrize("name", [*[c.__name__ for c in MEASURES], "Level"])
def test_measure_equals_numpy(stored, name):
    t, x, results = stored
    expected = by_hand(name, t, x)
    if name in ("Frequency", "Period"):
        # The default level follows the extremes, so that only the neutral cycle has an answer.
        turns = 1000 * 1.5 / 8.0 / (2 * np.pi)
        expected = np.full(2, turns if name == "Frequency" else 1000 / turns)
        np.testing.assert_allclose(results[name], expected, rtol=1e-4)
        return
    assert expected is not None, f"write down what {name} means"
    same(results[name], expected, 1e-9)


def test_measures_of_one_variable_and_by_hand():
    circuit = circuits.ExcitatoryInhibitory()
    one = rnnjax.measure(circuit, measures.Amplitude(of=excitatory), 50.0, step=0.5)
    both = rnnjax.measure(circuit, measures.Amplitude(), 50.0, step=0.5)
    assert np.shape(one) == ()
    assert one == both.e
    assert isinstance(both, circuits.ExcitatoryInhibitoryState)


def excitatory(state):
    return state.e


@each(SOLVERS)
def test_solver_has_its_order(cls):
    solver = cls()
    field = diffrax.ODETerm(lambda t, y, args: -y * jnp.cos(t))
    order = solver.order(field)

    def circuit(state, input):
        return -state * input

    @jax.jit
    def error(step):
        def run(steps):
            given = FixedRun(circuit, jnp.cos, solver, 0.0, 4.0 / steps)
            return integrate(given, jnp.ones(()), steps).final

        return [abs(run(n) - jnp.exp(-jnp.sin(4.0))) for n in step]

    with jax.enable_x64(True):
        counts = (16, 32, 64, 128)
        errors = np.array(jax.jit(lambda: error.__wrapped__(counts))())
        slope = np.polyfit(np.log(1 / np.array(counts)), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.2
    assert isinstance(solver, diffrax.AbstractERK)
