"""Symmetric circuits: several eigenvalues cross at once, in numbers that are known in closed form."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import rnnjax

LOW, HIGH = 0.1, 3.0  # gains
DRIVES = -0.5, 2.2


class Ring(rnnjax.AbstractCircuit):
    """Units around a ring, of which each turn maps the circuit to itself."""

    weights: Any = rnnjax.parameter(np.eye(2), "1")
    gain: Any = rnnjax.parameter(LOW, "1")
    bias: Any = rnnjax.parameter(0.0, "1")

    def __call__(self, state, input):
        return (-state + jnp.tanh(self.gain * (self.weights @ state) + self.bias)) / 10

    def rest(self):
        return jnp.zeros(self.weights.shape[0])


class State(NamedTuple):
    v: Any
    w: Any


class Cells(rnnjax.AbstractCircuit):
    """Identical FitzHugh-Nagumo cells, each driven by what it is off the mean."""

    drive: Any = rnnjax.parameter(DRIVES[0], "1")
    coupling: Any = rnnjax.parameter(0.0, "1")
    count: int = 2

    def __call__(self, state, input):
        v, w = state
        between = self.coupling * (v.mean() - v)
        return State(v - v**3 / 3 - w + self.drive + between, (v + 0.7 - 0.8 * w) / 12.5)

    def rest(self):
        return State(jnp.full(self.count, -1.2), jnp.full(self.count, -0.6))


class Folding(rnnjax.AbstractCircuit):
    """Identical cells of one variable, each with two folds."""

    p: Any = rnnjax.parameter(-1.0, "1")
    coupling: Any = rnnjax.parameter(0.0, "1")
    count: int = 2

    def __call__(self, state, input):
        return self.p + state - state**3 + self.coupling * (state.mean() - state)

    def rest(self):
        return jnp.full(self.count, -1.3)


def kernels(n: int) -> dict[str, np.ndarray]:
    """First columns of the weights of rings of n units."""
    angle = 2 * np.pi * np.arange(n) / n
    return {
        "bumps": 2 / n * np.cos(angle),
        "two modes": 2 / n * (np.cos(angle) + 0.7 * np.cos(2 * angle) - 0.3),
        "travelling": 2 / n * np.cos(angle - 0.5),
        "bumps and waves": 2 / n * (np.cos(angle - 0.5) + 0.8 * np.cos(2 * angle)),
    }


def ring(kernel: np.ndarray, **parameters: float) -> Ring:
    n = kernel.size
    places = np.arange(n)
    return Ring(weights=kernel[(places[:, None] - places) % n], **parameters)


def together(events: list[tuple[float, str, int]]) -> list[tuple[float, str, int]]:
    """In order, of those at one place the sum."""
    found: dict[tuple[float, str], int] = {}
    for place, label, number in events:
        key = (round(place, 9), label)
        found[key] = found.get(key, 0) + number
    return sorted((place, label, number) for (place, label), number in found.items())


def on_ring(kernel: np.ndarray, bias: float) -> list[tuple[float, str, int]]:
    """Where the uniform state x changes: (1 - x^2) gain lambda has the real part 1."""
    modes, n, events = np.fft.fft(kernel), kernel.size, []

    def uniform(gain):
        whole = gain * modes[0].real
        return brentq(lambda x: x - np.tanh(whole * x + bias), -1.1, 1.1, xtol=1e-15)

    for k in range(n // 2 + 1):

        def off(gain, mode=modes[k]):
            return gain * (1 - uniform(gain) ** 2) * mode.real - 1

        gains = np.linspace(LOW, HIGH, 400)
        signs = np.sign([off(g) for g in gains])
        waves = abs(modes[k].imag) > 1e-12
        number = 1 if waves or k in (0, n / 2) else 2
        events += [
            (brentq(off, gains[i], gains[i + 1], xtol=1e-14), "H" if waves else "BP", number)
            for i in np.flatnonzero(signs[:-1] != signs[1:])
        ]
    return together(events)


def of_cells(count: int, coupling: float) -> list[tuple[float, str, int]]:
    """Where trace or determinant of a mode vanish; those apart from the mean are `count - 1`."""
    events = []
    for pull, number in ((0.0, 1), (coupling, count - 1)):
        for square, label in ((1 - pull - 0.064, "H"), (1 - pull - 1.25, "BP")):
            # of a Hopf point the determinant is positive
            if square <= 0 or (label == "H" and 1 / 12.5 < 0.064**2):
                continue
            for v in (-np.sqrt(square), np.sqrt(square)):
                events.append(((v + 0.7) / 0.8 - v + v**3 / 3, label, number))
    return together([e for e in events if DRIVES[0] < e[0] < DRIVES[1]])


def of_folding(count: int, coupling: float) -> list[tuple[float, str, int]]:
    """Where 1 - 3 x^2 is the coupling, of the modes apart from the mean, or 0, of the mean."""
    events = []
    for pull, label, number in ((0.0, "LP", 1), (coupling, "BP", count - 1)):
        label = label if pull else "LP"
        for x in np.sqrt((1 - pull) / 3) * np.array([-1, 1]):
            events.append((x**3 - x, label, number))
    return together(events)


def listed(branch) -> list[tuple[float, str, int]]:
    assert int(branch.special.unsolved) == 0
    return sorted((float(b.parameter), b.label, int(b.multiplicity)) for b in branch.bifurcations)


def agree(found: list[tuple[float, str, int]], known: list[tuple[float, str, int]]) -> None:
    assert [event[1:] for event in found] == [event[1:] for event in known]
    np.testing.assert_allclose([e[0] for e in found], [e[0] for e in known], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n", [4, 8, pytest.param(16, marks=pytest.mark.slow)])
def test_a_ring_loses_its_uniform_state_to_bumps_and_waves(n):
    lost = 0
    for kernel in kernels(n).values():
        for bias in (0.0, 0.3):
            circuit = ring(kernel, bias=bias)
            branch = rnnjax.continue_equilibria(circuit, lambda c: c.gain, bounds=(LOW, HIGH))
            known = on_ring(kernel, bias)
            agree(listed(branch), known)
            lost += sum(number > 1 for *_, number in known)
    assert lost >= 4


@pytest.mark.parametrize(
    "count", [2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5))]
)
@pytest.mark.parametrize("coupling", [0.0, 0.2, -0.3])
def test_identical_cells(count, coupling):
    cells = Cells(count=count, coupling=coupling)
    branch = rnnjax.continue_equilibria(cells, lambda c: c.drive, bounds=DRIVES)
    agree(listed(branch), of_cells(count, coupling))


@pytest.mark.parametrize(
    "count", [2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5))]
)
@pytest.mark.parametrize("coupling", [0.0, 0.2, -0.3])
def test_cells_that_fold_together(count, coupling):
    cells = Folding(count=count, coupling=coupling)
    branch = rnnjax.continue_equilibria(cells, lambda c: c.p, bounds=(-1.0, 1.0))
    agree(listed(branch), of_folding(count, coupling))


def test_in_a_batch_they_are_the_same():
    kernel = kernels(4)["bumps"]
    biases = np.linspace(0.0, 0.4, 3)

    @jax.jit
    @jax.vmap
    def follow(bias):
        circuit = eqx.tree_at(lambda c: c.bias, ring(kernel), bias)
        return rnnjax.continue_equilibria(
            circuit, lambda c: c.gain, bounds=(LOW, HIGH), max_points=400, max_bifurcations=4
        ).special

    with jax.enable_x64(True):
        found = follow(biases)
    for k, bias in enumerate(biases):
        known = on_ring(kernel, bias)
        number = int(found.found[k].sum())
        assert int(found.unsolved[k]) == 0
        assert found.multiplicity[k, :number].tolist() == [event[2] for event in known]
        np.testing.assert_allclose(found.parameter[k, :number], [e[0] for e in known], rtol=1e-8)


@pytest.mark.parametrize("x64", [True, False])
def test_places_and_frequencies_have_derivatives(x64):
    def place(scale):
        kernel = kernels(4)["bumps"] * scale
        places = np.arange(4)
        weights = kernel[(places[:, None] - places) % 4]
        circuit = eqx.tree_at(lambda c: c.weights, Ring(weights=np.eye(4)), weights)
        branch = rnnjax.continue_equilibria(circuit, lambda c: c.gain, bounds=(LOW, HIGH))
        return branch.first("BP").parameter

    def frequency(coupling):
        cells = eqx.tree_at(lambda c: c.coupling, Cells(count=3), coupling)
        branch = rnnjax.continue_equilibria(cells, lambda c: c.drive, bounds=DRIVES)
        first = branch.first("H")
        return first.parameter + first.frequency

    with jax.enable_x64(x64):
        # the mode has the eigenvalue `scale`
        assert jax.grad(place)(jnp.asarray(1.25)) == pytest.approx(-1 / 1.25**2, rel=1e-5)
        # trace: 1 - v^2 - c - 0.064 = 0 of the modes apart from the mean, the first to lose stability
        c = -0.3
        v = -np.sqrt(1 - c - 0.064)
        dv = -1 / (2 * v)
        angular = np.sqrt(1 / 12.5 - 0.064**2)
        assert angular > 0
        slope = (1 / 0.8 - 1 + v**2) * dv
        assert jax.grad(frequency)(jnp.asarray(c)) == pytest.approx(slope, rel=1e-4)


def test_what_begins_where_several_cross_must_be_told():
    branch = rnnjax.continue_equilibria(Cells(), lambda c: c.drive, bounds=DRIVES)
    hopf = branch.first("H")
    assert "multiplicity 2" in repr(hopf)
    assert "multiplicity 2" in repr(branch)
    with pytest.raises(ValueError, match="find_orbit"):
        rnnjax.continue_orbits(Cells(), lambda c: c.drive, hopf, DRIVES)
    where = (lambda c: c.drive, lambda c: c.coupling)
    with pytest.raises(ValueError, match="several branches begin there"):
        rnnjax.continue_bifurcation(Cells(), where, hopf, (DRIVES, (-0.1, 0.1)))
    ring_of_four = ring(kernels(4)["bumps"])
    uniform = rnnjax.continue_equilibria(ring_of_four, lambda c: c.gain, bounds=(LOW, HIGH))
    with pytest.raises(ValueError, match="Give a state on one of them"):
        rnnjax.continue_equilibria(
            ring_of_four, lambda c: c.gain, uniform.first("BP"), bounds=(LOW, HIGH)
        )
