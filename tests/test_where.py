"""Does every verb's `where` reach one number of an array? Beside circuits with a field for it."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnnjax
from rnnjax import AbstractCircuit, Driven, axis, bifurcations, parameter, points
from rnnjax._where import Named, all_named, choose, free_of, named, put, rebuild
from rnnjax.circuits import ExcitatoryInhibitory, RateNetwork, WilsonCowan
from rnnjax.connectivity import Dense
from rnnjax.targets import RestsAt


class Apart(AbstractCircuit):
    """A node and an oscillator near a Hopf point: of the field's four numbers two are followed."""

    mu: float = parameter(-0.5)
    drive: float = parameter(0.2)
    omega: float = parameter(0.7, positive=True)
    decay: float = parameter(1.0, positive=True)

    def numbers(self):
        return self.mu, self.drive, self.omega, self.decay

    def __call__(self, state, input):
        mu, drive, omega, decay = self.numbers()
        x, y, z = state
        r2 = x**2 + y**2
        return jnp.stack(
            [
                mu * x - omega * y - x * r2 + 0 * input[0],
                omega * x + mu * y - y * r2,
                drive - decay * z + z**2,
            ]
        )

    def rest(self):
        return jnp.zeros(3)


class Together(Apart):
    """The same circuit, its numbers in one array."""

    of: np.ndarray = parameter([[-0.5, 0.2], [0.7, 1.0]])

    def numbers(self):
        return self.of[0, 0], self.of[0, 1], self.of[1, 0], self.of[1, 1]


APART, TOGETHER = Apart(), Together()
PAIR = RateNetwork(Dense(np.array([[0.5, -1.0], [1.0, 0.2]])), tau=np.array([10.0, 20.0]))


def mu(c):
    return c.mu


def mu_of(c):
    return c.of[0, 0]


def drive(c):
    return c.drive


def drive_of(c):
    return c.of[0, -1]


def largest(state):
    return abs(state).max()


def growth(circuit):
    return rnnjax.linearize(circuit, np.zeros(3)).growth_rate


def curve(circuit, first, second):
    branch = rnnjax.continue_equilibria(circuit, second, bounds=(0.0, 0.5), max_points=60)
    (fold,) = (p for p in branch.bifurcations if p.label == "LP")
    assert branch.name == named(circuit, second).name
    return rnnjax.continue_bifurcation(
        circuit, (first, second), fold, bounds=((-1.0, -0.1), (0.0, 0.5)), max_points=20,
        both_directions=False, throw=False,
    )  # fmt: skip


def hopf(circuit, where):
    return rnnjax.continue_equilibria(circuit, where, bounds=(-1.0, 1.0), max_points=60)


def orbits(circuit, where):
    (point,) = hopf(circuit, where).bifurcations
    return rnnjax.continue_orbits(
        circuit, where, point, bounds=(-1.0, 0.5), max_points=8, intervals=8, throw=False
    )


VERBS = {
    "sweep": lambda c, first, second: rnnjax.sweep(
        c, {"growth": growth}, [axis(first, [-1.0, 0.5]), axis(second, [0.1, 0.2])],
        dtype="float64", progress=False,
    ).growth.values,
    "continue_equilibria": lambda c, first, second: hopf(c, first).parameter,
    "its bifurcations": lambda c, first, second: [
        p.parameter for p in hopf(c, first).bifurcations
    ],
    "continue_large": lambda c, first, second: rnnjax.continue_large(
        c, second, bounds=(0.0, 0.24), count=2, max_points=40
    ).states,
    "continue_orbits": lambda c, first, second: orbits(c, first).period,
    "continue_bifurcation": lambda c, first, second: curve(c, first, second).parameters,
    "diagram": lambda c, first, second: rnnjax.diagram(
        c, second, (0.0, 0.5), values=2
    ).branches[0].parameter,
    "gradient": lambda c, first, second: list(
        rnnjax.gradient(c, lambda c: (first(c), second(c)), RestsAt(np.full(3, 0.3)))[1].values()
    ),
    "fit": lambda c, first, second: rnnjax.fit(
        c, lambda c: (first(c), second(c)), RestsAt(np.full(3, 0.3)), steps=3,
        optimizer=optax.sgd(0.1), progress=False,
    ).loss,
}  # fmt: skip


@pytest.mark.parametrize("name", VERBS)
def test_a_number_of_an_array_is_as_good_as_a_field(name):
    expected = VERBS[name](APART, mu, drive)
    found = VERBS[name](TOGETHER, mu_of, drive_of)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, equal_nan=True)
    assert np.isfinite(np.asarray(expected, float)).any()


def test_closed_forms():
    """The fold of drive - z + z^2 lies at 1/4, the Hopf point at mu = 0."""
    (fold,) = (
        p
        for p in rnnjax.continue_equilibria(TOGETHER, drive_of, bounds=(0.0, 0.5)).bifurcations
        if p.label == "LP"
    )
    np.testing.assert_allclose(fold.parameter, 0.25, rtol=1e-9)
    (point,) = hopf(TOGETHER, mu_of).bifurcations
    assert point.label == "H"
    np.testing.assert_allclose(point.parameter, 0.0, atol=1e-9)


def test_derivatives_by_the_numbers_beside_the_one_that_is_followed():
    def place(circuit):
        branch = rnnjax.continue_equilibria(
            circuit, drive_of, bounds=(0.0, 0.5), bifurcations=(bifurcations.Fold(),),
            max_points=32, max_bifurcations=1, both_directions=False,
        )  # fmt: skip
        return branch.special.parameter[0]

    by = jax.grad(place)(TOGETHER).of  # the fold is at decay^2 / 4
    np.testing.assert_allclose(by, [[0.0, 0.0], [0.0, 0.5]], atol=1e-7)


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
    data = xarray.open_zarr(path) if suffix == ".zarr" else xarray.open_dataset(path)
    np.testing.assert_allclose(data.end.values, [[31.0], [32.0]])
    assert data.end.dims == ("tau[1]", "weights[0,1]")
    assert data["tau[1]"].attrs["units"] == "ms"
    data.close()


def test_the_other_numbers_stay():
    with jax.enable_x64(True):
        for c in (PAIR, jax.tree.map(jnp.asarray, PAIR)):
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
    np.testing.assert_allclose(many.loss, np.tile(one.loss, (3, 1)), rtol=1e-5)
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
        lambda c, w: rnnjax.sweep(c, {"m": growth}, [axis(w, [1.0])], progress=False),
        lambda c, w: rnnjax.sweep(c, {"m": growth}, points(axis(w, [1.0])), progress=False),
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
    compiled = []

    def listen(event, seconds, **options):
        compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    with pytest.raises(ValueError, match=words):
        verb(PAIR, where)
    jax.monitoring.clear_event_listeners()
    assert not [event for event in compiled if "backend_compile" in event]


def test_an_array_is_not_followed():
    with pytest.raises(
        ValueError, match=r"weights\[0, 0\]`, or give the number a field of its own"
    ):
        rnnjax.continue_equilibria(PAIR, lambda c: c.connectivity.weights, bounds=(0.0, 1.0))


def test_the_same_twice():
    with pytest.raises(ValueError, match="different parameters"):
        rnnjax.sweep(
            PAIR, {"m": growth}, [axis(lambda c: c.tau[-1], [1.0]), axis(lambda c: c.tau[1], [1.0])]
        )
    with pytest.raises(ValueError, match="different parameters"):
        rnnjax.sweep(
            PAIR,
            {"m": growth},
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
