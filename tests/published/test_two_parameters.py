"""Curves of folds and Hopf points of the circuits, and the points of two parameters on them.

All of them and no others, to 40-digit Newton iterations on their definitions (computed for this
project) at 1e-8 max(1, |p|), with steps four times as long and as short, and from every fold and
Hopf point that lies on the same curve. Points that were computed here alone are marked as such.
"""

import dataclasses
import operator
from typing import Any

import numpy as np
import pytest
from oracles import COOxidation, ExtendedLorenz84

import rnnjax
from rnnjax.circuits import (
    AdaptiveQuadraticMeanField,
    HodgkinHuxley,
    MorrisLecar,
    QuadraticMeanField,
    WilsonCowan,
)


@dataclasses.dataclass(frozen=True)
class Followed:
    """A curve.

    Attributes:
        circuit: where the branch begins on which its points are.
        names: of the two parameters.
        bounds: of both.
        starts: the label and the place of each point that lies on it, along the first parameter.
        points: the label and the place of every point of two parameters on it.
        state: where the branch begins.
    """

    circuit: Any
    names: tuple[str, str]
    bounds: Any
    starts: tuple[tuple[str, float], ...]
    points: tuple[tuple[str, tuple[float, float]], ...]
    state: Any = None


CORTEX = (WilsonCowan(p=1.25), ("p", "q"), ((-3.0, 6.0), (-5.0, 5.0)))
CORTEX_BT = (
    ("BT", (0.9628036404296771, 0.09790149086071145)),
    ("BT", (-1.537748626209081, -4.045736058662897)),
)
SNIC = (MorrisLecar.snic(current=-40.0), ("current", "v_3"), ((-50.0, 300.0), (2.0, 30.0)))
SPIKING = (AdaptiveQuadraticMeanField(eta=-12.0), ("eta", "alpha"), ((-12.0, 0.0), (0.0, 1.0)))
WEATHER = (
    ExtendedLorenz84(f=4.0), ("f", "t"), ((0.0, 4.0), (-0.1, 0.1)),
    np.array([1.1028, -0.0209, 0.2248, -0.826]),
)  # fmt: skip
ZERO_HOPF = (1.283419296138272, 1.265408341204985e-4)
DOUBLE_HOPF = (2.533221106959817, 0.02627394298308421)
TAKENS = (1.446716701115362, 0.0209401696833226)
CATALYST = (
    COOxidation(q_2=0.5), ("q_2", "k"), ((0.5, 2.0), (0.2, 1.5)),
    np.array([0.2379, 0.0415, 0.5147]),
)  # fmt: skip
CATALYST_BT = (
    ("BT", (1.161198708821739, 0.722339072522229)),
    ("BT", (1.417627637600646, 0.9713975734853134)),
)


def mirrored(label, place):
    """A point and its mirror image, whose second parameter is opposite."""
    return (label, place), (label, (place[0], -place[1]))


def _followed(common, starts, points):
    circuit, names, bounds, *state = common
    return Followed(circuit, names, bounds, starts, points, *state)


CURVES = {
    "Wilson-Cowan, folds": _followed(
        CORTEX, (("LP", 1.08733045617231), ("LP", 0.9086834273018245)),
        (*CORTEX_BT, ("CP", (1.156435721503692, 0.5065175260612949))),
    ),
    "Wilson-Cowan, Hopf points": _followed(
        CORTEX, (("H", 1.87931319808418),),
        (*CORTEX_BT, ("GH", (0.2418478590200646, -1.873975149159024))),
    ),
    "Morris-Lecar, folds": _followed(
        SNIC, (("LP", 39.96315309274535), ("LP", -9.949039322623065)),
        (
            ("BT", (45.90877720914698, 5.141885675785152)),
            ("CP", (47.86860114304833, 4.291298992037649)),
        ),
    ),
    "mean field": _followed(
        (QuadraticMeanField(eta=-12.0), ("eta", "j"), ((-12.0, 0.0), (5.0, 30.0))),
        (("LP", -3.136134086195685), ("LP", -5.743527161657816)),
        (("CP", (-np.sqrt(3), 7.796217036666989)),),
    ),
    "mean field with adaptation, folds": _followed(
        SPIKING, (("LP", -5.046172103524011),),
        (("BT", (-6.136534721114739, 0.05865256312491775)),),
    ),
    "mean field with adaptation, Hopf points": _followed(
        SPIKING, (("H", -5.137354675743877),),
        (("BT", (-6.136534721114739, 0.05865256312491775)),),
    ),
    "squid axon, the first Hopf point": _followed(
        (HodgkinHuxley(e_l=-54.4, current=0.0), ("current", "e_k"), ((-20.0, 200.0), (-90.0, -50.0))),
        (("H", 9.779337995393126),),
        (
            ("GH", (-6.44358688440857, -59.78949460049102)),
            ("BT", (-6.579628786537667, -59.6142019522236)),
        ),
    ),
    "Lorenz-84, folds": _followed(
        WEATHER, (("LP", 1.546648372598128),),
        (
            *mirrored("BT", TAKENS), *mirrored("ZH", ZERO_HOPF),
            ("CP", (1.278283309881426, 0.0)),
        ),
    ),
    "Lorenz-84, two Hopf points": _followed(
        WEATHER, (("H", 1.619657820942583), ("H", 2.467222123112747)),
        (
            ("BT", TAKENS), ("HH", DOUBLE_HOPF),
            ("GH", (2.376360088248219, 0.05019743200847222)),
        ),
    ),
    "Lorenz-84, the third": _followed(
        WEATHER, (("H", 2.859875412748288),),
        (*mirrored("ZH", ZERO_HOPF), *mirrored("HH", DOUBLE_HOPF)),
    ),
    "CO oxidation, folds": _followed(
        CATALYST, (("LP", 1.042048505378527), ("LP", 1.052200287869955)),
        (*CATALYST_BT, ("CP", (1.006408329678318, 0.3559912732086765))),
    ),
    "CO oxidation, a Hopf point": _followed(  # the GH point computed here alone
        CATALYST, (("H", 1.040991569532616),),
        (CATALYST_BT[1], ("GH", (0.924255015218617, 0.305879267477956))),
    ),
}  # fmt: skip


def followed(curve, start, step=0.05):
    """The curve through one of its points."""
    where = tuple(operator.attrgetter(name) for name in curve.names)
    branch = rnnjax.continue_equilibria(curve.circuit, where[0], curve.state, curve.bounds[0])
    label, place = start
    point = min(
        (b for b in branch.bifurcations if b.label == label),
        key=lambda b: abs(b.parameter - place),
    )
    return rnnjax.continue_bifurcation(
        curve.circuit, where, point, curve.bounds, max_step=step, max_points=4000
    )


def in_order(point):
    """Sorts points, though the last digits of what mirrored points share may differ."""
    label, (one, two) = point
    return label, round(one, 9), two


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES)
def test_all_points_and_no_others(name):
    curve = CURVES[name]
    known = sorted(curve.points, key=in_order)
    for start in curve.starts:
        for step in (0.0125, 0.05, 0.2):
            found = followed(curve, start, step)
            assert found.special.unsolved == 0
            points = [(b.label, tuple(map(float, b.parameter))) for b in found.bifurcations]
            points = sorted(points, key=in_order)
            assert [label for label, _ in points] == [label for label, _ in known]
            for (_, got), (_, place) in zip(points, known, strict=True):
                off = np.abs(np.subtract(got, place)) / np.maximum(1, np.abs(place))
                assert (off < 1e-8).all()


@pytest.mark.slow
def test_normal_forms():
    """Coefficients that others print: those of CO oxidation and the frequencies of a double Hopf."""
    points = followed(CURVES["CO oxidation, folds"], ("LP", 1.042)).bifurcations
    cusp = next(b for b in points if b.label == "CP")
    np.testing.assert_allclose(cusp.coefficient, 0.3625, atol=5e-4)  # .362, cut off
    takens = max((b for b in points if b.label == "BT"), key=lambda b: b.parameter[0])
    np.testing.assert_allclose(takens.coefficient, 0.083784 * 2.1363, rtol=1e-4)
    first, third = (
        next(b for b in followed(CURVES[name], start).bifurcations if b.label == "HH")
        for name, start in (
            ("Lorenz-84, two Hopf points", ("H", 2.467222123112747)),
            ("Lorenz-84, the third", ("H", 2.859875412748288)),
        )
    )
    known = 0.74321927109931, 1.1515452485705
    omega = [2 * np.pi * b.frequency / 1000 for b in (first, third)]
    np.testing.assert_allclose(omega, known, rtol=1e-8)
    np.testing.assert_allclose(first.coefficient, known[1] / known[0], rtol=1e-8)
