"""What is found in a traced program, however deep it is nested."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from rnnjax._machine.programs import (
    ends_expensively,
    equations,
    has_lapack,
    has_product,
    numbers_in_loops,
    traced,
)

MATRIX, VECTOR = jnp.eye(3), jnp.ones(3)


def stepped(w, x):
    """A product in a scan, inside a branch and a call."""

    def step(x):
        return lax.cond(x.sum() > 0, lambda x: jax.jit(jnp.dot)(w, x), lambda x: x, x)

    return lax.scan(lambda x, _: (step(x), None), x, None, 4)[0]


def test_products_in_loops_and_outside():
    assert has_product(stepped, MATRIX, VECTOR)
    assert not has_product(jnp.dot, MATRIX, VECTOR)
    assert has_product(jnp.dot, MATRIX, VECTOR, looped=True)
    assert not has_product(lambda x: lax.scan(lambda x, _: (2 * x, None), x, None, 4), VECTOR)


def test_lapack_is_found_where_it_is_called():
    assert has_lapack(jax.jit(jnp.linalg.solve), MATRIX, VECTOR)
    assert not has_lapack(stepped, MATRIX, VECTOR)


def test_numbers_of_every_loop():
    def nested(x):
        inner = lambda x: lax.fori_loop(0, 2, lambda _, x: 2 * x, x)  # noqa: E731
        return lax.while_loop(lambda x: x.sum() < 9, inner, x)

    found = sorted(numbers_in_loops(traced(nested, VECTOR)))
    assert len(found) == 2
    assert found[0] == 3  # the outer one carries the vector alone
    assert all(repeated for _, repeated in equations(traced(jnp.dot, MATRIX, VECTOR), looped=True))


@pytest.mark.parametrize(
    ("function", "expensive"),
    [
        (lambda x: jnp.exp(x), True),
        (lambda x: -jax.jit(jnp.sin)(x), True),
        (lambda x: x / x, True),
        (lambda x: x / 2.0, False),  # it becomes a product
        (lambda x: 3 * jnp.exp(x), False),
        (lambda x: lax.cond(x.sum() > 0, jnp.exp, lambda x: x, x), False),
    ],
)
def test_what_ends_expensively(function, expensive):
    program = traced(function, VECTOR)
    assert ends_expensively(program, program.outvars[0]) is expensive
