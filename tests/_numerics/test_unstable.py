"""Counts of unstable eigenvalues against LAPACK's, and the projectors on critical ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax._numerics.unstable import UNSETTLED, critical_projector, on_axis, unstable_count

COUNT = jax.jit(jax.vmap(unstable_count))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 30])
def test_counts_are_those_of_the_eigenvalues(n):
    rng = np.random.default_rng(n)
    matrices = rng.normal(size=(500, n, n)) / np.sqrt(n) - 0.3 * np.eye(n)
    matrices *= 10.0 ** rng.uniform(-3, 0, size=(500, n, 1))  # fast and slow variables
    known = (np.linalg.eigvals(matrices).real > 0).sum(1)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(COUNT(matrices), known)


@pytest.mark.parametrize(
    ("n", "beside"), [(2, 1e-3), (2, 1e-9), (4, 1e-3), (4, 1e-6), (6, 1e-3), (6, 1e-9)]
)
def test_beside_a_crossing_they_are_right(n, beside):
    ring = 2 / n * np.cos(2 * np.pi * (np.arange(n)[:, None] - np.arange(n)) / n)
    number = 1 if n == 2 else 2
    scale = 0.5 if n == 2 else 1.0
    matrices = np.stack([(1 + s * beside) * scale * ring - np.eye(n) for s in (-1, 1)])
    with jax.enable_x64(True):
        assert COUNT(matrices).tolist() == [0, number]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_on_the_axis_and_where_nothing_is_finite_there_is_none(n):
    singular = np.diag(np.append(-np.arange(1.0, n), 0.0))
    with jax.enable_x64(True):
        found = COUNT(np.stack([singular, np.full((n, n), np.nan)]))
    assert found.tolist() == [UNSETTLED, UNSETTLED]


@pytest.mark.parametrize(("pairs", "n"), [(False, 6), (True, 7)])
def test_a_projector_holds_what_is_critical(pairs, n):
    """Two zero eigenvalues, or two pairs of frequency 2, among others, of a matrix that is not normal."""
    rng = np.random.default_rng(3)
    turn = np.array([[0.0, -2.0], [2.0, 0.0]])
    inner = -np.diag(np.arange(1.0, n + 1))
    if pairs:
        inner[:2, :2] = inner[2:4, 2:4] = turn
    else:
        inner[0, 0] = inner[1, 1] = 0.0
    basis = rng.normal(size=(n, n))
    matrix = basis @ inner @ np.linalg.inv(basis)
    count = 4.0 if pairs else 2.0
    known = basis[:, : int(count)] @ np.linalg.inv(basis)[: int(count)]
    with jax.enable_x64(True):
        a = jnp.asarray(matrix)
        size, count = jnp.sqrt((a**2).sum()), jnp.asarray(count)
        projector, found = critical_projector(a, count, size, jnp.asarray(True))
        mean, square = on_axis(a, projector, count)
    assert found
    np.testing.assert_allclose(projector, known, atol=1e-9)
    assert mean == pytest.approx(0, abs=1e-10)
    assert square == pytest.approx(4.0 if pairs else 0.0, abs=1e-9)


def test_it_lowers_for_accelerators():
    with jax.enable_x64(True):
        traced = jax.jit(unstable_count).trace(jax.ShapeDtypeStruct((6, 6), np.float64))
        assert "custom_call" not in traced.lower(lowering_platforms=("cuda",)).as_text()
