"""Programs of which the host decides when they run, and what they choose in them."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiles import programs

import rnnjax
from rnnjax._machine import kept, parts
from rnnjax._machine.parts import compiled_part, in_rows
from rnnjax._precision import index_of_largest
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Dense
from rnnjax.inputs import AbstractInput


class Given(NamedTuple):
    """Numbers, and a word that decides."""

    x: np.ndarray
    how: str


@compiled_part
def _powers(given: Given, degree: int):
    return {"power": given.x**degree, "name": jnp.asarray(len(given.how))}


def test_what_is_no_array_decides_and_numbers_do_not():
    with jax.enable_x64(True):
        with programs() as compiled:
            found = [_powers(Given(np.arange(3.0) + k, "ab"), 2) for k in range(3)]
        assert len(compiled) == 1
        np.testing.assert_array_equal(found[2]["power"], [4, 9, 16])
        assert isinstance(found[0]["power"], np.ndarray)
        assert found[0]["power"].dtype == np.float64
        with programs() as compiled:
            other = _powers(Given(np.arange(3.0), "abc"), 3)
        assert len(compiled) == 1
    np.testing.assert_array_equal(other["power"], [0, 1, 8])
    assert other["name"] == 3


def test_true_is_not_one():
    @compiled_part
    def told(x: np.ndarray, k: object):
        return jnp.asarray([bool, int, float].index(type(k)), jnp.int32)

    assert [int(told(np.zeros(1), k)) for k in (True, 1, 1.0, True)] == [0, 1, 2, 0]


def test_known_numbers_are_worked_out_inside_of_transformations():
    def plus(x):
        return x + _powers(Given(np.arange(3.0, dtype=np.float32), "abcd"), 2)["power"].max()

    np.testing.assert_array_equal(jax.jit(jax.vmap(plus))(jnp.zeros(2)), [4, 4])
    np.testing.assert_array_equal(jax.vmap(jax.grad(plus))(jnp.zeros(2)), [1, 1])
    assert jax.jit(plus)(1.0) == 5
    assert jax.lax.scan(lambda c, _: (plus(c), None), jnp.zeros(()), None, length=2)[0] == 8


def test_so_many_programs_are_kept(monkeypatch):
    monkeypatch.setattr(kept, "MOST_PROGRAMS", 2)
    with programs() as compiled:
        for degree in (4, 5, 6, 5, 4):
            _powers(Given(np.arange(3.0, dtype=np.float32), "x"), degree)
    assert len(compiled) == 4  # the fourth power was dropped, the fifth was not
    assert len(kept._PROGRAMS) == 2


def test_ahead_of_its_numbers():
    """It is compiled for numbers that are not known yet, once; what it will give has its shapes."""
    given = Given(np.arange(5.0, dtype=np.float32), "ahead")
    with programs() as compiled:
        assert _powers.is_new(given, 2)
        like = _powers.ahead(given._replace(x=np.zeros_like(given.x)), 2)
        assert not _powers.is_new(given, 2)
        found = _powers(given, 2)
    assert compiled == ["jit(_powers)"]
    assert like["power"].shape == (5,)
    assert not like["power"].any()
    np.testing.assert_array_equal(found["power"], [0, 1, 4, 9, 16])


def test_what_fails_to_compile_ahead_fails_where_it_is_called(monkeypatch):
    def fail(function):
        def failing():
            raise MemoryError

        return in_thread(failing)

    in_thread = parts.in_thread
    monkeypatch.setattr(parts, "in_thread", fail)
    given = Given(np.arange(6.0, dtype=np.float32), "fails")
    _powers.ahead(given, 2)
    with pytest.raises(MemoryError):
        _powers(given, 2)
    monkeypatch.undo()
    np.testing.assert_array_equal(_powers(given, 2)["power"], np.arange(6) ** 2)


class Counted(AbstractInput):
    """A wave that counts how often it is traced."""

    frequency: object = rnnjax.parameter(40.0, "Hz")
    met: list = eqx.field(static=True, default=None)

    def __call__(self, t):
        self.met[0] += 1
        return jnp.sin(2 * np.pi * self.frequency * t / 1000)

    def jumps(self):
        return (7.0,)

    def longest_step(self):
        return 1000 / self.frequency / 6


class Counter(list):
    """A list that can be looked up: what it holds is not part of it."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def test_an_input_is_traced_once_however_often_a_program_meets_it():
    unit, met = LinearNetwork(Dense([[0.0]]), tau=10.0), Counter([0])

    def end(frequency):
        drive = Counted(frequency, met)
        return rnnjax.simulate(unit, [0.0, 50.0], drive, step=0.1).final[0]

    found = jax.grad(end)(40.0)
    assert met[0] <= 40  # seven stages, in many places, forth and back: 165 without
    right = (end(40.1) - end(39.9)) / 0.2
    np.testing.assert_allclose(found, right, rtol=1e-2)


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
def test_rows_that_are_not_wanted_are_not_looked_at(count):
    points = np.arange(400.0).reshape(200, 2), np.arange(200)
    wanted = np.zeros(200, bool)
    wanted[np.random.default_rng(0).permutation(200)[:count]] = True
    shapes = set()

    def part(rows):
        shapes.add(rows[0].shape)
        return {"sum": rows[0].sum(1) + rows[1], "turned": rows[0] * 1j}

    found = in_rows(part, points, wanted)
    assert len(shapes) == 1
    expected = points[0].sum(1) + points[1]
    np.testing.assert_array_equal(found["sum"], np.where(wanted, expected, np.nan))
    np.testing.assert_array_equal(found["turned"][wanted], 1j * points[0][wanted])
    assert np.isnan(found["turned"][~wanted]).all()


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ([1.0, 3, 3, 2], 1),
        ([-np.inf] * 3, 0),
        ([np.nan, 1, 2, np.nan, 2], 2),
        ([np.nan] * 3, 2),
        ([-np.inf, np.nan], 0),
        ([False, True, True], 1),
        ([False, False], 0),
    ],
)
def test_the_first_of_the_largest(numbers, wanted):
    x = np.asarray(numbers)
    assert index_of_largest(jnp.asarray(x)) == wanted
    assert jax.jit(index_of_largest)(jnp.asarray(x)) == wanted
    two = jax.vmap(index_of_largest)(jnp.asarray(np.stack([x, x[::-1]])))
    assert two[0] == wanted


def test_the_largest_of_what_is_computed_twice():
    """In a program whose kernels round differently it is one of them all the same."""

    @compiled_part
    def nearest(a: np.ndarray, x: np.ndarray):
        off = -abs(a[:, 0] * x[0] + a[:, 1] * x[1] + a[:, 2] * x[2])
        k = index_of_largest(off)
        return jnp.where(jnp.arange(off.size, dtype=jnp.int32) == k, off, 0.0), off

    with jax.enable_x64(True):
        for seed in range(20):  # by a comparison with the maximum 15 of them have none
            a, x = np.random.default_rng(seed).normal(size=(2, 40, 40))
            chosen, off = nearest(a, x[0])
            assert (chosen < 0).sum() == 1
            np.testing.assert_allclose(chosen.min(), off.max(), rtol=1e-9)
