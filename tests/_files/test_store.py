"""Circuits and results on disk: nothing lost, nothing torn, damage noticed, no code run."""

import contextlib
import signal
import subprocess
import sys
import types

import numpy as np
import pytest

import rnnjax
from rnnjax import circuits, connectivity, inputs, noise
from rnnjax._exports import FAMILIES
from rnnjax._files import checkpoint as _checkpoint
from rnnjax._files import save
from rnnjax._parameter import Parametric
from rnnjax.circuits import RateNetwork, tanh
from rnnjax.connectivity import Dale, Dense


def _parts():
    for family in (circuits, connectivity, inputs, noise):
        base = next(v for k, v in vars(family).items() if k.startswith("Abstract"))
        for cls in vars(family).values():
            concrete = (
                isinstance(cls, type) and issubclass(cls, base) and not cls.__abstractmethods__
            )
            if concrete and not cls.__module__.rpartition(".")[2].startswith("_"):
                yield cls


@pytest.mark.parametrize("cls", list(_parts()), ids=lambda c: c.__name__)
def test_every_part_comes_back(cls, tmp_path):
    part = cls()
    rnnjax.save(tmp_path / "part", part)
    same = rnnjax.load(tmp_path / "part")
    assert type(same) is cls
    assert repr(same) == repr(part)


def test_numbers_come_back_to_the_last_bit(tmp_path):
    weights = np.random.default_rng(0).normal(size=(7, 7)) * np.pi
    network = RateNetwork(
        Dale(weights, excitatory=[True] * 5 + [False] * 2), tanh, tau=np.arange(1.0, 8)
    )
    rnnjax.save(tmp_path / "n", network)
    same = rnnjax.load(tmp_path / "n")
    assert np.array_equal(same.connectivity.weights, weights)
    assert same.connectivity.weights.dtype == np.float64
    assert same.connectivity.excitatory == (True,) * 5 + (False,) * 2
    assert np.array_equal(same.tau, network.tau)
    assert same.nonlinearity is tanh


class Own(rnnjax.AbstractCircuit):
    """A circuit of one's own."""

    rate: float = rnnjax.parameter(2.0, "1")

    def __call__(self, state, input):
        return -self.rate * state + input

    def rest(self):
        return np.zeros(3)


def square(x):
    return x**2


def test_own_classes_and_functions_need_to_be_named(tmp_path):
    rnnjax.save(tmp_path / "own", Own(rate=3.0))
    with pytest.raises(ValueError, match=r"known=\[Own\]"):
        rnnjax.load(tmp_path / "own")
    assert float(rnnjax.load(tmp_path / "own", known=[Own]).rate) == 3.0
    rnnjax.save(tmp_path / "f", RateNetwork(nonlinearity=square))
    assert rnnjax.load(tmp_path / "f", known=[square]).nonlinearity is square
    with pytest.raises(TypeError, match="give the function a name"):
        rnnjax.save(tmp_path / "g", RateNetwork(nonlinearity=lambda x: x))
    assert not (tmp_path / "g").exists()
    assert list(tmp_path.glob("*.partial")) == []


def test_a_new_family_is_known_by_the_packages_list_of_families(tmp_path, monkeypatch):
    class Flavor(Parametric):
        """A member of a family that is not there yet."""

        strength: float = rnnjax.parameter(2.0, "1")

    family = types.ModuleType("rnnjax.flavors")
    family.Flavor = Flavor
    Flavor.__module__ = "rnnjax.flavors.flavor"
    monkeypatch.setitem(sys.modules, "rnnjax.flavors", family)
    monkeypatch.setattr(save, "FAMILIES", (*FAMILIES, "flavors"))
    rnnjax.save(tmp_path / "new", Flavor(3.0))
    same = rnnjax.load(tmp_path / "new")
    assert type(same) is Flavor
    assert float(same.strength) == 3.0


def test_saving_and_loading_draw_nothing_in():
    code = """
import sys, tempfile, numpy, rnnjax
from rnnjax import LinearEncoder, StateReadout, circuits, connectivity
circuit = circuits.RateNetwork(connectivity.Dense(numpy.eye(3)))
weights = numpy.ones((3, 2))
network = rnnjax.TaskNetwork(circuit, LinearEncoder(weights), StateReadout(weights.T))
for part in (network, circuit):
    with tempfile.TemporaryDirectory() as folder:
        rnnjax.save(folder + "/part", part)
        assert repr(rnnjax.load(folder + "/part")) == repr(part)
assert "matplotlib" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_every_flipped_bit_of_the_content_is_noticed(tmp_path):
    path = tmp_path / "c"
    rnnjax.save(path, RateNetwork(Dense(np.eye(6))))
    whole = path.read_bytes()
    original = repr(rnnjax.load(path))
    rng, silent = np.random.default_rng(0), 0
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError, NotImplementedError, RuntimeError, OSError):
            silent += repr(rnnjax.load(path)) != original
    assert silent == 0


def test_damage_is_reported_in_words(tmp_path):
    (tmp_path / "x").write_bytes(b"not a circuit")
    with pytest.raises(ValueError, match="no circuit saved by rnnjax"):
        rnnjax.load(tmp_path / "x")


def test_datasets_have_names_units_and_a_status():
    run = rnnjax.simulate(circuits.ExcitatoryInhibitory(), np.linspace(0, 100, 11))
    data = run.to_xarray()
    assert set(data.data_vars) == {"e", "i", "status"}
    assert data.e.dims == ("time",)
    assert data.e.attrs["units"] == "Hz"
    assert data.time.attrs["units"] == "ms"
    ring = rnnjax.simulate(RateNetwork(), np.linspace(0, 100, 11), 1.0).to_xarray()
    assert ring.state.dims == ("time", "unit")
    found = rnnjax.find_equilibria(circuits.ExcitatoryInhibitory()).to_xarray()
    assert str(found.stability.values[0]) == "unstable focus"
    assert abs(float(found.growth_rate[0]) - 0.0025) < 1e-12


def test_results_show_themselves_as_tables():
    circuit = circuits.ExcitatoryInhibitory()
    run = rnnjax.simulate(circuit, np.linspace(0, 100, 11))
    found = rnnjax.find_equilibria(circuit)
    for each in (circuit, run, found, rnnjax.linearize(circuit, found[0])):
        assert "<table" in each._repr_html_() or "xr-" in each._repr_html_()
    assert "6.151" in rnnjax.linearize(circuit, found[0])._repr_html_()


DYING = """
import os, signal, sys, zipfile
from pathlib import Path
import numpy as np
from rnnjax._files.checkpoint import write

path, left = Path(sys.argv[1]), [int(sys.argv[2])]
write(path, {"what": "a fit"}, 1, [np.arange(5.0)])

def dying(function):
    def call(*args, **kwargs):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return function(*args, **kwargs)
    return call

zipfile.ZipFile.writestr = dying(zipfile.ZipFile.writestr)
os.fsync, os.replace, Path.unlink = map(dying, (os.fsync, os.replace, Path.unlink))
write(path, {"what": "a fit"}, 2, [np.arange(5.0) + 1])
"""


def test_a_checkpoint_is_whole_wherever_its_writing_is_killed(tmp_path):
    # before the header, before the array, before it is flushed, before and after it is put in place
    children = [
        subprocess.Popen([sys.executable, "-c", DYING, str(tmp_path / str(k)), str(k)])
        for k in range(5)
    ]
    for k, child in enumerate(children):
        path, identity = tmp_path / str(k), {"what": "a fit"}
        assert child.wait() == -signal.SIGKILL
        step, arrays, _ = _checkpoint.read(path, identity)
        assert step == (2 if k == 4 else 1)
        np.testing.assert_array_equal(arrays[0], np.arange(5.0) + step - 1)
        _checkpoint.write(path, identity, 3, arrays)  # what was left behind is in nobody's way
        assert _checkpoint.read(path, identity)[0] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]
