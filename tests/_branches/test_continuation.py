"""Branches of equilibria: closed forms, gradients, batches, and what can't be followed."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiles import programs
from oracles import Pitchfork, SaddleNode, StuartLandau, central_difference

import rnnjax
from rnnjax import bifurcations
from rnnjax.circuits import (
    Driven,
    ExcitatoryInhibitory,
    ExcitatoryInhibitoryState,
    LinearNetwork,
    MorrisLecar,
    WilsonCowan,
)
from rnnjax.connectivity import Dense
from rnnjax.inputs import Constant

mu, current, tau_i = (operator.attrgetter(name) for name in ("mu", "current", "tau_i"))


def test_a_fold_in_closed_form(both_modes):
    found = rnnjax.continue_equilibria(SaddleNode(mu=1.0), mu, bounds=(-1.0, 1.0))
    assert [str(e.name) for e in found.endings] == ["BOUND", "BOUND"]
    np.testing.assert_allclose(found.states**2, found.parameter, atol=1e-12)
    assert found.parameter.dtype == np.float64
    assert np.ptp(found.states) == pytest.approx(2, abs=1e-9)  # both halves, onto the bounds
    (fold,) = found.bifurcations
    assert fold.label == "LP"
    assert abs(fold.parameter) < 1e-14
    np.testing.assert_allclose(fold.coefficient, -1, rtol=1e-12)
    np.testing.assert_array_equal(found.stable, found.states > 0)


def test_a_hopf_point_in_closed_form(both_modes):
    found = rnnjax.continue_equilibria(StuartLandau(mu=-1.0), mu, bounds=(-1.0, 1.0))
    (hopf,) = found.bifurcations
    assert (hopf.label, hopf.kind) == ("H", "supercritical")
    assert abs(hopf.parameter) < 1e-14
    np.testing.assert_allclose(hopf.frequency, 1000 * 0.5 / (2 * np.pi), rtol=1e-12)
    # z = sqrt(2) zeta for an eigenvector of length 1: c1 = -2, and l1 = Re(c1) / omega
    np.testing.assert_allclose(hopf.coefficient, -2 / 0.5, rtol=1e-12)


def test_a_pitchfork_and_the_branch_that_crosses():
    found = rnnjax.continue_equilibria(
        Pitchfork(mu=-1.0), mu, start=np.array(0.0), bounds=(-1.0, 1.0)
    )
    (point,) = found.bifurcations
    assert (point.label, point.kind) == ("BP", "supercritical pitchfork")
    np.testing.assert_allclose([point.parameter, point.coefficient], [0, -1], atol=1e-12)
    crossing = rnnjax.continue_equilibria(Pitchfork(), mu, start=point, bounds=(-1.0, 1.0))
    np.testing.assert_allclose(crossing.states**2, crossing.parameter, atol=1e-12)
    assert np.ptp(crossing.states) == pytest.approx(2, abs=1e-9)
    whole = rnnjax.diagram(Pitchfork(), mu, (-1.0, 1.0), values=3)
    assert len(whole) == 2
    assert [b.label for b in whole.bifurcations] == ["BP"]


def test_the_degenerate_hopf_point_of_the_rectified_pair():
    rest = ExcitatoryInhibitoryState(80 / 3, 50 / 3)
    found = rnnjax.continue_equilibria(
        ExcitatoryInhibitory(tau_i=10.0), tau_i, start=rest, bounds=(5.0, 100.0)
    )
    (hopf,) = found.bifurcations
    assert (hopf.label, hopf.kind) == ("H", "degenerate")
    assert abs(hopf.parameter - 40) < 1e-8
    np.testing.assert_allclose(hopf.state, rest, rtol=1e-12)


def test_a_closed_branch_is_followed_once():
    class Isola(rnnjax.AbstractCircuit):
        r"""A circle of equilibria: $\dot x = 1 - x^2 - \mu^2$."""

        mu: object = rnnjax.parameter(0.5, "1")

        def __call__(self, state, input):
            return 1 - state**2 - self.mu**2 + input

        def rest(self):
            return jnp.ones_like(self.mu)

    found = rnnjax.continue_equilibria(Isola(), mu, bounds=(-2.0, 2.0))
    assert found.endings[0] == rnnjax.BranchEnd.CLOSED
    assert [b.label for b in found.bifurcations] == ["LP", "LP"]
    np.testing.assert_allclose(sorted(b.parameter for b in found.bifurcations), [-1, 1], rtol=1e-12)
    np.testing.assert_allclose(found.states**2 + found.parameter**2, 1, atol=1e-12)


def test_gradients_are_those_of_differences():
    def places(w_ee):
        found = rnnjax.continue_equilibria(
            WilsonCowan(p=0.0, w_ee=w_ee), operator.attrgetter("p"), bounds=(-1.0, 4.0),
            bifurcations=(bifurcations.Fold(), bifurcations.Hopf()),
        )  # fmt: skip
        special = found.special
        return jnp.stack([special.parameter[:3], special.coefficient[:3], special.frequency[:3]])

    with jax.enable_x64(True):
        slopes = jax.jit(jax.jacrev(places))(16.0)
        differences = central_difference(places, 16.0, by=1e-4)  # of what the host finds
    np.testing.assert_allclose(slopes, differences, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_gradients_of_the_branch_are_across_it():
    def states(delta):
        found = rnnjax.continue_equilibria(
            Driven(SaddleNode(mu=1.0), Constant(delta)), lambda d: d.circuit.mu, bounds=(-1.0, 1.0)
        )
        return found.parameter, found.states

    with jax.enable_x64(True):
        p, x = map(np.asarray, jax.jit(states)(0.0))
        dp, dx = map(np.asarray, jax.jit(jax.jacfwd(states))(0.0))
    assert np.isnan(dx[np.isnan(p)]).all()
    # p + delta = x^2 in scaled coordinates (x, q = p / 2): the tangent is (1, x), across it (-x, 1)
    inside = abs(p) < 0.999  # on the bounds the tangent is that of the step across them
    np.testing.assert_allclose(dp[inside], -(1 / (1 + x**2))[inside], rtol=1e-6)
    np.testing.assert_allclose(dx[inside], (x / (2 + 2 * x**2))[inside], rtol=1e-6, atol=1e-9)


def test_what_was_not_found_has_no_gradient():
    def first(delta):
        driven = Driven(SaddleNode(mu=0.7), Constant(delta))
        found = rnnjax.continue_equilibria(driven, lambda d: d.circuit.mu, bounds=(0.5, 1.0))
        return found.special.parameter[0]

    with jax.enable_x64(True):
        value, slope = jax.jit(jax.value_and_grad(first))(0.0)
    assert np.isnan(value)
    assert np.isnan(slope)


class Bent(SaddleNode):
    """With a derivative that bends as well, so that 0 times it is no number where x is none."""

    def __call__(self, state, input):
        return super().__call__(state, input) - 0.1 * state**3


def test_gradients_in_a_float32_program():
    """Computed in float64 all the same; a number is as good an input as a function."""

    def first(delta):
        found = rnnjax.continue_equilibria(
            Driven(Bent(mu=1.0), delta), lambda d: d.circuit.mu, bounds=(-1.0, 1.0),
            bifurcations=(bifurcations.Fold(),),
        )  # fmt: skip
        return found.special.parameter[0]

    with jax.enable_x64(False):
        value, slope = jax.jit(jax.value_and_grad(first))(jnp.float32(0.25))
    assert value.dtype == slope.dtype == jnp.float32
    np.testing.assert_allclose([value, slope], [-0.25, -1], rtol=1e-6)


def test_what_is_differentiated_is_the_branch():
    """Also where nothing is asked of it: slots without a point are no numbers."""

    def points(value):
        found = rnnjax.continue_equilibria(
            SaddleNode(mu=value), mu, bounds=(-1.0, 1.0), max_points=64,
            bifurcations=(bifurcations.Fold(),),
        )  # fmt: skip
        return found.parameter[0], found.parameter

    _, there = jax.value_and_grad(points, has_aux=True)(1.0)[0]
    alone = rnnjax.continue_equilibria(SaddleNode(mu=1.0), mu, bounds=(-1.0, 1.0), max_points=64)
    assert np.isfinite(there).sum() == len(alone)
    np.testing.assert_allclose(there[: len(alone)], alone.parameter, rtol=1e-6, atol=1e-6)


def test_numbers_that_a_function_captured():
    """In a batch they count; derivatives by them are refused, and not 0."""

    def fold(delta):
        found = rnnjax.continue_equilibria(
            SaddleNode(mu=1.0), mu, bounds=(-1.0, 1.0), input=lambda t: delta, max_points=64,
            bifurcations=(bifurcations.Fold(),), throw=False,
        )  # fmt: skip
        return found.special.parameter[0]

    with jax.numpy_dtype_promotion("standard"):  # float32, in a field that is computed in float64
        found = jax.vmap(fold)(jnp.asarray([0.25, 0.5]))
    np.testing.assert_allclose(found, [-0.25, -0.5], rtol=1e-6)
    with (
        jax.numpy_dtype_promotion("standard"),
        pytest.raises(TypeError, match=r"a function captured: give the input as Constant\(x\)"),
    ):
        jax.grad(fold)(0.25)


def test_a_batch_is_a_loop():
    circuit = MorrisLecar.snic(current=-40.0)

    def follow(g_ca):
        other = eqx.tree_at(lambda c: c.g_ca, circuit, g_ca)
        found = rnnjax.continue_equilibria(
            other, current, bounds=(-50.0, 300.0),
            bifurcations=(bifurcations.Fold(), bifurcations.Hopf()),
        )  # fmt: skip
        return found.special, found.ends, found.found.sum()

    with jax.enable_x64(True):
        values = jnp.linspace(3.4, 4.6, 64)
        special, ends, count = jax.jit(jax.vmap(follow))(values)
        for k in (0, 13, 31, 63):
            one, end, several = follow(values[k])  # by parts, on the host
            np.testing.assert_array_equal(ends[k], end)
            assert abs(int(count[k]) - int(several)) <= 2  # rounding decides about a step
            np.testing.assert_array_equal(special.type_index[k], one.type_index)
            np.testing.assert_array_equal(special.kind_index[k], one.kind_index)
            np.testing.assert_allclose(special.parameter[k], one.parameter, rtol=1e-10)
            np.testing.assert_allclose(special.coefficient[k], one.coefficient, rtol=1e-7)


def test_only_what_occurs_is_compiled_and_once():
    class Anew(SaddleNode):
        """With programs of its own."""

    def follow(value, bounds, **options):
        return rnnjax.continue_equilibria(Anew(mu=value), mu, bounds=bounds, **options)

    with programs() as without:
        follow(0.5, (0.3, 1.0), max_points=64, both_directions=False)
    assert not [name for name in without if "_zero" in name]
    with programs() as once:
        follow(0.3, (-1.0, 1.0), max_points=64)
    assert len([name for name in once if "_zero" in name]) == 1  # of three types
    with programs() as again:
        follow(0.4, (-0.7, 1.3), max_points=64, max_step=0.04)
    assert again == []


def test_gradients_follow_nothing():
    """What was found is known: of the derivatives one program is compiled, and it has no march."""

    def fold(delta):
        driven = Driven(Bent(mu=1.0), Constant(delta))
        found = rnnjax.continue_equilibria(driven, lambda d: d.circuit.mu, bounds=(-1.0, 1.0))
        return found.special.parameter[0]

    with jax.enable_x64(False):
        fold(jnp.float32(0.25))
        with programs() as compiled:
            value, slope = jax.value_and_grad(fold)(jnp.float32(0.25))
        assert [name for name in compiled if "_back" in name]
        assert not [name for name in compiled if "_marched" in name or "_begun" in name]
        np.testing.assert_allclose([value, slope], [-0.25, -1], rtol=1e-6)
        with programs() as again:
            jax.grad(fold)(jnp.float32(0.125))
        assert not [name for name in again if "_" in name]


def test_what_goes_back_may_be_batched_or_traced():
    """Derivatives of several numbers at once, of known ones in a compiled pull, and of derivatives."""

    def two(given):
        found = rnnjax.continue_equilibria(
            Driven(Bent(mu=1.0), Constant(given[0])), lambda d: d.circuit.mu, bounds=(-1.0, 1.0),
            bifurcations=(bifurcations.Fold(),),
        )  # fmt: skip
        return jnp.stack([found.special.parameter[0], found.special.coefficient[0]])

    at = jnp.asarray([0.25])
    whole = jax.jacrev(two)(at)
    value, pull = jax.vjp(two, at)
    (pulled,) = jax.jit(pull)(jnp.ones_like(value))
    # at the fold mu = -delta and x = 0: the coefficient, by the second derivative, is -1
    np.testing.assert_allclose(value, [-0.25, -1], rtol=1e-6)
    np.testing.assert_allclose(whole, [[-1], [0]], atol=1e-6)
    np.testing.assert_allclose(pulled, whole.sum(0), rtol=1e-6, atol=1e-6)
    with jax.enable_x64(True):
        at = jnp.asarray([0.25])
        np.testing.assert_allclose(jax.jacfwd(two)(at), whole, atol=1e-6)
        np.testing.assert_allclose(jax.hessian(lambda a: two(a)[0])(at), [[0.0]], atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lowers_for_cuda(dtype):
    def follow(g_ca):
        circuit = eqx.tree_at(lambda c: c.g_ca, MorrisLecar.snic(current=-40.0), g_ca)
        return rnnjax.continue_equilibria(circuit, current, bounds=(-50.0, 300.0)).special.parameter

    with jax.enable_x64(dtype == "float64"):
        traced = jax.jit(jax.vmap(follow)).trace(jax.ShapeDtypeStruct((4,), dtype))
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "callback" not in text


INTEGRATOR = LinearNetwork(Dense(np.diag([1.0, 1.0, 0.5])), tau=10.0)  # rests on a plane


class Idle(SaddleNode):
    r"""A fold with a number that does nothing: $\dot x = \mu - x^2 + u$."""

    idle: object = rnnjax.parameter(0.5, "1")


FAR = MorrisLecar().rest()._replace(w=np.array(0.9))
UNFOLLOWED = {
    "no equilibrium": (MorrisLecar(current=10.0), current, FAR, "NO_START", "find_equilibria"),
    "a continuum": (INTEGRATOR, operator.attrgetter("tau"), None, "SINGULAR", "integrator"),
    "no effect": (Idle(), operator.attrgetter("idle"), None, "INDEPENDENT", "Follow another"),
}


@pytest.mark.parametrize("name", UNFOLLOWED)
def test_what_can_not_be_followed(name):
    circuit, where, start, end, words = UNFOLLOWED[name]
    settings = {
        "start": start, "bounds": (0.0, 20.0) if name != "a continuum" else (1.0, 20.0),
        "bifurcations": (bifurcations.Fold(),),
    }  # fmt: skip
    found = rnnjax.continue_equilibria(circuit, where, **settings, throw=False)
    assert {e.name for e in found.endings} == {end}
    assert len(found) == 0
    assert not found.bifurcations
    with pytest.raises(rnnjax.ConvergenceError, match=words) as caught:
        rnnjax.continue_equilibria(circuit, where, **settings)
    assert caught.value.branch.endings == found.endings


def test_a_diagram_without_a_branch_says_why():
    with pytest.raises(rnnjax.ConvergenceError, match="does not depend on this number"):
        rnnjax.diagram(Idle(), operator.attrgetter("idle"), (0.0, 1.0), values=1)
    with pytest.raises(rnnjax.ConvergenceError, match="no equilibrium was found"):
        rnnjax.diagram(SaddleNode(), mu, (-2.0, -1.0), values=1)
    with pytest.raises(ValueError, match="swap them"):
        rnnjax.diagram(SaddleNode(), mu, (1.0, -1.0))
    with pytest.raises(ValueError, match="values: expected a positive whole number"):
        rnnjax.diagram(SaddleNode(), mu, (-1.0, 1.0), values=0)


def test_a_branch_that_is_too_long_is_given_as_far_as_it_went():
    with pytest.raises(rnnjax.ConvergenceError, match="max_points") as caught:
        rnnjax.continue_equilibria(
            SaddleNode(mu=1.0), mu, bounds=(-1.0, 1.0), max_points=32, max_step=0.01
        )
    part = caught.value.branch
    assert 0 < len(part) < 70
    np.testing.assert_allclose(part.states**2, part.parameter, atol=1e-12)


WRONG = {
    "swapped bounds": ({"bounds": (1.0, -1.0)}, ValueError, "swap them"),
    "no bounds": ({}, ValueError, r"expected \(lowest, highest\) of mu, two finite numbers, got None"),
    "a start outside": ({"bounds": (2.0, 3.0)}, ValueError, "around the value of mu, 0.25"),
    "steps": ({"bounds": (-1.0, 1.0), "max_step": 0.0}, ValueError, "max_step"),
    "no points": ({"bounds": (-1.0, 1.0), "max_points": 0}, ValueError, "max_points"),
    "no bifurcation": (
        {"bounds": (-1.0, 1.0), "bifurcations": ("hopf",)}, TypeError, "rnnjax.bifurcations",
    ),
    "a start of another shape": (
        {"bounds": (-1.0, 1.0), "start": np.zeros(2)}, ValueError, "start: expected",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    settings, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        rnnjax.continue_equilibria(SaddleNode(), mu, **settings)


def test_what_is_followed_must_be_one_number():
    with pytest.raises(ValueError, match="give the number a field of its own"):
        rnnjax.continue_equilibria(INTEGRATOR, lambda c: c.connectivity.weights, bounds=(0.0, 1.0))
    fold = rnnjax.continue_equilibria(SaddleNode(), mu, bounds=(-1.0, 1.0)).bifurcations[0]
    with pytest.raises(ValueError, match="got a LP"):
        rnnjax.continue_equilibria(SaddleNode(), mu, start=fold, bounds=(-1.0, 1.0))


def test_nouns_say_what_they_hold():
    found = rnnjax.continue_equilibria(
        MorrisLecar.snic(current=-40.0), current, bounds=(-50.0, 300.0)
    )
    assert "LP at 39.963153: fold" in repr(found)
    assert "H at 97.646164: subcritical, 40.23 Hz" in repr(found)
    data = found.to_xarray()
    assert list(data.label.values) == ["LP", "LP", "H"]
    assert data.v.dims == ("point",)
    assert data.frequency.attrs["units"] == "Hz"
    np.testing.assert_array_equal(data.current, found.parameter)
    ax = rnnjax.plot.branches(found, unit="mV")
    lines = {line.get_gid(): line for line in ax.lines}
    stable = lines["stable v"].get_ydata()
    assert np.isfinite(stable).sum() > np.sum(found.stable)
    shown = lines["H 2"]
    assert shown.get_xdata()[0] == pytest.approx(97.6461639)
    assert shown.get_markerfacecolor() == "white"
    assert ax.get_ylabel() == "v (mV)"
    with pytest.raises(ValueError, match="variable: expected one of"):
        rnnjax.plot.branches(found, variable="nothing")
    with pytest.raises(TypeError, match="continue_equilibria"):
        rnnjax.plot.branches(3)


@pytest.mark.slow
def test_other_types_can_be_left_out():
    found = rnnjax.continue_equilibria(
        MorrisLecar.snic(current=-40.0), current, bounds=(-50.0, 300.0),
        bifurcations=(bifurcations.Fold(),),
    )  # fmt: skip
    assert [b.label for b in found.bifurcations] == ["LP", "LP"]
