"""Time loses no digits because it is late: closed forms, and the same methods with exact times."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnjax
from rnnjax import Driven, Status, axis, measure, simulate, sweep
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Dense
from rnnjax.inputs import AbstractInput, Constant, Pulse, Ramp, Recording, Sinusoid, Step
from rnnjax.measures import Amplitude, Final
from rnnjax.noise import Additive
from rnnjax.solvers import RK4

TAU, FREQUENCY, STEP = 10.0, 40.0, 0.1
UNIT = LinearNetwork(Dense([[0.0]]), tau=TAU)
SPEED = 2 * np.pi * FREQUENCY / 1000
SIZE, LAG = 1 / np.hypot(1, TAU * SPEED), np.arctan(TAU * SPEED)
STARTS = (0.0, 1e6, 1e9)


def slow(value):
    """A case that the default run leaves out."""
    return pytest.param(value, marks=pytest.mark.slow)


SINE = Sinusoid(1.0, FREQUENCY)
SOLVERS = {"Euler": diffrax.Euler(), "RK4": RK4(), "Tsit5": diffrax.Tsit5()}


def cycles(t):
    """Whole cycles taken out in integers, since 40 Hz has a period of 25 ms: exact at any time."""
    return 2 * np.pi * (np.round(np.asarray(t) * 10).astype(np.int64) % 250) / 250


def settled(t):
    """The unit under the sine, once it has settled."""
    return SIZE * np.sin(cycles(t) - LAG)


def stages(solver):
    """The tableau of a solver: its nodes, the rows of its matrix, and its weights."""
    if isinstance(solver, diffrax.Euler):
        return [0.0], [[]], [1.0]
    tableau = solver.tableau
    rows = [[], *(np.asarray(r, float).tolist() for r in tableau.a_lower)]
    return [0.0, *np.asarray(tableau.c, float)], rows, np.asarray(tableau.b_sol, float)


def plain(solver, signal, t0, steps, x=0.0):
    """The method in NumPy with a float32 state and float64 times, from t0 on."""
    f = np.float32
    nodes, rows, weights = stages(solver)
    h, x, found = f(STEP), f(x), []
    for n in range(steps):
        slopes = []
        for c, row in zip(nodes, rows, strict=True):
            z = x
            for a, k in zip(row, slopes, strict=True):
                z = z + h * f(a) * k
            slopes.append((-z + f(signal(t0 + (n + c) * STEP))) / f(TAU))
        for b, k in zip(weights, slopes, strict=True):
            x = x + h * f(b) * k
        found.append(x)
    return np.asarray(found)


def sine(t):
    """The signal in float64, without its whole cycles."""
    turned = t * FREQUENCY / 1000
    return np.sin(2 * np.pi * (turned - np.floor(turned)))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("t0", STARTS)
def test_a_sine_from_late_on(solver, t0):
    times = t0 + STEP * np.arange(3001)
    method, begin = SOLVERS[solver], settled(t0)
    ours = simulate(UNIT, times, SINE, start=np.array([begin]), step=STEP, solver=method)
    right = settled(times)[1:]
    errors = abs(np.asarray(ours.states)[1:, 0] - right)
    theirs = abs(plain(method, sine, t0, 3000, begin) - right)
    assert errors.max() <= 3 * theirs.max()


@pytest.mark.parametrize("seconds", [1, slow(10), 100, slow(1000)])
def test_a_sine_after_a_long_run(seconds):
    end = 1000.0 * seconds
    times = np.concatenate([[0.0], end - 300 + np.arange(301.0)])
    theirs = abs(
        plain(RK4(), sine, end - 300, 3000, settled(end - 300))
        - settled(times[1] + STEP * np.arange(1, 3001))
    )
    ours = simulate(UNIT, times, SINE, start=np.array([settled(0.0)]), step=STEP, solver=RK4())
    assert abs(np.asarray(ours.states)[2:, 0] - settled(times[2:])).max() <= 3 * theirs.max()


@pytest.mark.parametrize("t0", [*STARTS, -1e6])
def test_a_pulse_and_its_edges(t0):
    times = t0 + np.arange(0.0, 11.0)
    right = (1 - np.exp(-0.3)) * np.exp(-(times[6:] - t0 - 5) / TAU)
    for step in (0.1, 0.025):
        run = simulate(UNIT, times, Pulse(1.0, t0 + 2, 3.0), step=step)
        np.testing.assert_allclose(run.states[6:, 0], right, rtol=5e-6)
    alone = simulate(UNIT, times, Pulse(1.0, t0 + 2, 3.0))
    np.testing.assert_allclose(alone.states[6:, 0], right, rtol=1e-5)
    assert run.status == alone.status == Status.OK


@pytest.mark.parametrize("t0", STARTS)
def test_adaptive_steps_are_as_many_and_as_good(t0):
    times, begin = t0 + np.arange(0.0, 1001.0), np.array([settled(t0)])
    right = settled(times)
    runs = {d: simulate(UNIT, times, SINE, start=begin, dtype=d) for d in ("float32", "float64")}
    errors = {d: abs(np.asarray(r.states)[:, 0] - right).max() for d, r in runs.items()}
    assert errors["float32"] <= 3 * errors["float64"] + 1e-6
    counts = [int(r.stats["steps"]) for r in runs.values()]
    assert counts[0] <= 1.05 * counts[1]


@pytest.mark.parametrize("seconds", [slow(1), 10, slow(100)])
def test_adaptive_steps_of_long_runs(seconds):
    end = 1000.0 * seconds
    over = [axis(lambda c: c.tau, [10.0, 20.0])]
    data = sweep(
        UNIT, {"swing": Amplitude()}, over, duration=end, transient=end - 300, input=SINE,
        progress=False,
    )  # fmt: skip
    assert (data.status.values == Status.OK).all()
    right = 2 / np.hypot(1, np.array([10.0, 20.0]) * SPEED)
    np.testing.assert_allclose(data.swing.values[:, 0], right, rtol=2e-5)


@pytest.mark.parametrize("late", [0.0, 1e6, 1e9])
def test_a_recording(late):
    samples = np.sin(2 * np.pi * np.arange(41) / 20)
    recording = Recording(samples, 1000.0, start=late)
    times = late + np.arange(0.0, 41.0)
    with jax.enable_x64(True):
        here = simulate(UNIT, times - late, Recording(samples, 1000.0), step=STEP, dtype="float64")
    for kw in ({"step": STEP}, {}):
        run = simulate(UNIT, times, recording, **kw)
        np.testing.assert_allclose(run.states, here.states, atol=2e-6)


@pytest.mark.parametrize("t0", [0.0, 1e9])
def test_an_implicit_solver(t0):
    times, begin = t0 + np.array([0.0, 3000.0, 3010.0]), np.array([settled(t0)])
    run = simulate(UNIT, times, SINE, start=begin, solver=diffrax.Kvaerno5())
    assert run.states.dtype == np.float32
    np.testing.assert_allclose(run.states[:, 0], settled(times), atol=2e-4)
    assert run.failed_at == times[-1]


def test_a_plain_function_is_given_times_with_all_digits():
    late = 1e9

    def jumping(t):
        assert t.dtype == jnp.float64
        return jnp.where(t >= late + 2, 1.0, 0.0)

    run = simulate(UNIT, late + np.arange(0.0, 6.0), jumping, step=STEP)
    np.testing.assert_allclose(run.final[0], 1 - np.exp(-0.3), rtol=1e-6)
    assert run.states.dtype == np.float32


def test_the_numbers_of_a_swept_input_keep_their_digits():
    frequencies = np.array([40.0, 37.123456789, 12.3456789])
    end = 100_000.0
    data = sweep(
        Driven(UNIT, SINE), {"x": Final()}, [axis(lambda d: d.input.frequency, frequencies)],
        duration=end, step=STEP, progress=False,
    )  # fmt: skip
    speed = 2 * np.pi * frequencies / 1000
    turned = frequencies * end / 1000
    phase = 2 * np.pi * (turned - np.floor(turned))
    right = np.sin(phase - np.arctan(TAU * speed)) / np.hypot(1, TAU * speed)
    np.testing.assert_allclose(data.x.values[:, 0], right, atol=2e-6)


def test_noise_is_the_same_wherever_the_run_begins():
    runs = [
        simulate(
            UNIT, t0 + np.arange(0.0, 11.0), step=STEP, noise=Additive(0.1), key=jax.random.key(0)
        )
        for t0 in STARTS
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.states, runs[0].states)


@pytest.mark.parametrize("steps", [{"step": STEP}, {}], ids=["fixed", "adaptive"])
@pytest.mark.parametrize("t0", [slow(0.0), slow(1e6), 1e9])
def test_gradients_late_in_a_run(steps, t0):
    times = t0 + np.array([0.0, 20.0])

    @jax.jit
    def end(input):
        return simulate(UNIT, times, input, start=np.zeros(1), **steps).final[0]

    with jax.enable_x64(True):
        here = jax.grad(
            lambda i: simulate(UNIT, times - t0, i, start=np.zeros(1), **steps).final[0]
        )(Sinusoid(1.0, FREQUENCY, 0.3))
    here = jax.tree.map(np.asarray, here)
    found = jax.grad(end)(Sinusoid(1.0, FREQUENCY, 0.3))
    np.testing.assert_allclose(found.amplitude, here.amplitude, rtol=1e-4)
    np.testing.assert_allclose(found.phase, here.phase, rtol=1e-4)
    # the phase at t0 goes with the frequency: d sin(2 pi f t) = ... t, which is t0 more
    late = here.frequency + here.phase * 2 * np.pi * t0 / 1000
    np.testing.assert_allclose(found.frequency, late, rtol=1e-4)


class Chirp(AbstractInput):
    """A swept frequency, all of its numbers of its own."""

    start: object = rnnjax.parameter(0.0, "ms")
    rate: object = rnnjax.parameter(1e-4, "kHz/ms")

    def __call__(self, t):
        """The value at time t."""
        s = t - self.start
        turned = self.rate * s * s / 2
        return jnp.sin(2 * np.pi * (turned - jnp.floor(turned)))


@pytest.mark.parametrize("t0", STARTS)
def test_a_swept_frequency(t0):
    times = t0 + np.arange(0.0, 301.0)
    here = simulate(UNIT, times - t0, Chirp(), step=STEP, dtype="float64")
    found = simulate(UNIT, times, Chirp(t0), step=STEP)
    np.testing.assert_allclose(found.states, here.states, atol=1e-6)


@eqx.filter_jit
def _last(input, t0):
    """The end of a run of 12 ms that begins at whole ms."""
    from rnnjax._engine.driven import driven_by
    from rnnjax._engine.fixed_steps import FixedRun, integrate

    run = FixedRun(UNIT, driven_by(input), RK4(), t0, np.float32(0.1))
    return integrate(run, jnp.zeros(1, jnp.float32), 120).final[0]


KINDS = {
    "sine": lambda t0, x: Sinusoid(1.0, 40.0, x - 2 * np.pi * ((t0 * 0.04) % 1)),
    "pulse": lambda t0, x: Pulse(1.0, t0 + np.floor(4 * x), 3.0),
    "step": lambda t0, x: Step(x, t0 + 2.0),
    "ramp": lambda t0, x: Ramp(x, t0 + 1.0, 5.0),
    "recording": lambda t0, x: Recording([0.0, x, -x, 1.0], 250.0, t0),
}


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    t0=st.one_of(st.integers(-(10**9), 10**9), st.integers(-(10**6), 10**6)),
    x=st.floats(0.125, 2.0, width=16),
)
def test_where_a_run_begins_does_not_matter(kind, t0, x):
    from rnnjax._engine.driven import driven_by
    from rnnjax._numerics.digits import digits

    late, here = (
        _last(driven_by(KINDS[kind](float(t), x), np.float32), digits(np.float64(t), np.float32))
        for t in (t0, 0)
    )
    np.testing.assert_allclose(late, here, atol=2e-6)


def test_more_steps_than_can_be_counted_are_refused():
    with pytest.raises(ValueError, match="2147483647"):
        measure(UNIT, Final(), 1e10, step=1.0)
    with pytest.raises(ValueError, match="2147483647"):
        simulate(UNIT, [0.0, 1e10], step=1.0)


@pytest.mark.parametrize("late", [1e3, 1e5, 1e8])
def test_times_and_durations_off_the_grid_are_refused(late):
    for off in (0.05, 0.001):
        with pytest.raises(ValueError, match="multiples of step"):
            simulate(UNIT, [0.0, late + off], step=STEP)
        with pytest.raises(ValueError, match="whole number of steps"):
            measure(UNIT, Final(), late + off, step=STEP)
    assert simulate(UNIT, [late, late + 0.3, late + 0.7], step=STEP).status == Status.OK


def test_constants_are_taken_as_they_are():
    run = simulate(UNIT, [0.0, 10.0], Constant(2.0), step=STEP)
    np.testing.assert_allclose(run.final[0], 2 * (1 - np.exp(-1)), rtol=1e-6)


TABLE = np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08])
BY_NUMBER = {
    "one": (lambda n: jnp.where(n == 5, 0.1, 0.0), lambda n: 0.1 * (n == 5)),
    "even": (lambda n: jnp.where(n % 2 == 0, 0.1, 0.0), lambda n: 0.1 * (n % 2 == 0)),
    "until": (lambda n: jnp.where(n <= 5, 0.1, 0.0), lambda n: 0.1 * (n <= 5)),
    "later": (lambda n: jnp.where(n > 5, 0.1, 0.0), lambda n: 0.1 * (n > 5)),
    "of a table": (lambda n: jnp.asarray(TABLE)[n.astype(int)], lambda n: TABLE[n]),
}


class Logistic(rnnjax.AbstractMap):
    """x to 2 x (1 - x) + u."""

    def __call__(self, x, u):
        return 2.0 * x * (1 - x) + u

    def rest(self):
        return np.asarray(0.3)

    def no_input(self):
        return 0.0


@pytest.mark.parametrize("name", BY_NUMBER)
def test_a_map_is_given_the_number_of_each_step(name):
    given, right = BY_NUMBER[name]
    found, x = simulate(Logistic(), np.arange(9.0), given).states, 0.3
    for n in range(8):
        x = 2.0 * x * (1 - x) + right(n)
        np.testing.assert_allclose(found[n + 1], x, rtol=1e-5)


def test_exponents_of_a_map_whose_input_alternates():
    class Scaled(Logistic):
        def __call__(self, x, u):
            return u * x

    found = rnnjax.lyapunov_exponents(
        Scaled(), 2000.0, input=lambda n: jnp.where(n % 2 == 0, 2.0, 0.25)
    )
    np.testing.assert_allclose(found.exponents, [np.log(0.5) / 2], rtol=1e-5)


def test_a_long_run_by_an_implicit_method_keeps_its_clock():
    times = np.linspace(0.0, 4000.0, 3)
    found = simulate(UNIT, times, SINE, solver=diffrax.Kvaerno5(), rtol=1e-6, atol=1e-8)
    known = SIZE * np.sin(cycles(times) - LAG)
    np.testing.assert_allclose(found.states[1:, 0], known[1:], atol=8e-6)
