"""Which plan is chosen for what, and that numbers which are computed once are the same numbers."""

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
from rnnjax import measures
from rnnjax._machine import plan as _plan
from rnnjax._machine.compute_once import computed_once, what_to_keep
from rnnjax._machine.plan import Loop, Plan, choose_plan
from rnnjax._precision import cast
from rnnjax.solvers import RK4
from rnnjax.solvers._base import step_function
from rnnjax.solvers._embedded import embedded_pair


@pytest.fixture
def tuned(monkeypatch):
    """As after `tune_cpu(devices=2)`."""
    monkeypatch.setattr(_plan, "tuned_devices", lambda: 2)


def test_without_tuning_the_whole_batch_goes_together():
    assert choose_plan(False, Loop(2, 2, 4, 4)) == Plan(None, 1)
    assert choose_plan(False, Loop(2, 2, 7, 8, adaptive=True)) == Plan(4096, 1)


@pytest.mark.usefixtures("tuned")
def test_small_circuits_go_in_tiles_that_are_compiled_whole():
    assert choose_plan(False, Loop(2, 2, 4, 4)) == Plan(512, 2)
    assert choose_plan(False, Loop(2, 2, 7, 8, adaptive=True)) == Plan(256, 2)
    tiles = [choose_plan(False, Loop(n, n, 7, 4)).tile for n in (2, 4, 8, 12, 20)]
    assert tiles == sorted(tiles, reverse=True)
    assert all(tile % 16 == 0 and 32 <= tile <= 512 for tile in tiles)
    assert choose_plan(False, Loop(64, 1, 4, 4)).tile < 256
    assert choose_plan(False, Loop(200, 200, 7, 8)) == Plan(256, 2)  # too large for any tile


@pytest.mark.usefixtures("tuned")
def test_networks_go_as_one_product():
    assert choose_plan(True, Loop(100, 1, 4, 4)) == Plan(None, 2)
    assert choose_plan(True, Loop(1000, 1, 4, 4)) == Plan(None, 1)  # which takes all cores
    assert choose_plan(True, Loop(100, 1, 7, 8, adaptive=True)) == Plan(256, 2)
    assert choose_plan(True, Loop(1000, 1, 7, 8, adaptive=True)).tile == 65


@pytest.mark.usefixtures("tuned")
def test_accelerators_take_the_whole_batch(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for products in (True, False):
        assert choose_plan(products, Loop(2, 2, 7, 8, adaptive=products)) == Plan(None, 1)
    assert what_to_keep(Cell(), 0.0, Cell().rest(), 0.1) is None


class Three(NamedTuple):
    v: Any
    m: Any
    h: Any


class Cell(rnnjax.AbstractCircuit):
    """Slopes that end with a product, a quotient, and a quotient by a constant."""

    drive: Any = rnnjax.parameter(2.0, "1")
    tau: Any = rnnjax.parameter(5.0, "ms", positive=True)

    def __call__(self, state, input):
        v, m, h = state
        return Three(
            self.drive - v * m - h + input.v, (jnp.tanh(v) - m) / self.tau, (v - jnp.exp(-h)) / 20.0
        )

    def rest(self):
        return Three(*(jnp.full_like(self.tau, x) for x in (0.5, 0.2, 0.1)))


def test_slopes_that_are_computed_once_as_they_are():
    found = []

    def program(circuit, state):  # parameters are arguments of every compiled program
        def field(t, state):
            return circuit(state, Three(t, t, t))

        found.extend(what_to_keep(f, 0.0, state, 0.1) for f in (field, jax.jit(field)))
        return state

    state = Three(*jnp.array([0.5, 0.2, 0.1]))
    jax.eval_shape(program, cast(Cell(), np.float32), state)
    for keep in found:
        assert keep.slopes == (True, False, True)
        assert keep.stages
    negative = what_to_keep(lambda t, s: jax.tree.map(lambda x: -jnp.sin(x), s), 0.0, state, 0.1)
    assert negative.slopes == (False, False, False)
    assert negative.stages
    pair = what_to_keep(lambda t, s: (s[0] / s[1], s[0] / s[1]), 0.0, (1.0, 2.0), 0.1)
    assert pair is None
    assert what_to_keep(lambda t, x: 2 * x, 0.0, jnp.ones(5), 0.1) is None
    assert what_to_keep(lambda t, s: s, 0.0, (1.0, 2.0), 0.1).slopes == (True, True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_that_are_kept_are_the_same(dtype):
    with jax.enable_x64(dtype is np.float64):
        x = np.random.default_rng(0).normal(size=100).astype(dtype)
        run = jax.jit(lambda x, h: computed_once(x, h))
        for like in (0.1, -3.0, 1e30):
            np.testing.assert_array_equal(run(x, dtype(like)), x)
        assert "divide" in run.lower(x, dtype(0.1)).compile().as_text()
        assert jax.grad(lambda h: computed_once(x, h).sum())(dtype(0.1)) == 0


@pytest.mark.parametrize(
    "solver", [RK4(), diffrax.Tsit5(), diffrax.Heun()], ids=lambda s: type(s).__name__
)
def test_steps_and_gradients_are_the_same(solver):
    with jax.enable_x64(True):
        circuit, state = Cell(), Three(*jnp.array([0.5, 0.2, 0.1]))

        def field(t, state):
            return circuit(state, Three(t, t, t))

        keep = what_to_keep(field, 0.0, state, 0.1)

        def stepped(state, keep):
            return step_function(solver)(field, 0.3, state, 0.1, keep)

        given = [jax.jit(lambda s, k=k: stepped(s, k))(state) for k in (keep, None)]
        np.testing.assert_allclose(*given, rtol=1e-15)
        slopes = [jax.jacrev(lambda s, k=k: jnp.stack(stepped(s, k)))(state) for k in (keep, None)]
        np.testing.assert_allclose(*slopes, rtol=1e-13, atol=1e-15)
        if type(solver) is not RK4:
            pair = embedded_pair(solver)
            tried = [pair.attempt(field, 0.3, state, 0.1, None, k) for k in (keep, None)]
            np.testing.assert_allclose(tried[0].state, tried[1].state, rtol=1e-15)
            np.testing.assert_allclose(tried[0].error, tried[1].error, rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("step", [0.1, None], ids=["fixed", "adaptive"])
def test_a_sweep_keeps_and_agrees_with_diffrax(step):
    drives = np.linspace(0.5, 3.0, 7)
    data = rnnjax.sweep(
        Cell(), {"end": measures.Final()}, [rnnjax.axis(lambda c: c.drive, drives)], duration=40.0,
        step=step, rtol=1e-9, atol=1e-9, dtype="float64", progress=False,
    )  # fmt: skip
    for k, drive in enumerate(drives):
        truth = rnnjax.simulate(
            Cell(drive), [0.0, 40.0], rtol=1e-10, atol=1e-10, solver=diffrax.Dopri8(),
            dtype="float64", adjoint=diffrax.RecursiveCheckpointAdjoint(),
        ).final  # fmt: skip
        for name in Three._fields:
            np.testing.assert_allclose(data[f"end_{name}"][k], getattr(truth, name), rtol=1e-7)
