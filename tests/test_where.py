"""Does every verb's `where` reach one number of an array?"""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiles import programs

import rnnjax
from rnnjax import AbstractCircuit, Driven, axis, bifurcations, parameter, points
from rnnjax._where import Named, all_named, choose, free_of, named, put, rebuild
from rnnjax.circuits import ExcitatoryInhibitory, RateNetwork, WilsonCowan
from rnnjax.connectivity import Dense
from rnnjax.targets import RestsAt


class Apart(AbstractCircuit):
    """A node, dx/dt = drive - decay x + x^2, which is gone beyond drive = decay^2 / 4."""

    drive: float = parameter(0.2)
    decay: float = parameter(1.0, positive=True)

    def numbers(self):
        return self.drive, self.decay

    def __call__(self, state, input):
        drive, decay = self.numbers()
        return drive - decay * state + state**2 + input

    def rest(self):
        return jnp.zeros(())


class Together(Apart):
    """The same circuit, its numbers in one array."""

    of: np.ndarray = parameter([[0.0, 0.2], [0.0, 1.0]])

    def numbers(self):
        return self.of[0, 1], self.of[1, 1]


class Oscillator(AbstractCircuit):
    """A Hopf point at mu = 0, and orbits of one frequency beyond it."""

    of: np.ndarray = parameter([-0.5, 0.7])

    def __call__(self, state, input):
        x, y = state
        mu, omega = self.of[0], self.of[1]
        r2 = x**2 + y**2
        return jnp.stack([mu * x - omega * y - x * r2, omega * x + mu * y - y * r2]) + input

    def rest(self):
        return jnp.zeros(2)


APART, TOGETHER = Apart(), Together()
PAIR = RateNetwork(Dense(np.array([[0.5, -1.0], [1.0, 0.2]])), tau=np.array([10.0, 20.0]))


def drive_of(c):
    return c.of[0, -1]


def decay_of(c):
    return c.of[1, 1]


def numbers_at(circuit):
    return circuit.numbers()[0] + 10 * circuit.numbers()[1]


def resting(drive):
    return (1 - np.sqrt(1 - 4 * np.asarray(drive))) / 2


FOLDS = {"bifurcations": (bifurcations.Fold(),), "max_points": 32, "max_bifurcations": 1}


def test_sweep():
    data = rnnjax.sweep(
        TOGETHER, {"sum": numbers_at}, [axis(drive_of, [-1.0, 0.5]), axis(decay_of, [0.1, 0.2])],
        dtype="float64", progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(data["sum"], [[0.0, 1.0], [1.5, 2.5]], atol=1e-12)
    assert data["sum"].dims == ("of[0,1]", "of[1,1]")


def test_continue_equilibria_and_the_curve_of_its_fold():
    branch = rnnjax.continue_equilibria(
        TOGETHER, drive_of, bounds=(0.0, 0.5), both_directions=False, **FOLDS
    )
    (fold,) = branch.bifurcations
    assert branch.name == "of[0,1]"
    np.testing.assert_allclose(fold.parameter, 0.25, rtol=1e-9)
    curve = rnnjax.continue_bifurcation(
        TOGETHER, (drive_of, decay_of), fold, bounds=((0.0, 0.5), (0.5, 1.5)), max_points=8,
        both_directions=False, bifurcations=(), throw=False,
    )  # fmt: skip
    assert curve.names == ("of[0,1]", "of[1,1]")
    drive, decay = curve.parameters.T
    assert np.ptp(decay) > 0.01
    np.testing.assert_allclose(drive, decay**2 / 4, rtol=1e-9)


def test_derivatives_by_the_numbers_beside_the_one_that_is_followed():
    def place(circuit):
        branch = rnnjax.continue_equilibria(
            circuit, drive_of, bounds=(0.0, 0.5), both_directions=False, **FOLDS
        )
        return branch.special.parameter[0]

    by = jax.grad(place)(TOGETHER).of  # the fold is at decay^2 / 4
    np.testing.assert_allclose(by, [[0.0, 0.0], [0.0, 0.5]], atol=1e-6)


def test_continue_orbits():
    def mu(c):
        return c.of[0]

    branch = rnnjax.continue_equilibria(
        Oscillator(), mu, bounds=(-1.0, 1.0), bifurcations=(bifurcations.Hopf(),), max_points=32,
        max_bifurcations=1,
    )  # fmt: skip
    (hopf,) = branch.bifurcations
    np.testing.assert_allclose(hopf.parameter, 0.0, atol=1e-9)
    orbits = rnnjax.continue_orbits(
        Oscillator(), mu, hopf, bounds=(-1.0, 0.5), max_points=4, intervals=6, throw=False,
        bifurcations=(), max_bifurcations=1,
    )  # fmt: skip
    assert orbits.name == "of[0]"
    np.testing.assert_allclose(orbits.period[1:], 2 * np.pi / 0.7, rtol=1e-5)
    assert (orbits.parameter[1:] > 0).all()


def test_continue_large():
    branch = rnnjax.continue_large(
        TOGETHER, drive_of, bounds=(0.0, 0.24), count=1, max_points=40, max_crossings=1
    )
    assert branch.name == "of[0,1]"
    np.testing.assert_allclose(branch.states, resting(branch.parameter), rtol=1e-9)


def test_diagram():
    found = rnnjax.diagram(
        TOGETHER, drive_of, (0.0, 0.4), values=1, max_branches=1, guesses=np.full(1, 0.2), **FOLDS
    )
    (branch,) = found.branches
    assert branch.name == "of[0,1]"
    np.testing.assert_allclose(branch.bifurcations[0].parameter, 0.25, rtol=1e-9)


def test_gradient_and_fit():
    found = []
    for circuit, where in ((APART, lambda c: c.drive), (TOGETHER, drive_of)):
        target, options = RestsAt(np.array([0.1, 0.3])), {"dtype": "float64"}
        loss, by = rnnjax.gradient(circuit, where, target, **options)
        sgd = optax.sgd(0.1)
        fit = rnnjax.fit(circuit, where, target, steps=3, optimizer=sgd, progress=False, **options)
        found.append([loss, *by.values(), fit.loss])
    assert list(by) == ["of[0,1]"]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
    assert found[0][-1] < found[0][0]


def test_basins_of_a_state_that_is_an_array():
    from rnnjax._basins.starts import as_starts

    found = as_starts(np.zeros(3), [axis(lambda s: s[2], [1.0, 2.0]), axis(lambda s: s[0], [5.0])])
    np.testing.assert_array_equal(found.rows, [[5.0, 0.0, 1.0], [5.0, 0.0, 2.0]])
    assert found.varied == ("state[2]", "state[0]")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_sweep_is_stored_under_the_name_of_the_number(suffix, tmp_path):
    import xarray

    def end(circuit):
        return circuit.tau[1] + 10 * circuit.connectivity.weights[0, 1]

    path = tmp_path / f"swept{suffix}"
    rnnjax.sweep(
        PAIR, {"end": end},
        [axis(lambda c: c.tau[1], [1.0, 2.0]), axis(lambda c: c.connectivity.weights[0, 1], [3.0])],
        store=str(path), dtype="float64", progress=False,
    )  # fmt: skip
    data = (
        xarray.open_zarr(path, consolidated=False)
        if suffix == ".zarr"
        else xarray.open_dataset(path)
    )
    np.testing.assert_allclose(data.end.values, [[31.0], [32.0]])
    assert data.end.dims == ("tau[1]", "weights[0,1]")
    assert data["tau[1]"].attrs["units"] == "ms"
    data.close()


def test_the_other_numbers_stay():
    with jax.enable_x64(True):
        on_device = jax.tree.map(lambda x: jnp.asarray(x) if eqx.is_array(x) else x, PAIR)
        for c in (PAIR, on_device):
            one = named(c, lambda c: c.connectivity.weights[1, -2])
            changed = one.put(c, 7.0)
            np.testing.assert_array_equal(changed.connectivity.weights, [[0.5, -1.0], [7.0, 0.2]])
            np.testing.assert_array_equal(changed.tau, PAIR.tau)
            assert one.value(changed) == 7.0
            traced = eqx.filter_jit(one.put)(c, jnp.asarray(3.0))
            np.testing.assert_array_equal(traced.connectivity.weights, [[0.5, -1.0], [3.0, 0.2]])
            assert traced.connectivity.weights.dtype == np.float64
    np.testing.assert_array_equal(PAIR.connectivity.weights, [[0.5, -1.0], [1.0, 0.2]])


def test_several_numbers_of_one_array():
    each = [named(PAIR, lambda c, k=k: c.tau[k]) for k in range(2)]
    np.testing.assert_array_equal(put(PAIR, each, [3.0, 4.0]).tau, [3.0, 4.0])


def test_what_is_named():
    found = named(PAIR, lambda c: c.tau[np.int64(-1)])
    assert (found.path, found.name, found.index) == ("tau[1]", "tau[1]", (1,))
    assert found.field is not None
    assert (found.field.unit, found.positive, found.field.value) == ("ms", True, None)
    weights = named(PAIR, lambda c: c.connectivity.weights[0][1])
    assert (weights.path, weights.name) == ("connectivity.weights[0,1]", "weights[0,1]")
    assert weights == named(PAIR, lambda c: c.connectivity.weights[0, 1])
    assert hash(weights) != hash(found)
    whole = named(PAIR, lambda c: c.tau)
    assert (whole.path, whole.index) == ("tau", ())
    pair = Driven(PAIR, np.array([1.0, 2.0]))
    assert named(pair, lambda d: d.input[1]).path == "input[1]"
    # what is named in a circuit is as good for the pair
    assert found.value(pair) == 20.0
    assert found.put(pair, 5.0).circuit.tau[1] == 5.0
    assert [each.path for each in all_named(PAIR)] == [
        "connectivity.weights",
        "nonlinearity",
        "bias",
        "tau",
    ]
    state = ExcitatoryInhibitory().rest()
    assert named(state, lambda s: s[1]).path == "i"  # structures are indexed as they are


def test_a_fit_trains_the_numbers_and_no_others():
    where = operator.attrgetter("tau")
    chosen = choose(PAIR, lambda c: (c.connectivity.weights[0, 1], where(c)[1]))
    assert [each.path for each in chosen] == ["connectivity.weights[0,1]", "tau[1]"]
    free = free_of(PAIR, chosen)
    np.testing.assert_allclose(free, [-1.0, np.log(20.0)], rtol=1e-6)
    same = rebuild(PAIR, chosen, free)
    np.testing.assert_allclose(same.tau, PAIR.tau, rtol=1e-6)
    found = rnnjax.fit(
        PAIR, lambda c: (c.connectivity.weights[0, 1], c.tau[1]), RestsAt(np.array([0.3, 0.1])),
        steps=5, progress=False, dtype="float64",
    )  # fmt: skip
    moved = found.circuit.connectivity.weights != PAIR.connectivity.weights
    np.testing.assert_array_equal(moved, [[False, True], [False, False]])
    np.testing.assert_array_equal(found.circuit.tau != PAIR.tau, [False, True])
    np.testing.assert_array_equal(found.circuit.bias, PAIR.bias)


def test_many_fits_of_one_number():
    keys = jax.random.split(jax.random.key(0), 3)
    circuits = jax.tree.map(lambda x: np.stack([x] * 3) if eqx.is_array(x) else x, PAIR)
    where, options = (lambda c: c.tau[1]), {"steps": 2, "progress": False}
    target = RestsAt(np.array([0.3, 0.1]))
    many = rnnjax.fit(circuits, where, target, key=keys, **options)
    one = rnnjax.fit(PAIR, where, target, key=keys[0], **options)
    np.testing.assert_allclose(many.loss, np.full(3, one.loss), rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(many.circuit.tau)[:, 0], [10.0] * 3)


BAD = {
    "beyond": (lambda c: c.tau[2], r"tau has shape \(2,\): the index 2 of axis 0 is out of range"),
    "before": (lambda c: c.tau[-3], r"tau has shape \(2,\): the index -3 of axis 0"),
    "a slice": (lambda c: c.tau[:1], r"tau has shape \(2,\).*one of its elements"),
    "all": (lambda c: c.connectivity.weights[..., 0], r"weights has shape \(2, 2\).*one of its"),
    "a mask": (lambda c: c.tau[True], r"one of its elements, got True"),
    "a float": (lambda c: c.tau[1.0], r"one of its elements, got 1.0"),
    "a row": (lambda c: c.connectivity.weights[0], r"by 2 numbers, or all of it by none, got 1"),
    "too deep": (lambda c: c.tau[0, 0], r"tau has shape \(2,\): it can't be indexed by 2 numbers"),
    "of one number": (lambda c: c.bias[0], r"bias has shape \(\): it can't be indexed"),
    "nothing": (lambda c: c.nothing, r"must name.* arrays? of RateNetwork"),
    "of an element": (lambda c: c.tau[0].nothing, r"must name.* arrays? of RateNetwork"),
    "a sum": (lambda c: c.tau[0] + 1, r"must name.* arrays? of RateNetwork"),
    "its parts": (lambda c: tuple(c.tau), r"must name.* arrays? of RateNetwork"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "verb",
    [
        lambda c, w: rnnjax.sweep(c, {"m": numbers_at}, [axis(w, [1.0])], progress=False),
        lambda c, w: rnnjax.sweep(c, {"m": numbers_at}, points(axis(w, [1.0])), progress=False),
        lambda c, w: rnnjax.continue_equilibria(c, w, bounds=(0.0, 30.0)),
        lambda c, w: rnnjax.continue_large(c, w, bounds=(0.0, 30.0)),
        lambda c, w: rnnjax.diagram(c, w, (0.0, 30.0)),
        lambda c, w: rnnjax.fit(c, w, RestsAt(np.zeros(2)), steps=1, progress=False),
        lambda c, w: rnnjax.gradient(c, w, RestsAt(np.zeros(2))),
    ],
    ids=["sweep", "points", "continue_equilibria", "continue_large", "diagram", "fit", "gradient"],
)
def test_bad_indices_are_refused_before_anything_compiles(name, verb):
    where, words = BAD[name]
    with programs() as compiled, pytest.raises(ValueError, match=words):
        verb(PAIR, where)
    assert not compiled


def test_an_array_is_not_followed():
    with pytest.raises(
        ValueError, match=r"weights\[0, 0\]`, or give the number a field of its own"
    ):
        rnnjax.continue_equilibria(PAIR, lambda c: c.connectivity.weights, bounds=(0.0, 1.0))


def test_the_same_twice():
    with pytest.raises(ValueError, match="different parameters"):
        rnnjax.sweep(
            PAIR,
            {"m": numbers_at},
            [axis(lambda c: c.tau[-1], [1.0]), axis(lambda c: c.tau[1], [1.0])],
        )
    with pytest.raises(ValueError, match="different parameters"):
        rnnjax.sweep(
            PAIR,
            {"m": numbers_at},
            [axis(lambda c: c.tau[1], [1.0]), axis(lambda c: c.tau, [[1.0, 2]])],
        )
    with pytest.raises(ValueError, match=r"it names tau, and tau\[1\] of it"):
        choose(PAIR, lambda c: (c.tau[1], c.tau))


def test_by_name_on_the_command_line():
    from rnnjax._cli_arguments import parameter_called

    found = named(PAIR, parameter_called(PAIR, "connectivity.weights[0,1]", "--vary"))
    assert found.path == "connectivity.weights[0,1]"
    with pytest.raises(ValueError, match=r"--vary tauu\[1\]: RateNetwork has no such parameter"):
        parameter_called(PAIR, "tauu[1]", "--vary")


def test_a_name_holds_no_numbers():
    assert not any(
        eqx.is_array(x) for x in jax.tree.leaves(named(WilsonCowan(), lambda c: c.tau_e))
    )
    assert isinstance(named(WilsonCowan(), lambda c: c.tau_e), Named)
