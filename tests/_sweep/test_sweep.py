"""Sweeps: the same numbers as one at a time, labelled, whole or not there."""

import _thread
import threading

import equinox as eqx
import jax
import numpy as np
import pytest
import xarray

import rnnjax
from rnnjax._machine.plan import Plan
from rnnjax._results import Status
from rnnjax.circuits import Driven, ExcitatoryInhibitory, ExcitatoryInhibitoryState, RateNetwork
from rnnjax.connectivity import Dense
from rnnjax.inputs import Constant
from rnnjax.measures import Amplitude, Final, Mean, MinMax
from rnnjax.noise import Additive
from rnnjax.solvers import RK4

NEAR = ExcitatoryInhibitoryState(e=30.0, i=20.0)
RUN = {"duration": 60.0, "step": 0.5, "solver": RK4(), "progress": False}


def tau_i(circuit):
    return circuit.tau_i


def m_ee(circuit):
    return circuit.m_ee


def growth_rate(circuit):
    """Leading real part."""
    return rnnjax.linearize(circuit, rnnjax.find_equilibria(circuit, guesses=NEAR)[0]).growth_rate


MEASURES = {"end": Final(), "range": MinMax(), "rate": growth_rate}
GRID = [rnnjax.axis(tau_i, np.linspace(20, 80, 5)), rnnjax.axis(m_ee, np.linspace(1.0, 1.4, 3))]


@pytest.fixture(scope="module")
def grid():
    return rnnjax.sweep(ExcitatoryInhibitory(), MEASURES, GRID, dtype="float64", **RUN)


def test_labels(grid):
    assert grid.sizes == {"tau_i": 5, "m_ee": 3}
    assert set(grid.data_vars) == {
        "end_e", "end_i", "range_e_min", "range_e_max", "range_i_min", "range_i_max", "rate", "status",
    }  # fmt: skip
    assert grid.tau_i.attrs["units"] == "ms"
    assert grid.tau_i.attrs["long_name"] == "time constant of I"
    assert grid.end_e.attrs == {"units": "Hz", "long_name": "value at the end of e"}
    assert grid.rate.attrs["long_name"] == "Leading real part."
    assert (grid.status == Status.OK).all()
    assert grid.attrs["duration_ms"] == 60.0


def test_equals_one_at_a_time(grid):
    for tau, weight in [(20.0, 1.0), (50.0, 1.2), (80.0, 1.4)]:
        circuit = ExcitatoryInhibitory(tau_i=tau, m_ee=weight)
        alone = rnnjax.simulate(circuit, [0.0, 60.0], step=0.5, solver=RK4(), dtype="float64")
        here = grid.sel(tau_i=tau, m_ee=weight, method="nearest")
        np.testing.assert_allclose(here.end_e, alone.final.e, rtol=1e-12)
        trace = (weight - 1) / 10 - 1 / tau
        det = (2 - weight) / (10 * tau)
        root = np.sqrt(complex(trace**2 / 4 - det))
        np.testing.assert_allclose(here.rate, (trace / 2 + root).real, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 4, 7, 1000])
def test_chunks_do_not_matter(grid, chunk):
    again = rnnjax.sweep(
        ExcitatoryInhibitory(), MEASURES, GRID, dtype="float64", chunk=chunk, **RUN
    )
    np.testing.assert_allclose(again.end_e, grid.end_e, rtol=1e-12)
    assert again.sizes == grid.sizes


@pytest.mark.parametrize("plan", [Plan(4, 1), Plan(2, 2), Plan(None, 4)])
def test_plans_do_not_matter(grid, plan):
    again = rnnjax.sweep(ExcitatoryInhibitory(), MEASURES, GRID, dtype="float64", plan=plan, **RUN)
    np.testing.assert_allclose(again.end_e, grid.end_e, rtol=1e-12)


def test_new_values_and_durations_do_not_compile_again():
    lanes = []

    def counted(circuit):
        lanes.append(1)
        return circuit.tau_i

    for low, weight, step in [(20.0, 1.0, 0.5), (25.0, 1.1, 0.5), (30.0, 1.2, 0.25)]:
        rnnjax.sweep(
            ExcitatoryInhibitory(m_ee=weight), {"end": Final(), "tau": counted},
            [rnnjax.axis(tau_i, np.linspace(low, 80, 6))], duration=100 * step, step=step,
            progress=False,
        )  # fmt: skip
        first = len(lanes) if weight == 1.0 else first
    assert len(lanes) == first


def test_points_and_random_designs():
    pair = rnnjax.points(rnnjax.axis(tau_i, [30.0, 40.0]), rnnjax.axis(m_ee, [1.1, 1.2]))
    data = rnnjax.sweep(ExcitatoryInhibitory(), {"rate": growth_rate}, pair, progress=False)
    assert data.sizes == {"point": 2}
    np.testing.assert_allclose(data.tau_i, [30, 40])
    ranges = [rnnjax.axis(tau_i, (10.0, 90.0)), rnnjax.axis(m_ee, (1.0, 1.5))]
    design = rnnjax.random_points(*ranges, count=200, key=jax.random.key(3))
    assert design.axes[0].values.min() >= 10
    assert design.axes[0].values.max() <= 90
    assert abs(np.corrcoef(design.axes[0].values, design.axes[1].values)[0, 1]) < 0.25
    same = rnnjax.random_points(*ranges, count=200, key=jax.random.key(3))
    assert np.array_equal(same.axes[0].values, design.axes[0].values)


def test_the_input_can_be_varied_too():
    pair = Driven(
        ExcitatoryInhibitory(),
        Constant(ExcitatoryInhibitoryState(e=np.asarray(0.0), i=np.asarray(0.0))),
    )
    data = rnnjax.sweep(
        pair, {"end": Final()},
        [rnnjax.axis(lambda d: d.input.value.e, [0.0, 5.0]), rnnjax.axis(lambda d: d.circuit.m_ee, [1.25])],
        dtype="float64", **RUN,
    )  # fmt: skip
    alone = rnnjax.simulate(
        ExcitatoryInhibitory(), [0.0, 60.0], ExcitatoryInhibitoryState(e=5.0, i=0.0), step=0.5,
        solver=RK4(), dtype="float64",
    )  # fmt: skip
    np.testing.assert_allclose(data.end_e.values[1, 0], alone.final.e, rtol=1e-12)


def test_arrays_can_be_swept():
    weights = np.stack([np.zeros((2, 2)), np.array([[1.25, -1.0], [1.0, 0.0]])])
    data = rnnjax.sweep(
        RateNetwork(Dense()), {"end": Final()}, [rnnjax.axis(lambda c: c.connectivity.weights, weights)],
        input=10.0, **RUN,
    )  # fmt: skip
    np.testing.assert_allclose(data.end[0], 10 * (1 - np.exp(-6)), rtol=1e-4)
    assert data.weights_values.shape == (2, 2, 2)


def test_noise_depends_on_the_point_alone():
    kw = {
        "duration": 20.0, "step": 0.5, "noise": Additive(1.0), "key": jax.random.key(0), "progress": False,
    }  # fmt: skip
    axis = rnnjax.axis(tau_i, np.full(12, 40.0))
    one, other = (
        rnnjax.sweep(ExcitatoryInhibitory(), {"end": Final()}, [axis], chunk=c, **kw).end_e
        for c in (12, 5)
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert len(np.unique(np.round(one.values, 3))) == 12


def test_a_failing_point_has_a_status_and_the_others_finish():
    data = rnnjax.sweep(
        ExcitatoryInhibitory(), {"swing": Amplitude(), "mean": Mean(), "rate": growth_rate},
        [rnnjax.axis(m_ee, [1.25, 9.0, 1.0])], duration=5000.0, step=0.5, progress=False,
    )  # fmt: skip
    assert data.status.values.tolist() == [Status.OK, Status.NON_FINITE, Status.OK]
    assert np.isnan(data.swing_e.values).tolist() == [False, True, False]
    missing = rnnjax.sweep(
        ExcitatoryInhibitory(gamma_e=0.0, gamma_i=0.0), {"rate": no_equilibrium},
        [rnnjax.axis(m_ee, [1.0, 1.25])], progress=False,
    )  # fmt: skip
    assert missing.status.values.tolist() == [Status.UNDEFINED] * 2


class Drifting(rnnjax.AbstractCircuit):
    """No equilibrium."""

    speed: float = rnnjax.parameter(1.0, "1")

    def __call__(self, state, input):
        return self.speed + 0 * state + input

    def rest(self):
        return np.zeros(2)


def no_equilibrium(circuit):
    return rnnjax.find_equilibria(Drifting(), guesses=np.zeros(2))[0].sum() + circuit.m_ee


@pytest.mark.parametrize("name", ["map.zarr", "map.nc"])
def test_stores(grid, tmp_path, name):
    kw = dict(RUN) | {"dtype": "float64", "chunk": 4, "store": tmp_path / name}
    data = rnnjax.sweep(ExcitatoryInhibitory(), MEASURES, GRID, **kw)
    engine = {
        "map.zarr": {"engine": "zarr", "consolidated": False},
        "map.nc": {"engine": "h5netcdf"},
    }
    with xarray.open_dataset(tmp_path / name, **engine[name]) as read:
        assert set(read.data_vars) == set(grid.data_vars)
        for variable in grid.data_vars:
            np.testing.assert_allclose(read[variable], grid[variable], rtol=1e-12)
            assert read[variable].dims == grid[variable].dims
        assert read.tau_i.attrs["units"] == "ms"
        assert read.end_e.attrs["units"] == "Hz"
    np.testing.assert_allclose(data.end_e, grid.end_e, rtol=1e-12)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_flipped_bit_in_a_store_is_an_error(tmp_path):
    rnnjax.sweep(ExcitatoryInhibitory(), {"end": Final()}, GRID, store=tmp_path / "m.zarr", **RUN)
    chunk = next(
        p for p in (tmp_path / "m.zarr" / "end_e").rglob("*") if p.is_file() and "c" in p.parts
    )
    whole = chunk.read_bytes()
    rng, noticed = np.random.default_rng(0), 0
    expected = xarray.open_zarr(tmp_path / "m.zarr", consolidated=False).end_e.values
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        chunk.write_bytes(damaged)
        try:
            found = xarray.open_zarr(tmp_path / "m.zarr", consolidated=False).end_e.values
            noticed += np.array_equal(found, expected, equal_nan=True)
        except Exception:
            noticed += 1
    assert noticed == 50


def test_an_existing_store_is_not_overwritten(tmp_path):
    (tmp_path / "m.zarr").mkdir()
    with pytest.raises(FileExistsError, match="choose another name"):
        rnnjax.sweep(
            ExcitatoryInhibitory(), {"end": Final()}, GRID, store=tmp_path / "m.zarr", **RUN
        )


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("store", [None, "m.zarr"])
def test_ctrl_c_keeps_what_is_finished_and_says_so(tmp_path, store):
    path = None if store is None else tmp_path / store
    kw = {"duration": 5000.0, "step": 0.5, "progress": False, "chunk": 4, "store": path}
    over = [rnnjax.axis(tau_i, np.linspace(20, 80, 4000))]
    rnnjax.sweep(ExcitatoryInhibitory(), {"end": Final()}, [rnnjax.axis(tau_i, np.ones(4) * 50)],
                 **(kw | {"store": None}))  # fmt: skip
    timer = threading.Timer(1.0, _thread.interrupt_main)
    timer.start()
    with pytest.raises(
        rnnjax.SweepInterrupted, match=r"stopped after \d+ of 4000 points"
    ) as caught:
        rnnjax.sweep(ExcitatoryInhibitory(), {"end": Final()}, over, **kw)
    timer.cancel()
    if store is None:
        status = caught.value.partial.status.values
        assert 0 < (status == Status.OK).sum() < 4000
        assert set(np.unique(status)) == {Status.OK, Status.NOT_RUN}
        assert np.isnan(caught.value.partial.end_e.values[status == Status.NOT_RUN]).all()
    else:
        assert not path.exists()
        assert (tmp_path / "m.zarr.partial").exists()
        assert "m.zarr.partial" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"over": []}, ValueError, "at least one axis"),
        (
            {"over": [rnnjax.axis(lambda c: c.tau_x, [1.0])]},
            ValueError,
            "no attribute 'tau_x'.*m_ee",
        ),
        ({"over": [rnnjax.axis(tau_i, [10.0, -1.0])]}, ValueError, "above zero.*got -1"),
        ({"over": [rnnjax.axis(tau_i, [10.0, np.nan])]}, ValueError, "finite.*nan"),
        ({"over": [rnnjax.axis(tau_i, [[10.0, 2.0]])]}, ValueError, r"got \(1, 2\)"),
        (
            {"over": [rnnjax.axis(tau_i, [10.0]), rnnjax.axis(tau_i, [1.0])]},
            ValueError,
            "different",
        ),
        ({"over": [rnnjax.axis(tau_i, [0.2, 10.0])]}, ValueError, "fastest time constant, tau_i"),
        ({"duration": None}, ValueError, "duration="),
        ({"transient": 60.0}, ValueError, "nothing would be left"),
        ({"measures": {}}, TypeError, "dictionary"),
        ({"measures": {"a": 3.0}}, TypeError, "a measure or a function"),
        ({"chunk": 0}, ValueError, "chunk"),
        ({"store": "map.csv"}, ValueError, r"\.zarr or \.nc"),
        ({"store": "/proc/nowhere/m.zarr"}, OSError, "can't write to"),
        ({"dtype": "int32"}, ValueError, "float32 or float64"),
    ],
    ids=lambda x: str(x)[:30] if isinstance(x, dict) else "",
)
def test_bad_sweeps_are_refused(change, error, words):
    given = {"measures": {"end": Final()}, "over": GRID} | RUN | change
    with pytest.raises(error, match=words):
        rnnjax.sweep(ExcitatoryInhibitory(), given.pop("measures"), given.pop("over"), **given)


def test_an_empty_axis_is_refused():
    with pytest.raises(ValueError, match="at least one value, got none"):
        rnnjax.axis(tau_i, [])


def test_a_sweep_of_circuits_with_other_structure_is_another_program():
    big = RateNetwork(Dense(np.zeros((6, 6))))
    data = rnnjax.sweep(
        big, {"end": Final()}, [rnnjax.axis(lambda c: c.tau, [10.0, 20.0])], input=1.0, **RUN
    )
    assert data.end.shape == (2, 6)
    bad = eqx.tree_at(lambda c: c.tau, big, np.asarray(-1.0))
    with pytest.raises(ValueError, match=r"RateNetwork\.tau"):
        rnnjax.sweep(bad, {"end": Final()}, [rnnjax.axis(lambda c: c.bias, [1.0])], **RUN)
