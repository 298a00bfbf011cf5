"""Where an analysis gets numbers of 7 digits only, it says so, once."""

import dataclasses
import operator
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax

FOLD = -1.0  # of p where q is 1, in closed form


class Cubic(rnnjax.AbstractCircuit):
    """Folds at x = 0 and x = -20/3."""

    p: Any = rnnjax.parameter(1.0, "1")
    q: Any = rnnjax.parameter(1.0, "1")

    def __call__(self, state, input):
        return self.p + self.q - state**2 - state**3 / 10 + input

    def rest(self):
        return jnp.asarray(1.0)


def fold(q):
    circuit = dataclasses.replace(Cubic(), q=q)
    where = operator.attrgetter("p")
    branch = rnnjax.continue_equilibria(circuit, where, bounds=(-2.0, 1.0), throw=False)
    return branch.special.parameter[0]


TOLD = "traced in float32, JAX's default under jit and vmap"


@pytest.mark.parametrize("transformed", [jax.jit, jax.vmap])
def test_an_analysis_in_float32_says_so(transformed):
    with pytest.warns(UserWarning, match=TOLD) as told:
        at = transformed(fold)(jnp.asarray([1.0]) if transformed is jax.vmap else jnp.asarray(1.0))
    assert len(told) == 1
    assert told[0].filename == __file__
    np.testing.assert_allclose(at, FOLD, atol=1e-6)


def test_nothing_is_said_where_all_digits_are_there():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(fold(1.0), FOLD, rtol=1e-12)
        np.testing.assert_allclose(jax.grad(fold)(1.0), -1.0, rtol=1e-6)
        with jax.enable_x64(True):
            at = jax.jit(fold)(jnp.asarray(1.0))
            np.testing.assert_allclose(at, FOLD, rtol=1e-12)


def test_a_sweep_in_float32_says_so():
    over = [rnnjax.axis(operator.attrgetter("q"), [0.5, 1.0])]

    def folds(circuit):
        where = operator.attrgetter("p")
        branch = rnnjax.continue_equilibria(circuit, where, bounds=(-2.0, 1.0), throw=False)
        return branch.special.parameter[0]

    with pytest.warns(UserWarning, match=r'in a sweep with `dtype="float64"`'):
        rnnjax.sweep(Cubic(), {"fold": folds}, over, dtype="float32", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rnnjax.sweep(Cubic(), {"fold": folds}, over, dtype="float64", progress=False)
    np.testing.assert_allclose(found.fold, [-0.5, -1.0], rtol=1e-12)
