"""Adaptive lanes: diffrax's steps and answers, lanes that don't disturb each other, true measures."""

import itertools

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import StuartLandau

import rnnjax
from rnnjax import measures
from rnnjax._engine.adaptive_steps import AdaptiveLane
from rnnjax._engine.driven import driven_by
from rnnjax._engine.step_control import Tolerances, window
from rnnjax._machine.lanes import Worker, map_workers
from rnnjax._machine.plan import Plan
from rnnjax.circuits import ExcitatoryInhibitory, ExcitatoryInhibitoryState, LinearNetwork
from rnnjax.connectivity import Dense
from rnnjax.inputs import Constant, Step
from rnnjax.measures._stretch import Piece, Stretch
from rnnjax.noise import Additive
from rnnjax.solvers import RK4
from rnnjax.solvers._embedded import dense_weights

START = ExcitatoryInhibitoryState(e=50.0, i=20.0)
RUN = {"duration": 300.0, "start": START, "dtype": "float64"}
SOLVERS = [diffrax.Heun(), diffrax.Bosh3(), diffrax.Tsit5(), diffrax.Dopri5(), diffrax.Dopri8()]
solvers = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)


def tau_i(circuit):
    return circuit.tau_i


def rate_e(state):
    return state.e


@solvers
def test_the_error_follows_the_tolerance(solver):
    circuit = ExcitatoryInhibitory(tau_i=30.0)
    truth = rnnjax.simulate(
        circuit, [0.0, 300.0], start=START, solver=diffrax.Dopri8(), rtol=1e-12, atol=1e-12,
        dtype="float64",
    ).final  # fmt: skip
    errors = []
    for tolerance in (1e-3, 1e-5, 1e-6):
        end = rnnjax.measure(
            circuit, measures.Final(), solver=solver, rtol=tolerance, atol=tolerance, **RUN
        )
        errors.append(abs(end.e - truth.e) + abs(end.i - truth.i))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


def test_takes_the_steps_of_diffrax():
    with jax.enable_x64(True):
        circuit, none = (
            ExcitatoryInhibitory(tau_i=30.0),
            Constant(ExcitatoryInhibitoryState(0.0, 0.0)),
        )
        tolerances = Tolerances(jnp.asarray(1e-6), jnp.asarray(1e-6))
        times = window(*(np.asarray(t) for t in (0.0, 0.0, 1000.0)))
        lane = AdaptiveLane(circuit, driven_by(none), diffrax.Tsit5(), times, tolerances)
        start = jax.tree.map(jnp.asarray, START)
        run = jax.jit(lane.run)(start)
        theirs = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, _: circuit(y, none(t))), diffrax.Tsit5(), 0.0, 1000.0, None,
            start, max_steps=4096, throw=False,
            stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-6, pcoeff=0.4, icoeff=0.3),
        )  # fmt: skip
        # they differ in the very first step
        assert abs(int(run.accepted) - int(theirs.stats["num_accepted_steps"])) <= 3
        np.testing.assert_allclose(run.final.e, theirs.ys.e[0], rtol=1e-5)


def test_measures_see_between_the_steps():
    """On the Stuart-Landau cycle of radius r and frequency omega everything has a closed form."""
    circuit = StuartLandau()
    settled = rnnjax.simulate(circuit, [0.0, 400.0], rtol=1e-10, atol=1e-10, dtype="float64").final
    asked = {
        "amplitude": measures.Amplitude(), "range": measures.MinMax(), "mean": measures.Mean(),
        "frequency": measures.Frequency(level=0.0), "period": measures.Period(level=0.0), "end": measures.Final(),
    }  # fmt: skip
    run = {"start": settled, "dtype": "float64", "transient": 3.0}
    fine = rnnjax.measure(circuit, asked, 103.0, step=0.0005, solver=RK4(), **run)
    found = rnnjax.measure(circuit, asked, 103.0, rtol=1e-6, atol=1e-6, **run)
    for name in asked:
        for a, b in zip(jax.tree.leaves(found[name]), jax.tree.leaves(fine[name]), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5, err_msg=name)


@solvers
def test_dense_output_is_the_solver_s(solver):
    values, slopes = dense_weights(solver, 4)
    tableau = solver.tableau
    np.testing.assert_allclose(values[0], 0, atol=1e-12)
    np.testing.assert_allclose(values[-1], tableau.b_sol, atol=1e-6)
    c = np.concatenate([[0.0], np.asarray(tableau.c, float)])
    thetas = np.linspace(0, 1, 5)
    np.testing.assert_allclose(values.sum(1), thetas, atol=1e-6)  # of a constant slope
    np.testing.assert_allclose(slopes.sum(1), 1, atol=1e-5)
    if type(solver) is not diffrax.Heun:
        np.testing.assert_allclose(values @ c, thetas**2 / 2, atol=1e-6)  # of a linear one


@pytest.mark.parametrize("turn", [(0.3, 1.0), (-1.0, 2.0), (2.0, -0.7)])
@pytest.mark.parametrize("count", [1, 5])
def test_a_stretch_is_its_cubics(turn, count):
    polynomial = np.polynomial.Polynomial([0.2, turn[0], -1.5, turn[1]])
    slope, area = polynomial.deriv(), polynomial.integ()
    turns = np.sort([x.real for x in slope.roots() if abs(x.imag) < 1e-12])
    begin, end = turns[0] - 0.2, turns.mean()  # one piece shows one turn
    end = end if count == 1 else turns[-1] + 0.3
    edges = np.linspace(begin, end, count + 1)
    stretch = Stretch(tuple(
        Piece(a, b, b - a, polynomial(a), polynomial(b), slope(a), slope(b))
        for a, b in itertools.pairwise(edges)
    ))  # fmt: skip
    assert (stretch.t0, stretch.t1, stretch.x1) == (begin, end, polynomial(end))
    seen = polynomial(np.array([begin, end, *turns[(turns > begin) & (turns < end)]]))
    assert len(seen) > 2
    with jax.enable_x64(True):
        low, high = stretch.extremes()
        np.testing.assert_allclose([low, high], [seen.min(), seen.max()], rtol=1e-12)
        np.testing.assert_allclose(stretch.integral(), area(end) - area(begin), rtol=1e-12)
        level = stretch.x0 + 0.4 * (seen.max() - stretch.x0)
        at, times = stretch.crossing(level)
        rising = [
            (a, b) for a, b in itertools.pairwise(edges) if polynomial(a) < level <= polynomial(b)
        ]  # fmt: skip
        assert times == len(rising)
        if rising:
            roots = [x.real for x in (polynomial - level).roots() if abs(x.imag) < 1e-12]
            inside = [x for x in roots if rising[-1][0] < x <= rising[-1][1]]
            np.testing.assert_allclose(at, inside[0], atol=1e-6)


def eight_times_the_phase(state):
    return jnp.cos(8 * jnp.arctan2(state[1], state[0]))


def test_every_crossing_within_a_step_counts():
    rotation = LinearNetwork(Dense([[1.0, -0.2], [0.2, 1.0]]), tau=1.0)
    run = {"start": np.array([1.0, 0.0]), "rtol": 1e-3, "atol": 1e-3, "dtype": "float64"}
    found = rnnjax.measure(
        rotation, measures.Frequency(of=eight_times_the_phase, level=0.0), 1000.0, **run
    )
    # steps of 6 ms, in which it rises up to three times
    np.testing.assert_allclose(found, 8 * 1000 * 0.2 / (2 * np.pi), rtol=2e-3)


def test_steps_onto_jumps():
    circuit = ExcitatoryInhibitory(tau_i=30.0)
    kick = Step(ExcitatoryInhibitoryState(e=20.0, i=0.0), onset=101.3)
    found = rnnjax.measure(circuit, measures.Final(), input=kick, rtol=1e-9, atol=1e-9, **RUN)
    truth = rnnjax.simulate(
        circuit, [0.0, 300.0], kick, start=START, rtol=1e-11, atol=1e-11, dtype="float64"
    ).final
    np.testing.assert_allclose(found.e, truth.e, rtol=1e-7)


def test_a_sweep_equals_one_at_a_time():
    values = np.linspace(15, 60, 37)
    found = rnnjax.sweep(
        ExcitatoryInhibitory(), {"end": measures.Final(), "swing": measures.Amplitude()},
        [rnnjax.axis(tau_i, values)], transient=100.0, progress=False, **RUN,
    )  # fmt: skip
    for k in (0, 11, 36):
        alone = rnnjax.measure(
            ExcitatoryInhibitory(tau_i=values[k]), {"swing": measures.Amplitude()}, transient=100.0,
            **RUN,
        )  # fmt: skip
        # rounding decides about a step whose error is just what is tolerated: 1e-11 but for that
        np.testing.assert_allclose(found.swing_e[k], alone["swing"].e, rtol=2e-5)
    assert found.attrs["attempts_done"] >= found.attrs["attempts_needed"] > 37 * 20
    assert (found.status == 0).all()


@pytest.mark.parametrize("name", ["map.nc", "map.zarr", None])
def test_a_sweep_is_stored_with_its_tolerances(tmp_path, name):
    data = rnnjax.sweep(
        ExcitatoryInhibitory(), {"end": measures.Final(), "half": lambda c: c.tau_i / 2},
        [rnnjax.axis(tau_i, np.linspace(20, 60, 5))], duration=20.0, rtol=1e-4, atol=1e-5,
        store=None if name is None else tmp_path / name, progress=False,
    )  # fmt: skip
    assert data.attrs["rtol"] == 1e-4
    assert "step_ms" not in data.attrs
    assert data.attrs["attempts_needed"] > 0
    np.testing.assert_allclose(data.half, np.linspace(10, 30, 5))
    assert (data.status == 0).all()


def lanes_of(count, order=None):
    values = np.linspace(15.0, 90.0, count)
    return values if order is None else values[order]


def worker():
    def lane(values, shared):
        circuit = ExcitatoryInhibitory(tau_i=values)
        none = Constant(ExcitatoryInhibitoryState(0.0, 0.0))
        times, tolerances = shared
        return AdaptiveLane(
            circuit, driven_by(none), diffrax.Tsit5(), times, tolerances, (measures.Final(),)
        )

    def start(values):
        return jax.tree.map(lambda x: jnp.full_like(values, x), START)

    return Worker(
        begin=lambda v, s: lane(v, s).begin(start(v)),
        attempt=lambda v, s, c: lane(v, s).attempt(c),
        running=lambda v, s, c: lane(v, s).running(c),
        finish=lambda v, s, c: lane(v, s).finish(c),
    )


def shared(dtype="float64"):
    with jax.enable_x64(dtype == "float64"):
        times = window(*(np.asarray(t) for t in (0.0, 0.0, 200.0)))
    return times, Tolerances(np.asarray(1e-5, dtype), np.asarray(1e-5, dtype))


def test_lanes_do_not_depend_on_their_neighbors():
    """Bit for bit: in another order, among lanes that fail, and with other points in the queue."""
    with jax.enable_x64(True):
        run = map_workers(worker(), Plan(16, 1))
        order = np.random.default_rng(0).permutation(64)
        plain = run(lanes_of(64), shared())[0]
        shuffled = run(lanes_of(64, order), shared())[0]
        np.testing.assert_array_equal(plain.final.e[order], shuffled.final.e)
        np.testing.assert_array_equal(plain.attempts[order], shuffled.attempts)
        broken = lanes_of(64).copy()
        broken[::2] = np.nan
        beside = run(broken, shared())[0]
        np.testing.assert_array_equal(beside.final.e[1::2], plain.final.e[1::2])
        assert (np.asarray(beside.status[::2]) != 0).all()
        assert (np.asarray(beside.status[1::2]) == 0).all()


@pytest.mark.parametrize("plan", [Plan(None, 1), Plan(8, 1), Plan(8, 2), Plan(16, 4)])
def test_every_plan_gives_the_same(plan):
    with jax.enable_x64(True):
        one, _ = map_workers(worker(), Plan(16, 1))(lanes_of(64), shared())
        other, tried = map_workers(worker(), plan)(lanes_of(64), shared())
        np.testing.assert_allclose(other.final.e, one.final.e, rtol=1e-12)
        np.testing.assert_array_equal(other.attempts, one.attempts)
        assert tried.shape == (plan.devices,)
        assert tried.sum() >= one.attempts.sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lowers_for_cuda(dtype):
    with jax.enable_x64(dtype == "float64"):
        program = map_workers(worker(), Plan(None, 1))
        lanes = lanes_of(8).astype(dtype)
        text = program.trace(lanes, shared(dtype)).lower(lowering_platforms=("cuda",)).as_text()
        assert "callback" not in text
        assert ("f64" in text) == (dtype == "float64")


def test_new_durations_and_tolerances_do_not_compile_again():
    traces = []

    def counted(state):
        traces.append(1)
        return state.e

    over = [rnnjax.axis(tau_i, np.linspace(15, 60, 6))]
    for duration, tolerance in ((50.0, 1e-5), (80.0, 1e-5), (80.0, 1e-6)):
        rnnjax.sweep(
            ExcitatoryInhibitory(), {"end": measures.Final(of=counted)}, over, duration=duration,
            rtol=tolerance, progress=False,
        )  # fmt: skip
        first = len(traces) if len(traces) and duration == 50.0 else first
    assert len(traces) == first


def test_forward_derivatives():
    def end(tau):
        circuit = eqx.tree_at(tau_i, ExcitatoryInhibitory(), tau)
        return rnnjax.measure(
            circuit, measures.Final(of=rate_e), 100.0, start=START, rtol=1e-9, atol=1e-9
        )

    with jax.enable_x64(True):
        found = jax.jvp(end, (30.0,), (1.0,))[1]
        near = (end(30.001) - end(29.999)) / 0.002
        np.testing.assert_allclose(found, near, rtol=1e-3)


def test_failures_are_told():
    class Explodes(rnnjax.AbstractCircuit):
        a: object = rnnjax.parameter(1.0, "1")

        def __call__(self, state, input):
            return self.a * state**2

        def rest(self):
            return jnp.ones_like(self.a)

        def no_input(self):
            return 0.0

    with pytest.raises(rnnjax.SimulationError, match="step size"):
        rnnjax.measure(Explodes(), measures.Final(), 5.0)
    data = rnnjax.sweep(
        Explodes(), {"end": measures.Final()}, [rnnjax.axis(lambda c: c.a, [-1.0, 1.0])],
        duration=5.0, progress=False,
    )  # fmt: skip
    assert data.status.values[0] == 0
    assert data.status.values[1] in (1, 3)
    assert np.isnan(data.end.values[1])


def test_what_needs_fixed_steps_is_refused():
    circuit = ExcitatoryInhibitory()
    with pytest.raises(ValueError, match="Spectrum is made for fixed steps"):
        rnnjax.measure(circuit, measures.Spectrum(), 10.0)
    with pytest.raises(ValueError, match="noise needs fixed steps"):
        rnnjax.measure(
            circuit, measures.Mean(), 10.0, noise=Additive(0.1), key=jax.random.key(0),
            solver=diffrax.ShARK(),
        )  # fmt: skip
    with pytest.raises(ValueError, match="no error estimate"):
        rnnjax.measure(circuit, measures.Mean(), 10.0, solver=RK4())
    with pytest.raises(TypeError, match="implicit"):
        rnnjax.measure(circuit, measures.Mean(), 10.0, solver=diffrax.Kvaerno5())
    with pytest.raises(ValueError, match="rtol"):
        rnnjax.measure(circuit, measures.Mean(), 10.0, rtol=1e-12, dtype="float32")
