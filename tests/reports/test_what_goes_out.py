"""What goes out: the user's names and numbers are never replaced, and names are settled before a run."""

import itertools
import subprocess
import sys
from collections import namedtuple
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnjax
from rnnjax._basins.basins import Basins
from rnnjax._branches.branch import Branch
from rnnjax._branches.large_branch import LargeBranch
from rnnjax._continuation.points import Special, kept_of
from rnnjax._diagrams.curve import Curve
from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._equilibria.slow_points import SlowPoints
from rnnjax._files.labels import Labels
from rnnjax._files.names import Names, names_in_files
from rnnjax._files.sinks import open_sink, write_netcdf
from rnnjax._machine.identity import identity_of, not_identified
from rnnjax._numerics.trees import distinct, named_leaves, variable_names
from rnnjax._orbits.orbit import Orbit
from rnnjax._orbits.orbit_branch import OrbitBranch, SpecialOrbits
from rnnjax._orbits.phase import PhaseResponse
from rnnjax._simulation.trajectory import Trajectory
from rnnjax._sweep.axes import Design
from rnnjax._sweep.coordinates import label
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Dense
from rnnjax.measures import Amplitude, Mean, Spectrum

SHAPES = [(), (3,), (2,), (4, 2), (80,)]
OURS = [
    "status", "residual", "stable", "frequency", "kind", "growth_rate", "time", "label", "stability",
    "q", "point", "equilibrium", "bifurcation", "orbit", "phase", "unit", "unit_0", "unit_1", "batch_0",
    "coefficient", "eigenvalue", "eigenvalue_real", "multiplier", "period", "start", "slow_point",
    "point_frequency", "trajectory_status", "branch_stable", "starts_e", "final_e", "e_unit", "swing",
    "time_of_lane", "trajectory_time", "parameter", "bifurcation_period", "at", "tau", "tau_at",
    "multipliers_real", "smallest_e", "largest_e", "e", "state", "parameter_tau",
]  # fmt: skip
COUNT = 3
NUMBERS = itertools.count(1.0)


def filled(*shape):
    """Numbers that occur nowhere else."""
    size = int(np.prod(shape))
    return np.fromiter(NUMBERS, float, size).reshape(shape)


def states_of(shapes, *front):
    return {name: filled(*front, *shape) for name, shape in shapes.items()}


def bifurcations(states, two=False):
    return Special(
        states, filled(1, 2) if two else filled(1), np.zeros((1, 2)), np.zeros(1, int),
        np.zeros(1, int), filled(1), filled(1), np.zeros(1), np.ones(1, bool), np.ones(1, int),
        np.asarray(0),
    )  # fmt: skip


WHOLE = np.ones(COUNT, bool)
TYPES = (("LP", ("fold",)),)
MATRICES = -np.eye(2) * np.arange(1.0, COUNT + 1)[:, None, None]


def trajectory(shapes, name):
    states = states_of(shapes, 2, COUNT)
    times = np.stack([np.arange(3.0), np.arange(3.0) + 1])
    return Trajectory(times, states, np.zeros(2, int), times[:, 0], np.zeros(2, int), {}), states


def equilibria(shapes, name):
    states = states_of(shapes, COUNT)
    return Equilibria(states, WHOLE, filled(COUNT), MATRICES, np.zeros(COUNT, int)), states


def slow_points(shapes, name):
    states = states_of(shapes, COUNT)
    return SlowPoints(states, WHOLE, filled(COUNT), MATRICES, np.zeros(COUNT, int)), states


def branch(shapes, name):
    states = states_of(shapes, COUNT)
    special, ends = bifurcations(states_of(shapes, 1)), np.ones(2, int)
    return Branch(
        states, filled(COUNT), filled(COUNT), MATRICES, WHOLE, special, ends, name=name, types=TYPES
    ), states


def large_branch(shapes, name):
    states, none = states_of(shapes, COUNT), np.zeros(0)
    return LargeBranch(
        states, filled(COUNT), filled(COUNT, 2), filled(COUNT, 2), WHOLE, WHOLE, states_of(shapes, 0),
        none, none, np.zeros(0, int), np.asarray(0), np.asarray(1), name=name,
    ), states  # fmt: skip


def curve(shapes, name):
    states = states_of(shapes, COUNT)
    return Curve(
        states, filled(COUNT, 2), filled(COUNT), filled(COUNT), filled(COUNT), WHOLE,
        bifurcations(states_of(shapes, 1), two=True), np.ones(2, int), names=(name, f"{name}_2"),
        label="LP", kinds=("fold",), types=TYPES,
    ), states  # fmt: skip


def basins(shapes, name):
    states = states_of(shapes, COUNT)
    rest = Equilibria(states, WHOLE, filled(COUNT), MATRICES, np.zeros(COUNT, int))
    varied = tuple(variable_names({k: np.zeros(s) for k, s in shapes.items()})[:1])
    return Basins(
        states, np.zeros(COUNT, int), states_of(shapes, COUNT), states_of(shapes, COUNT),
        np.zeros(COUNT, int), rest, varied, (filled(COUNT),) if () in shapes.values() else (),
    ), {}  # fmt: skip


def orbit(shapes, name):
    states = states_of(shapes, COUNT)
    two = np.ones(2)
    return Orbit(states, np.arange(3.0) / 3, 5.0, two, 0 * two, 0.0, 0, np.ones(1)), states


def orbit_branch(shapes, name):
    special = SpecialOrbits(
        states_of(shapes, 1, COUNT), np.ones((1, 1)), filled(1), filled(1), np.ones((1, 2)),
        np.zeros((1, 2)), np.zeros(1, int), np.zeros(1, int), filled(1), filled(1), np.ones(1, bool),
        np.asarray(0),
    )  # fmt: skip
    low, high = states_of(shapes, COUNT), states_of(shapes, COUNT)
    many = np.ones((COUNT, 2))
    return OrbitBranch(
        states_of(shapes, COUNT, COUNT), np.ones((COUNT, 1)), filled(COUNT), filled(COUNT), many,
        0 * many, low, high, filled(COUNT), WHOLE, special, np.ones(2, int), name=name, types=TYPES,
    ), {}  # fmt: skip


NOUNS = [
    trajectory, equilibria, slow_points, branch, large_branch, curve, basins, orbit, orbit_branch,
]  # fmt: skip


def arrays_in(noun):
    """Every number of a noun that its dataset must show, each occurs once."""
    shown = {
        Trajectory: ["states"], Equilibria: ["states", "residual"], SlowPoints: ["states", "q"],
        Branch: ["states", "parameter"], LargeBranch: ["states", "parameter", "real", "imaginary"],
        Curve: ["states", "parameters", "coefficient"], Orbit: ["states"],
        Basins: ["starts", "final", "swing", "grid"],
        OrbitBranch: ["minima", "maxima", "period", "parameter"],
    }  # fmt: skip
    parts = [jax.tree.leaves(getattr(noun, name)) for name in shown[type(noun)]]
    return np.concatenate([np.ravel(x) for part in parts for x in part])


names_of_states = st.dictionaries(
    st.one_of(st.sampled_from(OURS), st.text(min_size=1, max_size=8)),
    st.sampled_from(SHAPES), min_size=1, max_size=5,
)  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(NOUNS),
    names_of_states,
    st.one_of(st.sampled_from(OURS), st.just("weights[0,1]")),
)
def test_nothing_of_the_users_is_replaced(make, shapes, name):
    noun, states = make(shapes, name)
    data = noun.to_xarray()
    for each, values in states.items():
        np.testing.assert_array_equal(data[each].values, values)
        assert each not in data.dims
    shown = np.concatenate(
        [np.ravel(x.values) for x in data.variables.values() if x.dtype == float]
    )
    assert np.isin(arrays_in(noun), shown).all()
    assert data._repr_html_()


@pytest.mark.parametrize("make", NOUNS, ids=lambda f: f.__name__)
def test_populations_of_two_sizes_have_a_dimension_each(make):
    noun, _ = make({"e": (80,), "i": (20,)}, "drive")
    sizes = noun.to_xarray().sizes
    assert (sizes["e_unit"], sizes["i_unit"]) == (80, 20)
    alike, _ = make({"e": (5,), "i": (5,)}, "drive")
    units = {k: n for k, n in alike.to_xarray().sizes.items() if k.startswith(("unit", "e_", "i_"))}
    assert units == {"unit" if make is trajectory else "unit_0": 5}


def test_a_phase_response_keeps_the_variable_called_phase():
    node, one = np.arange(8) / 8, np.asarray
    found = PhaseResponse(
        {"phase": np.sin(2 * np.pi * node), "e": np.ones((8, 3)), "i": np.ones((8, 2))}, node, one(9.0),
        np.full(2, 0.5), one(0.0),
    )  # fmt: skip
    data = found.to_xarray()
    assert data["phase"].attrs["long_name"] == "phase response to phase"
    assert data["phase"].dims == ("orbit_phase",)
    assert data.sizes == {"orbit_phase": len(data["orbit_phase"]), "e_unit": 3, "i_unit": 2}


def test_what_is_ours_goes_beside_the_users():
    noun, _ = trajectory({"status": (), "time": (), "unit": (2,)}, "")
    data = noun.to_xarray()
    assert set(data) == {"status", "time", "unit", "trajectory_status"}
    assert data["unit"].dims == ("batch_0", "trajectory_time", "trajectory_unit")
    found, _ = equilibria({"residual": (), "growth_rate": (), "equilibrium_residual": ()}, "")
    assert {"equilibrium_growth_rate", "equilibrium_residual_2"} <= set(found.to_xarray())
    line, _ = branch({"stable": (), "frequency": (), "kind": (), "gain": ()}, "gain")
    assert {"branch_stable", "bifurcation_frequency", "bifurcation_kind"} <= set(line.to_xarray())
    assert set(line.to_xarray().coords) == {"parameter_gain"}


def test_what_a_sweep_keeps_of_a_branch_replaces_nothing():
    states = {"frequency": (), "state_frequency": (), "label": (3,), "x": ()}
    line, _ = branch(states, "gain")
    found, _ = kept_of(line, {"at": (line.special.parameter, "gain")})
    kept = [values for _, values, _ in found.values()]
    for values in line.special.state.values():
        assert any(values is each for each in kept)
    assert {"frequency", "state_frequency", "state_frequency_2", "state_label", "x"} <= set(found)


def test_no_part_of_a_nested_state_is_lost():
    inner = namedtuple("inner", ["b"])
    tree = {"a": inner(1.0), "a_b": 2.0, "a_b_2": 3.0}
    assert sorted(named_leaves(tree).values()) == [1.0, 2.0, 3.0]
    assert len(set(variable_names({"a": inner(np.zeros(2)), "a.b": np.zeros(2)}))) == 4


texts = st.text(st.characters(codec=None), max_size=12)
hard = st.sampled_from([
    "", ".", "..", "a/b", "a_b", "a\\b", "/", "zarr.json", "x" * 300, "x" * 301, "a\x00b", "\ud800",
    "_nc4_non_coord_x", "é" * 150, "name_", "tau_i/tau_e",
])  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.one_of(texts, hard), max_size=8))
def test_names_in_files_are_different_and_can_be_spelled(names):
    found = names_in_files(names)
    assert set(found) == set(names)
    assert len(set(found.values())) == len(found)
    for name, other in found.items():
        assert other not in {"", ".", "..", "zarr.json"}
        assert len(other.encode()) < 255
        assert not set("/\\\x00") & set(other)
        if not set(name) & set("/\\\x00") and 0 < len(name) < 60 and name.isidentifier():
            assert other == name or "_nc4_non_coord_" in name


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["a", "b", "a_2", "a_2_2", "a_b"]), max_size=8))
def test_distinct_names_are_distinct_and_the_first_of_each_stays(names):
    found = distinct(names)
    assert len(set(found)) == len(names)
    for name in set(names):
        assert found[names.index(name)] == name
    taken = Names("x", names)
    assert len({taken.free(name) for name in names} | set(names)) == len(names) + len(set(names))


@settings(max_examples=80, deadline=None, derandomize=True)  # files take a while
@given(st.one_of(texts, hard).filter(bool), st.one_of(texts, hard).filter(bool))
def test_an_axis_of_any_name_keeps_its_values_in_a_store(axis, measure):
    import tempfile

    if "status" in (axis, measure) or axis == measure:
        return
    values = np.asarray([0.5, 0.25, 4.0])
    labels = Labels((axis,), (3,), {axis: ([axis], values, {})}, {measure: {}}, {}, {measure: ()})
    with tempfile.TemporaryDirectory() as folder:
        with open_sink(f"{folder}/s.zarr", labels, 3) as sink:
            sink.write(0, {measure: 2 * values, "status": np.zeros(3, np.uint8)})
            data = sink.finish().load()
        np.testing.assert_array_equal(data[axis], values)
        np.testing.assert_array_equal(data[measure], 2 * values)
        if axis.encode(errors="replace").decode() == axis:
            whole = labels.dataset({measure: 2 * values, "status": np.zeros(3, np.uint8)})
            write_netcdf(whole, f"{folder}/s.nc")
            with xarray.open_dataset(f"{folder}/s.nc", engine="h5netcdf") as again:
                kept = names_in_files([str(x) for x in (*whole.variables, *whole.sizes)])
                np.testing.assert_array_equal(again[kept[axis]], values)
                np.testing.assert_array_equal(again[kept[measure]], 2 * values)


class State(NamedTuple):
    e: Any
    i: Any


class Populations(rnnjax.AbstractCircuit):
    """Excitatory and inhibitory units of different numbers, all to all."""

    tau: Any = rnnjax.parameter(10.0, "ms", positive=True)
    drive: Any = rnnjax.parameter(0.5, "1")
    pair: Any = rnnjax.parameter((0.1, 0.2), "1")

    def __call__(self, state, input):
        e, i = jnp.mean(state.e), jnp.mean(state.i)
        return State(
            (-state.e + jnp.tanh(1.2 * e - i + self.drive)) / self.tau,
            (-state.i + jnp.tanh(e)) / self.tau,
        )

    def rest(self):
        return State(jnp.zeros(80), jnp.zeros(20))


CIRCUIT = Populations()
RUN = {"duration": 2.0, "step": 1.0, "progress": False}
MEASURES = {"mean": Mean(), "swing": Amplitude(), "other": lambda c: jnp.full(7, c.drive)}


def test_a_sweep_over_two_populations_is_whole_in_memory_and_in_stores(tmp_path):
    axes = [
        rnnjax.axis(lambda c: c.drive, [0.1, 0.2, 0.4], name="drive/scale"),
        rnnjax.axis(lambda c: c.tau, [5.0, 10.0], name="drive_scale"),
    ]
    memory = rnnjax.sweep(CIRCUIT, MEASURES, axes, **RUN)
    assert memory.mean_e.dims == ("drive/scale", "drive_scale", "e_unit")
    assert memory.swing_i.dims == ("drive/scale", "drive_scale", "i_unit")
    assert memory.other.dims == ("drive/scale", "drive_scale", "other_unit")
    for ending in ("zarr", "nc"):
        stored = rnnjax.sweep(CIRCUIT, MEASURES, axes, store=tmp_path / f"s.{ending}", **RUN)
        xarray.testing.assert_equal(stored.load(), memory)
    for again in (
        xarray.open_zarr(tmp_path / "s.zarr", consolidated=False),
        xarray.open_dataset(tmp_path / "s.nc", engine="h5netcdf"),
    ):
        assert again.mean_e.dims == ("drive_scale_2", "drive_scale", "e_unit")
        np.testing.assert_array_equal(again["drive_scale_2"], [0.1, 0.2, 0.4])
        np.testing.assert_array_equal(again["drive_scale"], [5.0, 10.0])
        assert again["drive_scale_2"].attrs["called"] == "drive/scale"
        again.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.nc", "s.zarr"]


def test_populations_of_two_sizes_go_out_of_a_run():
    run = rnnjax.simulate(CIRCUIT, np.linspace(0.0, 2.0, 3), step=1.0)
    data = run.to_xarray()
    assert data.e.dims == ("time", "e_unit")
    np.testing.assert_array_equal(data.i, run.states.i)
    assert "xr-" in run._repr_html_()


SETTINGS = {"state_unit": "", "units": {}, "circuit": "x"}
AXES = {"drive": lambda c: c.drive, "tau": lambda c: c.tau, "pair": lambda c: c.pair}
called = st.one_of(st.none(), st.sampled_from([
    "unit", "point", "status", "pair_values", "pair_0", "m_e", "m", "s_frequency", "drive", "tau", "a/b",
    "e_unit", "m_e_unit", "m_0", "pair",
]))  # fmt: skip
measured = st.dictionaries(
    st.sampled_from([
        "m", "m_e", "s", "s_frequency", "unit", "point", "pair_values", "pair_0", "e_unit", "m_0", "x",
    ]),
    st.dictionaries(st.sampled_from(["", "e", "i", "unit", "0"]), st.sampled_from(SHAPES), min_size=1,
                    max_size=3),
    min_size=1, max_size=4,
)  # fmt: skip
FREQUENCIES = Spectrum(frequencies=[5.0, 7.0])
KNOWN = LinearNetwork(Dense([[0.0, 0.0], [0.0, 0.0]]))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(list(AXES)), called), min_size=1, max_size=3,
                unique_by=lambda x: x[0]), measured, st.booleans(), st.booleans())  # fmt: skip
def test_a_sweep_settles_all_names_or_refuses_in_words(axes, shapes, grid, spectrum):
    lengths = {"drive": np.ones(2), "tau": np.ones(2) * 3, "pair": np.ones((2, 2))}
    over = [rnnjax.axis(AXES[k], lengths[k], name) for k, name in axes]
    circuit = CIRCUIT_OF_PAIRS
    measures: dict[str, Any] = dict.fromkeys(shapes, Mean())
    given_ = {
        owner: {
            part: jax.ShapeDtypeStruct(
                (2, *shape) if owner == "s" and spectrum else shape, np.float64
            )
            for part, shape in parts.items()
        }
        for owner, parts in shapes.items()
    }
    if "s" in measures and spectrum:
        measures["s"] = FREQUENCIES
    try:
        design = Design(circuit, over if grid else rnnjax.points(*over))
        labels = label(design, given_, measures, SETTINGS)
    except ValueError as error:
        if any(words in str(error) for words in ("rename", "another name")):
            return
        raise
    count = int(np.prod(labels.shape))
    arrays = {}
    for owner, parts in given_.items():
        for part, x in parts.items():
            name = f"{owner}_{part}" if part else owner
            arrays[name] = filled(count, *x.shape)
    data = labels.dataset(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(data[name].values.ravel(), values.ravel())
    for name, (_, values, *_rest) in labels.coordinates.items():
        np.testing.assert_array_equal(data[name].values, values)
    for each, name in zip(over, design.names, strict=True):
        if each.values.ndim == 1:
            np.testing.assert_array_equal(data[name].values, each.values)


class Pairs(Populations):
    """The same, with an array for a parameter."""

    pair: Any = rnnjax.parameter([0.1, 0.2], "1")


CIRCUIT_OF_PAIRS = Pairs()
ONE = [rnnjax.axis(lambda c: c.drive, [0.1, 0.2])]


@pytest.mark.parametrize(
    ("measures", "over", "error", "words"),
    [
        ({1: Mean()}, ONE, TypeError, "expected names that are words"),
        ({"": Mean()}, ONE, TypeError, "expected names that are words"),
        ({"drive": Mean(of=lambda s: s.e)}, ONE, ValueError, "name of an axis"),
        ({"status": Mean()}, ONE, ValueError, "'status' is taken"),
        ({"m": Mean(), "m_e": Mean(of=lambda s: s.i)}, ONE, ValueError, "both give a variable 'm_e'"),
        (
            {"m": Mean()},
            [rnnjax.axis(lambda c: c.drive, [1.0], "x"), rnnjax.axis(lambda c: c.tau, [1.0], "x")],
            ValueError, "two axes are called 'x'",
        ),
        ({"m": Mean()}, [rnnjax.axis(lambda c: c.drive, [1.0], "status")], ValueError, "status"),
    ],
)  # fmt: skip
def test_names_that_collide_are_refused_in_words(measures, over, error, words):
    with pytest.raises(error, match=words):
        rnnjax.sweep(CIRCUIT, measures, over, **RUN)


@pytest.mark.parametrize("name", [3, "", ("a", "b")])
def test_a_name_of_an_axis_is_a_name(name):
    with pytest.raises(TypeError, match="expected a word for a name"):
        rnnjax.axis(lambda c: c.drive, [1.0], name)


SCHEDULES = {
    "cosine": lambda a: optax.cosine_decay_schedule(a, 120),
    "joined": lambda a: optax.join_schedules(
        [optax.constant_schedule(a), optax.cosine_decay_schedule(a, 9)], [5]
    ),
    "warm": lambda a: optax.warmup_cosine_decay_schedule(0.0, a, 10, 100),
    "exponential": lambda a: optax.exponential_decay(a, 10, 0.9),
    "pieces": lambda a: optax.piecewise_constant_schedule(a, {10: 0.1, 20: 0.5}),
    "own": lambda a: lambda k: a * 0.9**k,
    "compiled": lambda a: jax.jit(lambda k: a * 0.9**k),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_identity_of_an_optimizer_does_not_change_by_use(name):
    make = SCHEDULES[name]
    tool = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(make(0.01)))
    first, start = identity_of(optimizer=tool), {"w": np.zeros(3, np.float32)}
    with jax.numpy_dtype_promotion("standard"):
        tool.update(start, tool.init(start), start)
    assert identity_of(optimizer=tool) == first
    assert not_identified(optimizer=tool) == []

    def again(rate):
        other = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(make(rate)))
        return identity_of(optimizer=other)

    assert again(0.01) == first
    assert again(0.02) != first


class Counting:
    """An objective that changes as it is used."""

    def __init__(self, wanted):
        self.wanted, self.calls = wanted, 0

    def __call__(self, circuit, key):
        self.calls += 1
        return (circuit.tau.sum() - self.wanted) ** 2


def test_what_can_not_be_identified_is_said():
    assert not_identified(a=object(), b=np.random.default_rng(0), c=3.0, d={1: 2, "a": 3}) == [
        "a: <object object>", "b: Generator(PCG64)",
    ]  # fmt: skip
    assert identity_of(a={"x", "y"}, b={1: 2, "a": 3}) == identity_of(
        a={"y", "x"}, b={"a": 3, 1: 2}
    )
    assert identity_of(a=Counting(1.0)) != identity_of(a=Counting(2.0))
    assert identity_of(a=[5, 0.5, True]) == identity_of(a=[5.0, 0.5, True])
    holding: list[Any] = [1.0]
    holding.append(holding)
    assert identity_of(a=holding)


UNIT = LinearNetwork(Dense([[0.0]]), tau=10.0)


def test_a_fit_says_what_it_can_not_tell_from_others(tmp_path):
    dice = np.random.default_rng(0)

    def loss(circuit, key):
        return (circuit.tau.sum() - 12.0 + 0 * len(repr(dice))) ** 2

    options = {"steps": 2, "progress": False, "optimizer": optax.sgd(0.1)}
    with pytest.warns(UserWarning, match=r"can't be told .*objective: Generator"):
        rnnjax.fit(UNIT, lambda c: c.tau, loss, checkpoint=tmp_path / "a", **options)
    with pytest.warns(UserWarning, match="the objective changed by being used"):
        rnnjax.fit(UNIT, lambda c: c.tau, Counting(12.0), checkpoint=tmp_path / "b", **options)
    again = rnnjax.fit  # made anew it goes on, with what it was at first
    with pytest.warns(UserWarning, match="changed by being used"):
        found = again(
            UNIT,
            lambda c: c.tau,
            Counting(12.0),
            checkpoint=tmp_path / "b",
            **options | {"steps": 3},
        )
    assert found.steps_taken == 3


SCHEDULED = """
import sys, optax, rnnjax
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Dense
found = rnnjax.fit(
    LinearNetwork(Dense([[0.0]]), tau=10.0), lambda c: c.tau, lambda c, key: (c.tau - 12.0).sum() ** 2,
    optimizer=optax.adam(optax.cosine_decay_schedule(1e-2, 120)), steps=int(sys.argv[2]),
    checkpoint=sys.argv[1], progress=False,
)
print(*(float(x).hex() for x in found.losses))
"""


def test_a_fit_with_a_schedule_goes_on_in_a_new_process(tmp_path):
    def losses(path, steps):
        command = [sys.executable, "-c", SCHEDULED, str(tmp_path / path), str(steps)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [float.fromhex(x) for x in found.split()]

    first, again = losses("fit", 3), losses("fit", 6)
    assert len(again) == 7
    np.testing.assert_array_equal(again[:4], first)
    assert np.unique(again).size == 7
