"""Curves of folds and Hopf points in the plane of two parameters: closed forms, gradients, refusals."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import central_difference

import rnnjax
from rnnjax import bifurcations
from rnnjax.bifurcations._critical import on_plane, plane_of, product_of_others
from rnnjax.circuits import MorrisLecar

p, q = operator.attrgetter("p"), operator.attrgetter("q")
PLANE = ((-1.0, 1.0), (-1.0, 1.0))
ORDER = 6


class Polynomial(rnnjax.AbstractCircuit):
    r"""Two variables: $\dot x_k = \sum_{ij} (c + p\, c_p + q\, c_q)_{kij}\, x_1^i x_2^j$."""

    p: object = rnnjax.parameter(0.0, "1")
    q: object = rnnjax.parameter(0.0, "1")
    c: object = rnnjax.parameter(np.zeros((2, ORDER, ORDER)), "1")
    c_p: object = rnnjax.parameter(np.zeros((2, ORDER, ORDER)), "1")
    c_q: object = rnnjax.parameter(np.zeros((2, ORDER, ORDER)), "1")

    def __call__(self, state, input):
        powers = [jnp.stack([x**k for k in range(ORDER)]) for x in (state[0], state[1])]
        c = self.c + self.p * self.c_p + self.q * self.c_q
        return ((c * powers[1]).sum(-1) * powers[0]).sum(-1) + input

    def rest(self):
        return jnp.zeros(2)


def polynomial(value, terms):
    """`{(k, i, j, which): coefficient}`, `which` of "", "p", "q"."""
    parts = {name: np.zeros((2, ORDER, ORDER)) for name in ("", "p", "q")}
    for (k, i, j, which), coefficient in terms.items():
        parts[which][k, i, j] = coefficient
    return Polynomial(*value, parts[""], parts["p"], parts["q"])


# x' = p + q x - x^3, y' = -y
CUSP = {(0, 0, 0, "p"): 1, (0, 1, 0, "q"): 1, (0, 3, 0, ""): -1, (1, 0, 1, ""): -1}


def bogdanov_takens(b):
    """x' = y, y' = p + q y + x^2 + b x y."""
    return {
        (0, 0, 1, ""): 1, (1, 0, 0, "p"): 1, (1, 0, 1, "q"): 1, (1, 2, 0, ""): 1, (1, 1, 1, ""): b,
    }  # fmt: skip


def bautin(fifth, omega=0.5, shear=0.3):
    """z' = (p + i omega) z + q z |z|^2 + fifth z |z|^4, in the coordinates x1 + shear x2^2, x2.

    Not a polynomial of low order in these, so that it has a class of its own.
    """
    return Bautin(fifth=fifth, omega=omega, shear=shear)


class Bautin(rnnjax.AbstractCircuit):
    r"""$\dot z = (p + i \omega) z + q z |z|^2 + f z |z|^4$, $z = y_1 - s y_2^2 + i y_2$."""

    p: object = rnnjax.parameter(-0.1, "1/ms")
    q: object = rnnjax.parameter(0.4, "1/ms")
    fifth: object = rnnjax.parameter(-1.0, "1/ms")
    omega: object = rnnjax.parameter(0.5, "rad/ms")
    shear: object = rnnjax.parameter(0.3, "1")

    def __call__(self, state, input):
        x1, x2 = state[0] - self.shear * state[1] ** 2, state[1]
        size = x1**2 + x2**2
        growth = self.p + self.q * size + self.fifth * size**2
        d1, d2 = growth * x1 - self.omega * x2, growth * x2 + self.omega * x1
        return jnp.stack([d1 + 2 * self.shear * x2 * d2, d2]) + input

    def rest(self):
        return jnp.zeros(2)


def curve(circuit, state, label, **options):
    """The curve through the first point of a type on the branch through a state."""
    branch = rnnjax.continue_equilibria(circuit, p, np.asarray(state), PLANE[0])
    return rnnjax.continue_bifurcation(circuit, (p, q), branch.first(label), PLANE, **options)


@pytest.mark.slow
def test_two_folds_meet_in_a_cusp():
    found = curve(polynomial((0.0, 0.75), CUSP), [-np.sqrt(0.75), 0.0], "LP")
    np.testing.assert_allclose(
        27 * found.parameters[:, 0] ** 2, 4 * found.parameters[:, 1] ** 3, atol=1e-12
    )
    assert {e.name for e in found.endings} == {"BOUND"}
    (cusp,) = found.bifurcations
    assert (cusp.label, cusp.kind) == ("CP", "supercritical")
    np.testing.assert_allclose(cusp.parameter, 0, atol=1e-12)
    np.testing.assert_allclose(cusp.coefficient, -1, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("b", [0.7, -0.7])
def test_a_curve_of_hopf_points_ends_on_one_of_folds(b):
    # x = -sqrt(-p), and the trace q + b x vanishes; folds at p = 0
    circuit = polynomial((-0.25, 0.0), bogdanov_takens(b))
    circuit = eqx.tree_at(q, circuit, np.asarray(b * 0.5))
    state = rnnjax.find_equilibria(circuit, guesses=np.array([-0.5, 0.0]))[0]
    hopf = curve(circuit, state, "H")
    np.testing.assert_allclose(
        hopf.parameters[:, 1], b * np.sqrt(-np.minimum(hopf.parameters[:, 0], 0)), atol=1e-6
    )
    np.testing.assert_allclose(
        hopf.angular_frequency**2, 2 * np.sqrt(-np.minimum(hopf.parameters[:, 0], 0)), atol=1e-6
    )
    assert sorted(e.name for e in hopf.endings) == ["BOUND", "ZERO_FREQUENCY"]
    assert (np.sign(hopf.coefficient[hopf.angular_frequency > 1e-3]) == np.sign(b)).all()
    (point,) = hopf.bifurcations
    fold = curve(eqx.tree_at(q, circuit, np.asarray(0.4)), state, "LP")
    (same,) = fold.bifurcations
    for each in (point, same):
        assert (each.label, each.kind) == ("BT", "supercritical" if b < 0 else "subcritical")
        np.testing.assert_allclose(each.parameter, 0, atol=1e-10)
        np.testing.assert_allclose(each.coefficient, b, rtol=1e-10)
    np.testing.assert_allclose(fold.parameters[:, 0], 0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("fifth", [-1.0, 0.6])
def test_the_second_lyapunov_coefficient(fifth):
    found = curve(Bautin(fifth=fifth), np.zeros(2), "H")
    np.testing.assert_allclose(found.parameters[:, 0], 0, atol=1e-12)
    # z = sqrt(2) zeta for an eigenvector of length 1
    np.testing.assert_allclose(found.coefficient, 2 * found.parameters[:, 1] / 0.5, atol=1e-10)
    (point,) = found.bifurcations
    assert (point.label, point.kind) == ("GH", "supercritical" if fifth < 0 else "subcritical")
    np.testing.assert_allclose(point.parameter, 0, atol=1e-12)
    np.testing.assert_allclose(point.coefficient, 4 * fifth / 0.5, rtol=1e-10)
    np.testing.assert_allclose(point.frequency, 500 / (2 * np.pi), rtol=1e-10)


class Pairs(rnnjax.AbstractCircuit):
    r"""A fold and two pairs: $\dot x = p + x^2 - |z|^2$, $\dot z_k = (q_k + x + i \omega_k) z_k - z_k |z_k|^2$."""

    p: object = rnnjax.parameter(-0.25, "1/ms")
    q: object = rnnjax.parameter(0.3, "1/ms")
    r: object = rnnjax.parameter(0.2, "1/ms")

    def __call__(self, state, input):
        x, z, y = state[0], state[1:3], state[3:]
        speed = [
            (growth + x - (u**2).sum()) * u + omega * jnp.stack([-u[1], u[0]])
            for u, growth, omega in ((z, self.q, 0.5), (y, self.r, 1.3))
        ]
        return jnp.concatenate([(self.p + x**2 - (z**2).sum())[None], *speed])

    def rest(self):
        return jnp.asarray([-0.5, 0.0, 0.0, 0.0, 0.0])


@pytest.mark.slow
def test_a_pair_more():
    """Folds at p = 0; the first pair at q = sqrt(-p), the second at r = sqrt(-p), on x = -sqrt(-p)."""
    circuit = Pairs()
    branch = rnnjax.continue_equilibria(circuit, p, circuit.rest(), PLANE[0])
    fold, first, second = (
        next(b for b in branch.bifurcations if abs(b.parameter - at) < 1e-6)
        for at in (0.0, -0.09, -0.04)
    )
    folds = rnnjax.continue_bifurcation(circuit, (p, q), fold, PLANE)
    (point,) = folds.bifurcations
    assert point.label == "ZH"
    np.testing.assert_allclose(point.parameter, 0, atol=1e-10)
    np.testing.assert_allclose(point.frequency, 500 / (2 * np.pi), rtol=1e-10)
    curve = rnnjax.continue_bifurcation(circuit, (p, q), first, PLANE)
    assert sorted(b.label for b in curve.bifurcations) == ["GH", "HH", "ZH"]
    # beyond ZH, on x = sqrt(-p), z^2 grows by q + x - z^2 (1 - 1 / (2 x))
    bautin = next(b for b in curve.bifurcations if b.label == "GH")
    np.testing.assert_allclose(bautin.parameter, (-0.25, -0.5), atol=1e-9)
    double = next(b for b in curve.bifurcations if b.label == "HH")
    np.testing.assert_allclose(double.parameter, (-0.04, 0.2), atol=1e-10)
    np.testing.assert_allclose(double.coefficient, 1.3 / 0.5, rtol=1e-10)
    other = rnnjax.continue_bifurcation(circuit, (p, q), second, PLANE)
    assert [b.label for b in other.bifurcations] == ["HH"]
    np.testing.assert_allclose(other.bifurcations[0].parameter, (-0.04, 0.2), atol=1e-10)


@pytest.mark.slow
def test_gradients_are_those_of_differences():
    """Of a Bogdanov-Takens point and its coefficient, and of the curve across itself."""

    def places(g_ca):
        circuit = MorrisLecar.snic(current=-40.0, g_ca=g_ca)
        where = (operator.attrgetter("current"), operator.attrgetter("v_3"))
        branch = rnnjax.continue_equilibria(
            circuit, where[0], bounds=(-50.0, 300.0), bifurcations=(bifurcations.Fold(),)
        )
        found = rnnjax.continue_bifurcation(
            circuit, where, branch.first("LP"), ((-50.0, 300.0), (2.0, 30.0))
        )
        return jnp.concatenate([found.special.parameter[:2].ravel(), found.special.coefficient[:2]])

    with jax.enable_x64(True):
        call = jax.jit(places)
        np.testing.assert_allclose(
            np.sort(call(4.0)[:4]),
            np.sort([45.90877720914698, 5.141885675785152, 47.86860114304833, 4.291298992037649]),
            rtol=1e-9,
        )
        slopes = jax.jit(jax.jacrev(places))(4.0)
        differences = central_difference(call, 4.0, by=1e-4)
    np.testing.assert_allclose(slopes, differences, rtol=1e-6)


@pytest.mark.slow
def test_a_batch_is_a_loop():
    def places(b):
        circuit = polynomial((-0.25, 0.4), bogdanov_takens(1.0))
        circuit = eqx.tree_at(lambda c: c.c, circuit, jnp.asarray(circuit.c).at[1, 1, 1].set(b))
        branch = rnnjax.continue_equilibria(circuit, p, np.array([-0.5, 0.0]), PLANE[0])
        found = rnnjax.continue_bifurcation(circuit, (p, q), branch.first("LP"), PLANE)
        return found.special.parameter[0], found.special.coefficient[0], found.ends

    with jax.enable_x64(True):
        values = jnp.linspace(-1.0, 1.0, 7)
        together = jax.jit(jax.vmap(places))(values)
        call = jax.jit(places)
        for k in (0, 4):
            for a, b in zip(together, call(values[k]), strict=True):
                np.testing.assert_allclose(a[k], b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(together[1], values, rtol=1e-9, atol=1e-9)


def test_lowers_for_cuda():
    where = (operator.attrgetter("current"), operator.attrgetter("v_3"))
    cell = MorrisLecar.snic(current=-40.0)
    hopf = rnnjax.continue_equilibria(cell, where[0], bounds=(-50.0, 300.0)).first("H")

    def places(v_3):
        circuit = eqx.tree_at(lambda c: c.v_3, cell, v_3)
        return rnnjax.continue_bifurcation(
            circuit, where, hopf, ((-50.0, 300.0), (0.0, 30.0))
        ).special.parameter

    with jax.enable_x64(True):
        traced = jax.jit(jax.vmap(places)).trace(jax.ShapeDtypeStruct((4,), "float64"))
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "callback" not in text


FOLD = rnnjax.Bifurcation(
    "LP", "fold", np.array(0.0), np.zeros(2), np.array(0.0), np.array(1.0), np.zeros(3)
)
CIRCUIT = polynomial((0.0, 0.75), CUSP)
WRONG = {
    "one number": ((p, FOLD, PLANE), TypeError, "two functions"),
    "the same twice": (((p, p), FOLD, PLANE), ValueError, "two different numbers, got p twice"),
    "one pair of bounds": (((p, q), FOLD, (-1.0, 1.0)), ValueError, r"expected \(lowest, highest\) of p"),
    "three bounds": (((p, q), FOLD, (PLANE[0],) * 3), ValueError, r"\(\(low, high\), \(low, high\)\)"),
    "swapped": (((p, q), FOLD, (PLANE[0], (1.0, -1.0))), ValueError, "swap them"),
    "outside": (((p, q), FOLD, (PLANE[0], (-1.0, 0.0))), ValueError, "around the value of q, 0.75"),
    "no point": (((p, q), np.zeros(2), PLANE), TypeError, "a point out of Branch.bifurcations"),
    "a branch point": (
        ((p, q), rnnjax.Bifurcation("BP", "", 0.0, np.zeros(2), 0.0, 0.0, np.zeros(3)), PLANE),
        ValueError, "got a BP",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    (where, start, bounds), error, words = WRONG[name]
    with pytest.raises(error, match=words):
        rnnjax.continue_bifurcation(CIRCUIT, where, start, bounds)


def test_other_wrong_arguments():
    with pytest.raises(TypeError, match="those that are met on curves"):
        rnnjax.continue_bifurcation(
            CIRCUIT, (p, q), FOLD, PLANE, bifurcations=(bifurcations.Fold(),)
        )
    with pytest.raises(ValueError, match="give the number a field of its own"):
        rnnjax.continue_bifurcation(CIRCUIT, (p, lambda c: c.c), FOLD, PLANE)
    with pytest.raises(TypeError, match=r"AbstractOnBranch|those of curves: continue_bif"):
        rnnjax.continue_equilibria(CIRCUIT, p, bounds=PLANE[0], bifurcations=(bifurcations.Cusp(),))


@pytest.mark.slow
def test_a_start_that_is_none():
    found = rnnjax.continue_bifurcation(
        CIRCUIT, (p, q), FOLD, PLANE, throw=False, bifurcations=(bifurcations.Cusp(),)
    )
    assert {e.name for e in found.endings} == {"NO_START"}
    assert len(found) == 0
    assert not found.bifurcations
    with pytest.raises(rnnjax.ConvergenceError, match="LP in p, q: the start is not"):
        rnnjax.continue_bifurcation(
            CIRCUIT, (p, q), FOLD, PLANE, bifurcations=(bifurcations.Cusp(),)
        )


def test_the_first_point_of_a_type():
    branch = rnnjax.continue_equilibria(CIRCUIT, p, np.array([-np.sqrt(0.75), 0.0]), PLANE[0])
    np.testing.assert_array_equal(branch.first("LP").parameter, branch.bifurcations[0].parameter)
    assert branch.first("LP").kind == "fold"
    assert np.isnan(branch.first("H").parameter)
    with pytest.raises(ValueError, match="label: expected one of"):
        branch.first("GH")


@pytest.mark.parametrize("third", [-1e-6, 0.0, 1e-6])
def test_what_vanishes_at_a_zero_hopf_point(third):
    """Exactly where the third eigenvalue does, however far the matrix is from normal."""
    turn = np.random.default_rng(3).normal(size=(4, 4))
    inner = np.diag([0.0, 0.0, third, -0.5]) + np.eye(4, k=1) * [0, 0.7, 0, 0]
    inner[1, 0] = -0.7
    with jax.enable_x64(True):
        a, square = jnp.asarray(turn @ inner @ np.linalg.inv(turn)), jnp.asarray(0.49)
        _, right, left = on_plane(a, square, plane_of(a, square))
        value, plain = (
            float(product_of_others(a, x, y)) for x, y in ((right, left), (left, right))
        )
    assert abs(plain) > 1e-3  # the bases in the wrong places
    assert abs(value) < (1e-5 if third else 1e-14)
    assert not third or (value > 0) == (third * -0.5 > 0)
