"""Sweeps whose unit is a bifurcation diagram: the same points as one at a time, labelled."""

import contextlib
import pathlib
import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import rnnjax
from rnnjax import Branch, BranchEnd, Plan, Status, parameter
from rnnjax._continuation.points import Special
from rnnjax._sweep import chunks as _chunks
from rnnjax.circuits import MorrisLecar

RUN = {"dtype": "float64", "chunk": 4, "progress": False}
TRACED = []


class Cubic(rnnjax.AbstractCircuit):
    r"""$\dot x = r (p + c x - x^3)$: folds at $p = \pm 2 (c / 3)^{3/2}$, $x = \mp \sqrt{c / 3}$.

    The rate is the root of its square, so that there is none where that is negative.
    """

    p: Any = parameter(-3.0, "mV/ms", doc="drive")
    c: Any = parameter(1.0, "1/ms")
    rate_squared: Any = parameter(1.0, "1")

    def __call__(self, state, input):
        rate = jnp.sqrt(self.rate_squared)
        return rate * (self.p + self.c * state - state**3) + input

    def rest(self):
        return jnp.zeros_like(self.p)


def p(circuit):
    return circuit.p


def c(circuit):
    return circuit.c


def rate_squared(circuit):
    return circuit.rate_squared


def rest(circuit):
    """Equilibria along the drive."""
    TRACED.append(1)
    return rnnjax.continue_equilibria(
        circuit, p, bounds=(-3.0, 3.0), max_points=300, max_bifurcations=3
    )


SHAPES = np.array([1.0, -0.5, 1.5])
CUBICS = [rnnjax.axis(c, SHAPES), rnnjax.axis(rate_squared, [1.0, -1.0, 4.0])]


@pytest.fixture(scope="module")
def cubics():
    return rnnjax.sweep(Cubic(), {"rest": rest}, CUBICS, **RUN)


def test_folds_in_closed_form(cubics):
    well = cubics.isel(rate_squared=[0, 2])
    assert (well.status == Status.OK).all()
    np.testing.assert_array_equal(well.rest_count_LP, [[2, 2], [0, 0], [2, 2]])
    assert "rest_count_H" not in well  # one variable does not oscillate
    assert (well.rest_count_BP == 0).all()
    assert (well.rest_end == BranchEnd.BOUND).all()
    assert (well.rest_unsolved == 0).all()
    for k in (0, 2):
        place = np.sqrt(SHAPES[k] / 3)
        for folds in (well.isel(c=k, rate_squared=0), well.isel(c=k, rate_squared=1)):
            np.testing.assert_array_equal(folds.rest_label[:3], [0, 0, -1])
            np.testing.assert_array_equal(folds.rest_kind[:3], [0, 0, -1])
            np.testing.assert_allclose(folds.rest_at[:2], [2 * place**3, -2 * place**3], rtol=1e-10)
            np.testing.assert_allclose(folds.rest_state[:2], [-place, place], rtol=1e-10)
            assert np.isnan(folds.rest_at[2:]).all()
            assert np.isnan(folds.rest_coefficient[2:]).all()
            assert (folds.rest_frequency[:2] == 0).all()


def test_a_diagram_that_fails_has_a_status_and_the_others_finish(cubics):
    bad = cubics.isel(rate_squared=1)
    assert (bad.status == Status.NOT_CONVERGED).all()
    assert np.isin(bad.rest_end, [BranchEnd.NO_START, BranchEnd.SINGULAR]).all()
    assert (bad.rest_label == -1).all()
    assert (bad.rest_kind == -1).all()
    for name in ("rest_at", "rest_state", "rest_frequency", "rest_coefficient", "rest_count_LP"):
        assert np.isnan(bad[name]).all(), name


def test_labels(cubics):
    # three of each of two types in each direction
    assert cubics.sizes == {"c": 3, "rate_squared": 3, "rest_bifurcation": 12, "rest_direction": 2}
    along = ("c", "rate_squared", "rest_bifurcation")
    assert cubics.rest_label.dims == cubics.rest_state.dims == along
    assert cubics.rest_end.dims == ("c", "rate_squared", "rest_direction")
    assert cubics.rest_count_LP.dims == ("c", "rate_squared")
    assert cubics.rest_at.attrs["units"] == "mV/ms"
    assert cubics.rest_at.attrs["parameter"] == "p"
    assert cubics.rest_frequency.attrs["units"] == "Hz"
    assert cubics.rest_label.attrs["flag_values"] == [-1, 0, 1]
    assert cubics.rest_label.attrs["flag_meanings"] == "none LP BP"
    assert "supercritical_pitchfork" in cubics.rest_kind.attrs["flag_meanings"].split()
    meanings = cubics.rest_end.attrs["flag_meanings"].split()
    codes = dict(zip(meanings, cubics.rest_end.attrs["flag_values"], strict=True))
    assert all(codes[end.name] == end for end in BranchEnd)
    assert "units" not in cubics.rest_state.attrs
    short = cubics.dropna("rest_bifurcation", how="all", subset=["rest_at"])
    assert short.sizes["rest_bifurcation"] == 2


def test_chunks_and_new_values_do_not_compile_again(cubics):
    before = len(TRACED)
    more = [rnnjax.axis(c, np.linspace(0.5, 1.5, 7)), rnnjax.axis(rate_squared, [1.0, 2.0])]
    data = rnnjax.sweep(Cubic(p=-2.9), {"rest": rest}, more, **RUN)
    assert len(TRACED) == before
    assert cubics.attrs["chunk"] == data.attrs["chunk"] == 4
    assert (data.rest_count_LP == 2).all()


@pytest.mark.parametrize("name", ["folds.zarr", "folds.nc"])
def test_stores(cubics, tmp_path, name):
    rnnjax.sweep(Cubic(), {"rest": rest}, CUBICS, store=tmp_path / name, **RUN)
    opened = (
        xarray.open_zarr(tmp_path / name, consolidated=False)
        if name.endswith("zarr")
        else xarray.open_dataset(tmp_path / name, engine="h5netcdf")
    )
    with opened as read:
        assert set(read.data_vars) == set(cubics.data_vars)
        for variable in cubics.data_vars:
            np.testing.assert_array_equal(read[variable], cubics[variable], err_msg=variable)
            assert read[variable].dims == cubics[variable].dims
            assert read[variable].dtype == cubics[variable].dtype
        words = read.rest_label.attrs
        assert words["flag_meanings"] == "none LP BP"
        assert list(words["flag_values"]) == [-1, 0, 1]
        assert read.rest_at.attrs["units"] == "mV/ms"


@pytest.mark.parametrize("store", [None, "folds.zarr"])
def test_what_was_not_computed_is_no_bifurcation(monkeypatch, tmp_path, store):
    class Stopping:
        def update(self, _):
            raise KeyboardInterrupt

    monkeypatch.setattr(_chunks, "_bar", lambda *_: contextlib.nullcontext(Stopping()))
    store = None if store is None else tmp_path / store
    with pytest.raises(rnnjax.SweepInterrupted, match=r"after 4 of 9 points") as caught:
        rnnjax.sweep(Cubic(), {"rest": rest}, CUBICS, store=store, **RUN)
    if store is None:
        data, waiting = caught.value.partial, 5
    else:  # whole rows are written
        data, waiting = xarray.open_zarr(f"{store}.partial", consolidated=False), 6
    missing = data.status == Status.NOT_RUN
    assert missing.sum() == waiting
    for name in ("rest_label", "rest_kind", "rest_end"):
        assert (data[name].where(missing, -1) == -1).all(), name
    assert data.rest_count_LP.where(missing).isnull().all()
    assert (data.rest_count_LP[0, 0] == 2).all()


@pytest.mark.slow
def test_float32_rounds_what_was_computed_in_float64(cubics):
    """Over two devices as well."""
    data = rnnjax.sweep(
        Cubic(), {"rest": rest}, CUBICS, plan=Plan(None, 2), chunk=4, progress=False
    )
    assert data.attrs["devices"] == 2
    assert data.rest_at.dtype == np.float32
    for name in ("rest_label", "rest_kind", "rest_end", "rest_count_LP", "status"):
        np.testing.assert_array_equal(data[name], cubics[name], err_msg=name)
    np.testing.assert_allclose(data.rest_at, cubics.rest_at, rtol=3e-7)
    np.testing.assert_allclose(data.rest_coefficient, cubics.rest_coefficient, rtol=3e-6)


@pytest.mark.slow
def test_tiles_do_not_matter(cubics):
    data = rnnjax.sweep(Cubic(), {"rest": rest}, CUBICS, plan=Plan(2, 2), **RUN)
    for name in cubics.data_vars:
        np.testing.assert_allclose(data[name], cubics[name], rtol=1e-12, err_msg=name)


def current(circuit):
    return circuit.current


def neuron(circuit):
    return rnnjax.continue_equilibria(
        circuit, current, bounds=(-300.0, 600.0), max_points=512, max_bifurcations=4
    )


@pytest.fixture(scope="module")
def neurons():
    over = [
        rnnjax.axis(lambda c: c.v_3, np.linspace(-10.0, 20.0, 17)),
        rnnjax.axis(lambda c: c.phi, np.geomspace(0.01, 0.5, 16)),
    ]
    circuit = MorrisLecar.snic(current=-300.0)
    return rnnjax.sweep(circuit, {"rest": neuron}, over, dtype="float64", progress=False)


def counted(v_3, phi):
    """Folds and Hopf points by the sign changes of slope and trace along the potential.

    At rest w is that of the potential, and the current a function of it, whose slope has the sign
    of the determinant.
    """
    c = MorrisLecar.snic(v_3=v_3, phi=phi)
    v = np.linspace(-200.0, 200.0, 20001)
    m, w = ((1 + np.tanh((v - a) / b)) / 2 for a, b in ((c.v_1, c.v_2), (c.v_3, c.v_4)))
    slope_m, slope_w = 2 * m * (1 - m) / c.v_2, 2 * w * (1 - w) / c.v_4
    through = c.g_ca * m * (v - c.e_ca) + c.g_k * w * (v - c.e_k) + c.g_l * (v - c.e_l)
    at_once = c.g_ca * (m + slope_m * (v - c.e_ca)) + c.g_k * w + c.g_l
    slope = at_once + c.g_k * slope_w * (v - c.e_k)
    trace = -at_once / c.capacitance - c.phi * np.cosh((v - c.v_3) / (2 * c.v_4))
    within = ((through > -300) & (through < 600))[:-1]
    folds, zeros = (np.flatnonzero(np.diff(x > 0) & within) for x in (slope, trace))
    share = trace[zeros] / (trace[zeros] - trace[zeros + 1])
    return len(folds), int((slope[zeros] + share * np.diff(slope)[zeros] > 0).sum())


def test_nothing_is_missed_and_nothing_invented(neurons):
    assert (neurons.status == Status.OK).all()
    for i, v_3 in enumerate(neurons.v_3.values):
        for j, phi in enumerate(neurons.phi.values):
            here = neurons.isel(v_3=i, phi=j)
            assert (here.rest_count_LP, here.rest_count_H) == counted(v_3, phi), (v_3, phi)
    assert (neurons.rest_count_BP == 0).all()
    assert set(np.unique(neurons.rest_count_H)) == {0, 1, 2}


@pytest.mark.slow
def test_equals_one_at_a_time(neurons):
    circuit, data = MorrisLecar.snic(current=-300.0), neurons
    assert data.attrs["chunk"] == 256  # of 272: few go together, since a branch holds much
    kinds = set()
    for i, j in np.random.default_rng(0).integers([17, 16], size=(8, 2)):
        here = data.isel(v_3=i, phi=j)
        values = (here.v_3.values, here.phi.values)
        alone = neuron(eqx.tree_at(lambda c: (c.v_3, c.phi), circuit, values))
        points, count = alone.bifurcations, int((here.rest_label >= 0).sum())
        assert count == len(points)
        for k, point in enumerate(points):
            label, kind = (meaning(here[name], k) for name in ("rest_label", "rest_kind"))
            assert (label, kind) == (point.label, point.kind)
            kinds.add((label, kind))
            found = [here[f"rest_{n}"][k] for n in ("at", "frequency", "coefficient", "v", "w")]
            exact = [point.parameter, point.frequency, point.coefficient, *point.state]
            np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-10)
        for label in ("LP", "H", "BP"):
            assert here[f"rest_count_{label}"] == sum(x.label == label for x in points)
    assert kinds == {("LP", "fold"), ("H", "subcritical"), ("H", "supercritical")}


def meaning(array, k):
    """What the code in one slot means."""
    words = dict(zip(array.attrs["flag_values"], array.attrs["flag_meanings"].split(), strict=True))
    return words[int(array[k])]


class Spread(eqx.Module):
    """A result of one's own that says what is kept of it."""

    values: Any

    def swept(self):
        where = self.values.argmax()
        return {
            "largest": ((), self.values.max(), {"long_name": "largest", "parameter": "c"}),
            "place": ((), where.astype(np.int32), {"long_name": "where it is"}),
            "values": (("entry",), self.values, {"units": "state", "long_name": "all"}),
        }, jnp.where(self.values.max() > 2, jnp.int32(Status.NON_FINITE), jnp.int32(Status.OK))


def spreads(circuit):
    """Two results with what is no result of its own beside them."""
    values = circuit.c * jnp.asarray([1, jnp.nan, 0.5], circuit.c.dtype)
    return {"some": Spread(jnp.nan_to_num(values)), "twice": 2 * circuit.c}


def test_any_result_may_say_what_is_kept_of_it():
    data = rnnjax.sweep(
        Cubic(), {"rest": spreads}, [rnnjax.axis(c, [1.0, 4.0])], dtype="float64", progress=False
    )
    assert set(data.data_vars) == {
        "rest_some_largest", "rest_some_place", "rest_some_values", "rest_twice", "status",
    }  # fmt: skip
    assert data.rest_some_values.dims == ("c", "rest_some_entry")
    assert data.rest_some_largest.attrs == {
        "long_name": "largest",
        "parameter": "c",
        "units": "1/ms",
    }
    assert data.rest_twice.attrs["long_name"].startswith("Two results")
    np.testing.assert_array_equal(data.rest_some_values, [[1, 0, 0.5], [4, 0, 2]])
    np.testing.assert_array_equal(data.status, [Status.OK, Status.NON_FINITE])


def undefined(circuit):
    return jnp.where(circuit.c > 2, jnp.nan, circuit.c)


@pytest.mark.parametrize(
    ("measures", "status"),
    [
        ({"rest": spreads, "root": undefined}, Status.NON_FINITE),
        ({"root": undefined, "rest": spreads}, Status.UNDEFINED),
    ],
    ids=["kept first", "number first"],
)
def test_the_first_status_that_is_not_ok_counts(measures, status):
    over = [rnnjax.axis(c, [1.5, 2.5])]
    data = rnnjax.sweep(Cubic(), measures, over, dtype="float64", progress=False)
    np.testing.assert_array_equal(data.status, [Status.OK, status])


def several(circuit):
    return jax.vmap(lambda x: rest(eqx.tree_at(c, circuit, x)))(circuit.c * jnp.arange(1.0, 3.0))


def test_a_batch_of_branches_is_refused():
    with pytest.raises(ValueError, match="one branch for each of its points"):
        rnnjax.sweep(Cubic(), {"rest": several}, CUBICS, dtype="float64", progress=False)


def summarized(type_index, at, **changes):
    """What a sweep would keep of a branch."""
    count = len(type_index)
    empty = 8 - count
    special = Special(
        state=np.zeros(8), parameter=np.zeros(8), tangent=np.zeros((8, 2)),
        type_index=np.asarray([*type_index, *[-1] * empty], np.int32),
        kind_index=np.zeros(8, np.int32), frequency=np.zeros(8), coefficient=np.zeros(8),
        at=np.asarray([*at, *[np.nan] * empty]), found=np.arange(8) < count,
        multiplicity=np.ones(8, np.int32), unsolved=np.asarray(changes.get("unsolved", 0)),
    )  # fmt: skip
    ends = np.asarray(changes.get("ends", [BranchEnd.BOUND, BranchEnd.CLOSED]))
    one = np.ones(1)
    types = (("LP", ("fold",)), ("H", ("supercritical", "subcritical")))
    rows = one, one, one, np.ones((1, 1, 1)), np.ones(1, bool)
    found, status = Branch(*rows, special, ends, "p", types).swept()
    return Status(int(status)), [float(found[f"count_{label}"][1]) for label in ("LP", "H")]


def test_what_may_be_missing_is_not_counted():
    failed = (Status.NOT_CONVERGED, [np.nan, np.nan])
    assert summarized([0, 1, 0, 1], [-2.0, -1.0, 1.0, 2.0]) == (Status.OK, [2, 2])
    for each in (
        summarized([0, 1], [-1.0, 1.0], unsolved=1),
        summarized([0, 1], [-1.0, 1.0], ends=[BranchEnd.BOUND, BranchEnd.MAX_POINTS]),
    ):
        np.testing.assert_equal(each, failed)


MEMORY = """
import resource, sys
import numpy as np, rnnjax
from rnnjax.circuits import MorrisLecar

def rest(c):
    return rnnjax.continue_equilibria(
        c, lambda c: c.current, bounds=(-30.0, 250.0), max_bifurcations=4)

n = int(sys.argv[1])
over = [rnnjax.axis(lambda c: c.g_ca, np.linspace(3.6, 5.0, n)),
        rnnjax.axis(lambda c: c.phi, np.linspace(0.02, 0.3, n))]
data = rnnjax.sweep(MorrisLecar.snic(current=-30.0), {"rest": rest}, over, progress=False)
assert (data.status == 0).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_is_flat():
    root = pathlib.Path(__file__).parents[2]
    few, many = (
        int(
            subprocess.run(
                [sys.executable, "-c", MEMORY, str(n)], capture_output=True, text=True, check=True,
                cwd=root,
            ).stdout
        )
        for n in (32, 64)
    )  # fmt: skip
    assert many < 1.15 * few  # four times as many diagrams
