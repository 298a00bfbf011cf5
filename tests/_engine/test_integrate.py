"""The fixed-step engine: diffrax's numbers, its orders, and lanes that don't disturb each other."""

import functools
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest
from oracles import central_difference, relative

import rnnjax
from rnnjax import measures, noise, parameter
from rnnjax._engine.fixed_steps import FixedRun, integrate
from rnnjax._machine.lanes import lanes_together, map_lanes
from rnnjax._machine.plan import Plan
from rnnjax._numerics.memory import BLOCK
from rnnjax._precision import cast
from rnnjax.inputs import Sinusoid
from rnnjax.solvers import RK4

ORDERS = {
    diffrax.Euler(): 1, diffrax.Heun(): 2, diffrax.Midpoint(): 2, diffrax.Ralston(): 2,
    diffrax.Bosh3(): 3, RK4(): 4, diffrax.Tsit5(): 5, diffrax.Dopri5(): 5, diffrax.Dopri8(): 8,
}  # fmt: skip
solvers = pytest.mark.parametrize("solver", ORDERS, ids=lambda s: type(s).__name__)


class Pair(NamedTuple):
    a: Any
    b: Any


class Driven(rnnjax.AbstractCircuit):
    r"""A nonlinear circuit of two variables.

    $\dot a = (-a + \tanh(w b + u)) / \tau,\; \dot b = (-b - a^2 + \sin(a) u) / \tau$
    """

    w: Any = parameter(3.0, "1")
    tau: Any = parameter(4.0, "ms", positive=True)

    def __call__(self, state, input):
        a, b = state
        return Pair(
            (-a + jnp.tanh(self.w * b + input)) / self.tau,
            (-b - a**2 + jnp.sin(a) * input) / self.tau,
        )

    def rest(self):
        return Pair(jnp.ones_like(self.tau), -0.5 * jnp.ones_like(self.tau))

    def no_input(self):
        return np.zeros(())


DRIVE = Sinusoid(1.5, 40.0, 0.3)
CIRCUIT = Driven()
START = Pair(np.float64(1.0), np.float64(-0.5))


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def run(
    solver, steps, step, circuit=CIRCUIT, drive=DRIVE, start=START, noise=None, key=None, **settings
):
    given = FixedRun(circuit, drive, solver, 2.0, step, noise, key)
    return integrate(given, start, steps, **settings)


@solvers
def test_equals_diffrax(solver):
    steps, step = 40, 0.25

    @jax.jit
    def both(step):
        ours = run(solver, steps, step, save_every=4).saved
        theirs = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: CIRCUIT(y, DRIVE(t))),
            solver, 2.0, 2.0 + steps * step, step, START,
            saveat=diffrax.SaveAt(ts=2.0 + step * np.arange(4.0, steps + 1, 4)),
            stepsize_controller=diffrax.ConstantStepSize(), max_steps=steps + 1,
        ).ys  # fmt: skip
        return ours, theirs

    ours, theirs = both(step)
    for x, y in zip(ours, theirs, strict=True):
        assert relative(x, y) < 1e-12


@solvers
def test_order_of_convergence(solver):
    order = ORDERS[solver]
    if order < 8:
        span, counts = 6.0, np.array([96, 128, 192, 256])
        exact, field = np.exp(-np.sin(span)), lambda y, t: -y * jnp.cos(t)
    else:  # its error is down at rounding before long: fewer steps of a harder equation
        span, counts = 2.0, np.arange(8, 15)
        exact, field = 1 / (2 + span - np.cos(span)), lambda y, t: -(y**2) * (1 + jnp.sin(t))

    @jax.jit
    def ends():
        return [
            integrate(
                FixedRun(field, lambda t: t, solver, 0.0, span / n), jnp.ones(()), int(n)
            ).final
            for n in counts
        ]

    errors = np.abs(np.array(ends()) - exact)
    clear = errors > 1e-13
    assert clear.sum() >= 4
    slope = np.polyfit(np.log(span / counts[clear]), np.log(errors[clear]), 1)[0]
    assert abs(slope - order) < {5: 0.3, 8: 0.5}.get(order, 0.2)


class Given(diffrax.AbstractBrownianPath):
    """A Wiener path of which only the values on a grid are known."""

    step: Any
    values: Any  # (steps + 1, variables)
    t0: Any = 0.0
    t1: Any = 1.0
    levy_area = diffrax.BrownianIncrement

    def evaluate(self, t0, t1=None, left=True, use_levy=False):
        del left, use_levy
        first, last = (jnp.round((t - self.t0) / self.step).astype(int) for t in (t0, t1))
        return self.values[last] - self.values[first]


def theirs(solver, shaking, increments, step):
    steps = len(increments)
    values = jnp.concatenate([jnp.zeros((1, 2)), jnp.cumsum(increments, 0)])
    path = Given(step, values, 2.0, 2.0 + steps * step)

    def drift(t, y, args):
        return jnp.stack(CIRCUIT(Pair(*y), DRIVE(t)))

    def diffusion(t, y, args):
        return lineax.DiagonalLinearOperator(jnp.stack(shaking(Pair(*y))))

    return diffrax.diffeqsolve(
        diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, path)),
        solver, path.t0, path.t1, step, jnp.stack(START), max_steps=steps + 1,
        stepsize_controller=diffrax.ConstantStepSize(),
    ).ys[0]  # fmt: skip


@pytest.mark.parametrize(
    ("solver", "shaking"),
    [
        (diffrax.Euler(), noise.Additive(Pair(0.3, 0.2))),
        (diffrax.Euler(), noise.Multiplicative(0.4)),
        (diffrax.Heun(), noise.Additive(Pair(0.3, 0.2))),
        (diffrax.ItoMilstein(), noise.Multiplicative(0.4)),
    ],
    ids=["Euler-additive", "Euler-multiplicative", "Heun", "ItoMilstein"],
)
def test_noise_equals_diffrax_on_the_same_increments(solver, shaking):
    steps, step = 30, 0.25
    increments = np.sqrt(step) * np.random.default_rng(3).normal(size=(steps, 2))
    ours = jax.jit(lambda dw: run(solver, steps, step, noise=shaking, increments=dw).final)
    expected = jax.jit(lambda dw: theirs(solver, shaking, dw, step))(increments)
    assert relative(jnp.stack(ours(increments)), expected) < 1e-12


@pytest.mark.parametrize(
    ("solver", "order"),
    [(diffrax.Euler(), 0.5), (diffrax.ItoMilstein(), 1.0)],
    ids=["Euler", "Milstein"],
)
def test_strong_order(solver, order):
    paths, finest, scale = 1000, 512, 0.8
    wiener = np.sqrt(1 / finest) * np.random.default_rng(4).normal(size=(paths, finest))
    exact = np.exp(0.5 - scale**2 / 2 + scale * wiener.sum(1))
    counts = (16, 32, 64, 128, 256)

    @functools.partial(jax.jit, static_argnums=1)
    def ends(increments, steps):
        def one(dw):
            shaken = FixedRun(
                lambda x, u: 0.5 * x, jnp.zeros_like, solver, 0.0, 1 / steps,
                noise.Multiplicative(scale),
            )  # fmt: skip
            return integrate(shaken, jnp.ones(()), steps, increments=dw[:, None]).final

        return jax.vmap(one)(increments)

    errors = [
        np.sqrt(np.mean((ends(wiener.reshape(paths, n, -1).sum(-1), n) - exact) ** 2))
        for n in counts
    ]
    slope = np.polyfit(np.log(1 / np.array(counts)), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.2


def test_strong_order_under_additive_noise():
    """Euler-Maruyama is of order 1 there; beside Heun's steps on the finest grid of the path."""
    paths, finest, counts = 500, 2048, (16, 32, 64, 128)
    wiener = np.sqrt(1 / finest) * np.random.default_rng(7).normal(size=(paths, finest))

    @functools.partial(jax.jit, static_argnums=(1, 2))
    def ends(increments, steps, solver):
        def one(dw):
            shaken = FixedRun(
                lambda x, u: jnp.sin(3 * x) - x**3, jnp.zeros_like, solver, 0.0, 1 / steps,
                noise.Additive(0.5),
            )  # fmt: skip
            return integrate(shaken, jnp.asarray(0.3), steps, increments=dw[:, None]).final

        return jax.vmap(one)(increments)

    exact = ends(wiener, finest, diffrax.Heun())
    errors = [
        np.sqrt(np.mean((ends(wiener.reshape(paths, n, -1).sum(-1), n, diffrax.Euler()) - exact) ** 2))
        for n in counts
    ]  # fmt: skip
    slope = np.polyfit(np.log(1 / np.array(counts)), np.log(errors), 1)[0]
    assert abs(slope - 1) < 0.2


@pytest.mark.parametrize(("solver", "order"), [(diffrax.Euler(), 1), (diffrax.Heun(), 2)])
def test_weak_order_under_additive_noise(solver, order):
    """Without sampling: the end of a linear equation is linear in the increments of the noise."""
    decay, coupling, scale, span = 1.0, 0.7, 0.5, 2.0
    matrix = np.array([[-decay, coupling], [-coupling, -2 * decay]])
    begin, counts = np.array([1.0, -0.5]), (8, 16, 32, 64)
    # A S + S A^T = -s^2 I at rest; from there on the covariance grows to it as exp(A t) does
    values, vectors = np.linalg.eig(matrix)
    flow = (vectors * np.exp(values * span) @ np.linalg.inv(vectors)).real
    left, right = np.kron(matrix, np.eye(2)), np.kron(np.eye(2), matrix)
    rest = np.linalg.solve(left + right, -(scale**2) * np.eye(2).ravel()).reshape(2, 2)
    mean, covariance = flow @ begin, rest - flow @ rest @ flow.T
    errors = []
    for steps in counts:

        def end(dw, steps=steps):
            shaken = FixedRun(
                lambda x, u: jnp.asarray(matrix) @ x, jnp.zeros_like, solver, 0.0, span / steps,
                noise.Additive(scale),
            )  # fmt: skip
            return integrate(shaken, jnp.asarray(begin), steps, increments=dw).final

        still = jnp.zeros((steps, 2))
        weights = np.asarray(jax.jacfwd(end)(still)).reshape(2, -1)
        found = np.asarray(end(still)), weights @ weights.T * span / steps
        errors.append([abs(found[0] - mean).max(), abs(found[1] - covariance).max()])
    for each in np.array(errors).T:
        slope = np.polyfit(np.log(span / np.array(counts)), np.log(each), 1)[0]
        assert abs(slope - order) < 0.25


@pytest.mark.parametrize("solver", [diffrax.Euler(), diffrax.Heun()], ids=["Euler", "Heun"])
def test_moments_of_the_ornstein_uhlenbeck_process(solver):
    lanes, step, tau, scale, steps = 20_000, 0.05, 2.0, 0.7, 60

    @jax.jit
    def ends(keys):
        def one(key):
            shaken = FixedRun(
                lambda x, u: -x / tau, jnp.zeros_like, solver, 0.0, step, noise.Additive(scale), key
            )
            return integrate(shaken, jnp.asarray(1.5), steps).final

        return jax.vmap(one)(keys)

    found = np.asarray(ends(jax.random.split(jax.random.key(5), lanes)))
    # The recursion x' = a x + b dW has its moments in closed form, for any step.
    h = step / tau
    a, b = (1 - h, 1.0) if isinstance(solver, diffrax.Euler) else (1 - h + h**2 / 2, 1 - h / 2)
    mean = 1.5 * a**steps
    variance = (b * scale) ** 2 * step * (1 - a ** (2 * steps)) / (1 - a**2)
    z_mean = (found.mean() - mean) / np.sqrt(variance / lanes)
    z_variance = (found.var(ddof=1) / variance - 1) / np.sqrt(2 / (lanes - 1))
    assert abs(z_mean) < 5
    assert abs(z_variance) < 5
    exact = scale**2 * tau / 2 * (1 - np.exp(-2 * steps * step / tau))
    assert abs(variance / exact - 1) < (0.05 if isinstance(solver, diffrax.Euler) else 1e-3)


STEPS = 2 * BLOCK + 60  # full blocks and a rest
NOISY = {"noise": noise.Additive(0.05), "key": jax.random.PRNGKey(6)}


def test_saving_and_measuring_change_no_draw():
    @functools.partial(jax.jit, static_argnums=(0, 1, 2))
    def finals(every, transient, measured):
        return run(
            diffrax.Euler(), STEPS - transient, 0.05, transient=transient, save_every=every,
            measures=(measures.Mean(),) * measured, **NOISY,
        )  # fmt: skip

    plain = finals(None, 0, 0)
    every = finals(1, 0, 0).saved
    assert every.a.shape == (STEPS,)
    for settings in ((10, 0, 1), (BLOCK + 30, 0, 0), (None, 37, 1)):
        other = finals(*settings)
        np.testing.assert_allclose(other.final, plain.final, rtol=1e-13)
    saved = finals(10, 0, 1).saved
    np.testing.assert_allclose(saved, np.stack(every)[:, 9::10], rtol=1e-13)
    np.testing.assert_allclose(finals(BLOCK + 30, 0, 0).saved.b, every.b[BLOCK + 29 :: BLOCK + 30])
    measured = finals(None, 60, 1).measured[0]
    np.testing.assert_allclose(measured, np.stack(every)[:, 60:].mean(1), rtol=1e-12)


def test_draws_depend_on_key_and_step_alone():
    def free(steps, step, transient=0, every=None):
        """Pure noise: the differences of what is saved are the increments."""
        shaken = FixedRun(
            lambda s, u: 0 * s, jnp.zeros_like, diffrax.Euler(), 0.0, step, noise.Additive(1.0),
            jax.random.key(8),
        )  # fmt: skip
        out = integrate(shaken, jnp.zeros(3), steps, transient=transient, save_every=every)
        return out.final if every is None else np.diff(np.asarray(out.saved), axis=0)

    long, short = free(BLOCK + 50, 1.0, every=1), free(40, 1.0, every=1)
    np.testing.assert_allclose(short, long[:39], atol=1e-13)
    np.testing.assert_allclose(free(40, 0.25, every=1), short / 2, atol=1e-13)
    np.testing.assert_allclose(free(BLOCK + 10, 1.0, 40), free(BLOCK + 50, 1.0), atol=1e-12)
    assert abs(np.corrcoef(long[:, 0], long[:, 1])[0, 1]) < 5 / np.sqrt(len(long))


def lane(values, shared):
    step, drive, shaking = shared
    circuit, start, key = values
    out = run(
        diffrax.Euler(), 250, step, circuit=circuit, drive=drive, start=start,
        measures=(measures.Amplitude(),), noise=shaking, key=key,
    )  # fmt: skip
    return out.final, out.measured[0], out.status, out.steps_well


def shared_of(dtype):
    return cast((np.float64(0.05), DRIVE, noise.Additive(0.05)), np.dtype(dtype))


def lanes_of(dtype, lanes=32):
    w = np.linspace(0.5, 4.0, lanes).astype(dtype)
    circuit = Driven()
    circuit = eqx.tree_at(lambda c: (c.w, c.tau), circuit, (w, np.full(lanes, 4.0, dtype)))
    start = Pair(np.ones(lanes, dtype), np.full(lanes, -0.5, dtype))
    return circuit, start, jax.random.split(jax.random.key(1), lanes)


PLANS = [Plan(None, 1), Plan(8, 1), Plan(8, 2), Plan(8, 4)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_plans_agree(dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        lanes, shared = lanes_of(dtype), shared_of(dtype)
        results = []
        for plan in PLANS:
            assert 32 % lanes_together(plan) == 0
            results.append(jax.tree.map(np.asarray, map_lanes(lane, plan)(lanes, shared)))
        for other in results[1:]:
            for x, y in zip(jax.tree.leaves(other), jax.tree.leaves(results[0]), strict=True):
                assert x.dtype == y.dtype
                assert relative(x, y) < tolerance


def test_draws_are_bitwise_equal_over_plans():
    def draw(values, shared):
        shaken = FixedRun(
            lambda s, u: 0 * s, jnp.zeros_like, diffrax.Euler(), 0.0, shared, noise.Additive(1.0),
            values,
        )  # fmt: skip
        return integrate(shaken, jnp.zeros(()), 1).final

    keys = jax.random.split(jax.random.key(2), 32)
    draws = [np.asarray(map_lanes(draw, plan)(keys, np.float64(1.0))) for plan in PLANS]
    assert len(set(draws[0])) == 32
    for other in draws[1:]:
        assert np.array_equal(other, draws[0])


@pytest.mark.parametrize("plan", [Plan(None, 1), Plan(8, 4)], ids=["whole", "tiles"])
def test_sick_lanes_leave_the_others_alone(plan):
    circuit, start, keys = lanes_of("float64")
    mapped, shared = map_lanes(lane, plan), shared_of("float64")
    healthy = jax.tree.map(np.asarray, mapped((circuit, start, keys), shared))
    sick = np.zeros(32, bool)
    sick[[0, 9, 31]] = True
    w = circuit.w.copy()
    w[0], w[9] = np.nan, np.inf
    a = start.a.copy()
    a[31] = 1e200  # its square overflows
    broken = eqx.tree_at(lambda c: c.w, circuit, w)
    mixed = jax.tree.map(np.asarray, mapped((broken, Pair(a, start.b), keys), shared))
    for x, y in zip(jax.tree.leaves(mixed), jax.tree.leaves(healthy), strict=True):
        assert np.array_equal(x[~sick], y[~sick])
    status, well = mixed[2], mixed[3]
    assert (status[~sick] == rnnjax.Status.OK).all()
    assert (status[[0, 31]] == rnnjax.Status.NON_FINITE).all()
    assert (well[~sick] == 250).all()
    assert (well[[0, 31]] == 0).all()


@pytest.mark.parametrize("solver", [diffrax.Euler(), diffrax.Heun(), RK4(), diffrax.Tsit5()],
                         ids=lambda s: type(s).__name__)  # fmt: skip
def test_gradients(solver):
    weights = np.array([0.3, -0.7])

    @jax.jit
    def loss(w):
        out = run(solver, BLOCK + 30, 0.1, circuit=Driven(w), measures=(measures.Mean(),))
        return jnp.stack(out.final) @ weights + sum(out.measured[0])

    expected = central_difference(loss, 1.3)
    backward = jax.jit(jax.grad(loss))(1.3)
    forward = jax.jit(jax.jacfwd(loss))(1.3)
    assert relative(backward, expected) < 1e-6
    assert relative(forward, expected) < 1e-6
    assert relative(forward, backward) < 1e-10


def test_gradients_under_noise():
    shaken = {"key": jax.random.key(3)}

    @jax.jit
    def loss(p):
        out = run(
            diffrax.ItoMilstein(), BLOCK + 20, 0.05, circuit=Driven(p[0]),
            noise=noise.Multiplicative(p[1]), **shaken,
        )  # fmt: skip
        return out.final.a + 2 * out.final.b

    at = np.array([1.3, 0.2])
    found = jax.jit(jax.grad(loss))(at)
    for k in range(2):
        unit = np.eye(2)[k]
        expected = central_difference(lambda v, u=unit, k=k: loss(at + (v - at[k]) * u), at[k])
        assert relative(found[k], expected) < 1e-6
    assert relative(jax.jit(jax.jacfwd(loss))(at), found) < 1e-10


def test_new_values_do_not_compile_again():
    traced = eqx.debug.assert_max_traces(
        lambda circuit, step, key: (
            run(diffrax.Euler(), 5, step, circuit=circuit, noise=noise.Additive(0.1), key=key).final
        ),
        max_traces=1,
    )
    call = eqx.filter_jit(traced)
    results = [
        call(Driven(w), np.asarray(h), jax.random.key(k))
        for k, (w, h) in enumerate([(1.0, 0.1), (2.0, 0.1), (2.0, 0.2)])
    ]
    assert len({float(r.a) for r in results}) == 3
