"""Calls as people write them, from `bad_calls.py`: each works or is refused in words of the package."""

import bad_calls
import jax
import jaxtyping
import pytest


@pytest.fixture(autouse=True)
def _as_for_users():
    """Without the checked annotations and the strict dtypes of the tests, which would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    with jax.numpy_dtype_promotion("standard"):
        yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", bad_calls.ROWS)
def test_bad_call(name):
    found = bad_calls.tried(bad_calls.ROWS[name])
    assert found.kind == "right", f"{found.kind}: {found.words}"


def test_there_are_enough_of_them():
    assert len(bad_calls.ROWS) >= 440
