"""Where a branch of periodic orbits begins: at a Hopf point, at a period doubling, or at an orbit."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.collocation import (
    DEGREE,
    Cycle,
    Family,
    Row,
    misfit,
    places_of,
    remeshed,
)
from rnnjax._orbits.orbit_points import Point, inner, moved, of_length_one, reached, row_of
from rnnjax._orbits.search import antiperiodic
from rnnjax._precision import index_of_largest
from rnnjax._types import Array
from rnnjax._where import Named
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles

_FIRST, _BORN = 1e-2, 1e-3  # the first step, and how far from a Hopf point orbits begin, scaled


class Settings(NamedTuple):
    """What a compiled continuation depends on besides shapes."""

    types: tuple[AbstractOfCycles, ...]
    named: Named
    attempts: int
    slots: int
    directions: tuple[float, ...]
    intervals: int
    doubled: bool
    at_bifurcation: bool


class Begin(NamedTuple):
    """Where it begins: nodes `(node, n)` of an orbit on a mesh, or a Hopf point as one node.

    Of a doubled orbit those of the orbit whose period doubles.
    """

    nodes: Any
    widths: Any
    period: Any
    parameter: Any


def started(
    field: Family, begin: Begin, scale: Array, settings: Settings
) -> tuple[Point, Array, Array, Array]:
    """The first orbit with the direction of the branch, the first step, and whether it is one.

    Last, by how much it is not of this field where it begins, see `misfit`.
    """
    parameter = begin.parameter / scale[-1]
    zero = jnp.zeros(())
    if begin.nodes.shape[0] > 1 and not settings.doubled:
        x = begin.nodes.reshape(-1, DEGREE, scale.size - 1) / scale[:-1]
        cycle = Cycle(x, begin.period, parameter, begin.widths)
        off = misfit(field, cycle)
        if begin.widths.size != settings.intervals:
            cycle, _ = remeshed(cycle, (), settings.intervals)
        along = normal = Row(jnp.zeros_like(cycle.x), zero, jnp.ones(()))
        # at a fold the parameter can't be held, but how far the orbit swings
        if settings.at_bifurcation:
            swing = Row(cycle.x - cycle.x.mean((0, 1)), zero, jnp.zeros(()))
            along, normal = of_length_one(cycle, swing), row_of(cycle, swing)
        step = jnp.asarray(_FIRST)
    else:
        still, wave, off = _born(field, begin, parameter, scale, settings)
        size = jnp.sqrt(inner(still, Row(wave, zero, zero), Row(wave, zero, zero)))
        along = Row(wave / size, zero, zero)
        step = jnp.asarray(_BORN)
        cycle = moved(still, along, _BORN)
        normal = row_of(still, along)
    first, good = reached(field, settings.types, cycle, normal, along)
    cycle = jax.tree.map(lambda a, b: jnp.where(good, a, b), first.cycle, cycle)
    return first._replace(cycle=cycle), step, good, off


def _born(
    field: Family, begin: Begin, parameter: Array, scale: Array, settings: Settings
) -> tuple[Cycle, Array, Array]:
    """The orbit that has only just begun to swing, or to double, in which direction it goes on, its misfit."""
    if not settings.doubled:
        u = jnp.append(begin.nodes[0] / scale[:-1], parameter)
        angle = 2 * np.pi * places_of(begin.widths)
        jacobian = jax.jacfwd(field)(u)[:, :-1]
        q = _critical(jacobian, 2 * np.pi / begin.period)
        off = abs(field(u)).max() / abs(jacobian).max()
        wave = jnp.cos(angle)[..., None] * q.real - jnp.sin(angle)[..., None] * q.imag
        x = jnp.broadcast_to(u[:-1], wave.shape)
        return Cycle(x, begin.period, parameter, begin.widths), wave, off
    x = begin.nodes.reshape(-1, DEGREE, scale.size - 1) / scale[:-1]
    once = Cycle(x, begin.period, parameter, begin.widths)
    wave, off = antiperiodic(field, once), misfit(field, once)
    twice = Cycle(
        jnp.concatenate([x, x]), 2 * begin.period, parameter, jnp.tile(begin.widths, 2) / 2
    )
    wave = jnp.concatenate([wave, -wave])
    if twice.widths.size == settings.intervals:
        return twice, wave, off
    twice, (wave,) = remeshed(twice, (wave,), settings.intervals)
    return twice, wave, off


def _critical(a: Array, omega: Array) -> Array:
    """The eigenvector of the eigenvalue nearest to i omega."""
    values, vectors = lax.linalg.eig(a, compute_left_eigenvectors=False)
    off = abs(lax.complex(values.real, values.imag - omega))
    return vectors[:, index_of_largest(-off)]


def sizes_of(field: Family, begin: Begin, size: Array) -> Array:
    """The sizes of the variables, of those at zero by how far they swing when the others do.

    A variable that is the derivative of another, in units of its own, may swing by thousands.
    """
    x = begin.nodes[0]
    jacobian = jax.jacfwd(field)(jnp.append(x, begin.parameter))[:, :-1]
    swing = abs(_critical(jacobian, 2 * np.pi / begin.period))
    resting = abs(x) < 1e-6 * abs(x).max()
    share = jnp.where(
        resting | (swing == 0), jnp.inf, size / jnp.where(swing > 0, swing, 1.0)
    ).min()
    return jnp.where(resting & jnp.isfinite(share), jnp.maximum(size, share * swing), size)
