"""What tells one fit from another: the same in every process, and another for other numbers."""

import dataclasses
import functools
import math
import os
import pathlib
import random
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnjax._machine.identity import identity_of, not_identified

leaves = st.one_of(
    st.integers(-9, 9), st.floats(allow_nan=False), st.text(max_size=3), st.booleans(), st.none(),
    st.sampled_from([math.sin, jnp.tanh, np.sin, int, np]),
    st.lists(st.floats(-9, 9), min_size=1, max_size=3).map(np.asarray),
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda x: st.one_of(
        st.lists(x, max_size=3), st.tuples(x, x),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers(0, 9)), x, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(trees, st.floats(-9, 9))
def test_copies_are_the_same_and_other_numbers_are_others(tree, number):
    known = identity_of(a=tree)
    assert known == identity_of(a=tree)
    assert known == identity_of(a=_copied(tree))
    assert identity_of(a=[tree, number]) != identity_of(a=[tree, number + 1])
    assert identity_of(a=lambda: (tree, number)) == identity_of(a=lambda: (tree, number))
    assert not_identified(a=tree) == []
    assert not_identified(a=tree, b=[tree, object()]) == ["b: <object object>"]


def _copied(tree):
    if isinstance(tree, dict):
        return {k: _copied(x) for k, x in reversed(tree.items())}
    if isinstance(tree, list | tuple):
        return type(tree)(_copied(x) for x in tree)
    return tree.copy() if isinstance(tree, np.ndarray) else tree


@dataclasses.dataclass
class Given:
    rate: float

    @functools.cached_property
    def twice(self):
        return 2 * self.rate


class Module(eqx.Module):
    rate: float
    shape: object = eqx.field(static=True)


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate):
        self.rate = rate


class Plain:
    def __init__(self, rate):
        self.rate = rate

    @functools.cached_property
    def twice(self):
        return 2 * self.rate

    def loss(self, x):
        return self.rate * x


class Empty:
    pass


def scaled(x, rate):
    return rate * x


def by_default(rate):
    def function(x, r=rate, *, s=2 * rate):
        return r * s * x

    return function


def within(rate):
    return lambda x: [lambda: rate * x]


MAKERS = {
    "dataclass": Given,
    "module": lambda r: Module(r, None),
    "static function": lambda r: Module(1.0, lambda x: r * x),
    "slots": Slotted,
    "object": Plain,
    "method": lambda r: Plain(r).loss,
    "partial": lambda r: functools.partial(scaled, rate=r),
    "default": by_default,
    "captured": within,
    "compiled": lambda r: jax.jit(lambda x: r * x),
    "filter compiled": lambda r: eqx.filter_jit(lambda x: r * x),
    "remembered": lambda r: functools.cache(lambda x: r * x),
    "set": lambda r: {r, "a", "b"},
    "frozen set": lambda r: frozenset({r, "a"}),
    "array": lambda r: np.full(3, r),
    "device": lambda r: jnp.full(3, r),
    "objects": lambda r: np.array([r, "a"], object),
    "key": lambda r: jax.random.key(int(2 * r)),
    "complex": lambda r: r + 2j,
    "unsorted": lambda r: {1: r, "a": 2},
    "number": lambda r: np.float32(r),
    "dtype": lambda r: np.dtype("f4" if r < 1 else "f8"),
    "range": lambda r: range(int(2 * r)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_things_hold_tells_them_apart(name):
    make = MAKERS[name]
    one, same, other = make(0.5), make(0.5), make(1.5)
    assert identity_of(a=one) == identity_of(a=same)
    assert identity_of(a=one) != identity_of(a=other)
    assert not_identified(a=one) == []


def test_constants_in_functions_count_and_names_do():
    assert identity_of(a=lambda x: 2 * x) != identity_of(a=lambda x: 3 * x)
    assert identity_of(a=lambda x: [lambda: 2 * x]) != identity_of(a=lambda x: [lambda: 3 * x])
    assert identity_of(a=math.sin) != identity_of(a=math.cos)
    assert identity_of(a=jnp.tanh) != identity_of(a=jnp.sin)
    assert identity_of(a=Empty()) == identity_of(a=Empty())
    assert identity_of(a=Empty()) != identity_of(a=Plain(1.0))
    assert identity_of(a=np.ones(3)) != identity_of(a=np.ones(3, np.float32))
    assert identity_of(a=np.ones((3, 1))) != identity_of(a=np.ones((1, 3)))
    assert identity_of(a=True) != identity_of(a=1)
    assert identity_of(a=2**53) != identity_of(a=2**53 + 1)
    assert identity_of(a=120) == identity_of(a=120.0)
    assert "scaled" in identity_of(a=scaled)["a"]


def test_what_is_computed_once_of_an_object_does_not_count():
    for make in (Given, Plain):
        one = make(0.5)
        before = identity_of(a=one)
        assert one.twice == 1.0
        assert identity_of(a=one) == before


def test_a_function_that_holds_itself_is_known():
    def make(rate):
        def function(n):
            return rate * function(n - 1) if n else 1.0

        return function

    assert identity_of(a=make(0.5)) == identity_of(a=make(0.5))
    assert identity_of(a=make(0.5)) != identity_of(a=make(1.5))

    def later(x):
        return unset(x)

    assert identity_of(a=later)
    unset = scaled


def test_traced_numbers_and_states_of_the_machine_can_not_be_told():
    told = []
    jax.make_jaxpr(lambda x: told.extend(not_identified(a=(x, 1.0))) or x)(1.0)
    assert len(told) == 1
    assert told[0].startswith("a: ")
    (word,) = not_identified(a=[random.Random(0), random.Random(1)])
    assert word == "a: <random.Random object>"


def test_it_is_the_same_in_every_process():
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import test_identity as t
for name, make in t.MAKERS.items():
    print(name, t.identity_of(a=make(0.5))["a"])
"""
    folder = str(pathlib.Path(__file__).parent)
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, folder]
        found = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout  # fmt: skip
        here = "".join(f"{k} {identity_of(a=make(0.5))['a']}\n" for k, make in MAKERS.items())
        assert found == here


OUTSIDE = 0.5


def by_name(x):
    return OUTSIDE * x


def test_numbers_of_its_module_count(monkeypatch):
    before, through = identity_of(a=by_name), identity_of(a=lambda x: by_name(x))
    monkeypatch.setitem(globals(), "OUTSIDE", 1.5)
    assert identity_of(a=by_name) != before
    assert identity_of(a=lambda x: by_name(x)) != through
