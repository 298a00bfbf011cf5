"""Two writers of one store: the second is refused while the first is alive, and a dead one blocks nobody."""

import errno
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import optax
import pytest
import xarray

import rnnjax
from rnnjax._files import lock as lock_module
from rnnjax._files.labels import Labels
from rnnjax._files.lock import Lock
from rnnjax._files.sinks import open_sink
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Dense

ROWS = 4


def labels():
    return Labels(("x",), (ROWS,), {"x": (["x"], np.arange(4.0), {})}, {"m": {}}, {}, {"m": ()})


def results(value, count=ROWS):
    return {"m": np.full(count, float(value)), "status": np.zeros(count, np.uint8)}


HOLDING = """
import pathlib, sys, time
import numpy as np
from rnnjax._files.labels import Labels
from rnnjax._files.sinks import open_sink
labels = Labels(("x",), (4,), {"x": (["x"], np.arange(4.0), {})}, {"m": {}}, {}, {"m": ()})
sink = open_sink(sys.argv[1], labels, 2)
if sys.argv[1].endswith("zarr"):
    sink.write(0, {"m": np.full(2, 7.0), "status": np.zeros(2, np.uint8)})
print("holding", flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(request):
    """Starts a process that writes a store and stays; gives it."""
    children = []

    def start(path):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE, text=True
        )
        children.append(child)
        assert child.stdout.readline() == "holding\n"
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("name", ["s.zarr", "s.nc"])
def test_the_second_of_two_processes_is_refused_while_the_first_is_alive(tmp_path, other, name):
    path = tmp_path / name
    child = other(path)
    for _ in range(2):  # being refused changes nothing
        with pytest.raises(FileExistsError, match=f"being written by process {child.pid}"):
            open_sink(path, labels(), ROWS)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    if name == "s.zarr":  # what was computed is not thrown away
        with pytest.raises(FileExistsError, match="holds an interrupted sweep"):
            open_sink(path, labels(), ROWS)
        part = xarray.open_zarr(f"{path}.partial", consolidated=False)
        np.testing.assert_array_equal(part.m[:2], [7.0, 7.0])
        path = tmp_path / "t.zarr"
    with open_sink(path, labels(), ROWS) as sink:
        sink.write(0, results(3.0))
        np.testing.assert_array_equal(sink.finish().m, 3.0)
    assert not list(tmp_path.glob(f"{path.name}.*"))


@pytest.mark.parametrize("name", ["s.zarr", "s.nc"])
def test_two_writers_in_one_process_are_two_writers(tmp_path, name):
    path = tmp_path / name
    with open_sink(path, labels(), ROWS) as first:
        first.write(0, results(1.0, 2))
        with pytest.raises(FileExistsError, match="being written by process"):
            open_sink(path, labels(), ROWS)
        first.write(2, results(1.0, 2))
        np.testing.assert_array_equal(first.finish().m, 1.0)
    with pytest.raises(FileExistsError, match="exists already"):
        open_sink(path, labels(), ROWS)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_sweep_that_fails_gives_the_store_back(tmp_path):
    path = tmp_path / "s.nc"
    with pytest.raises(KeyboardInterrupt), open_sink(path, labels(), ROWS):
        raise KeyboardInterrupt
    with open_sink(path, labels(), ROWS) as sink:
        sink.write(0, results(2.0))
        sink.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["s.nc"]


def test_nobody_writes_into_what_another_began_after_its_lock_was_deleted(tmp_path):
    path = tmp_path / "s.zarr"
    first = open_sink(path, labels(), 2)
    first.write(0, results(1.0, 2))
    for each in tmp_path.glob("*.lock"):
        each.unlink()
    (tmp_path / "s.zarr.partial").rename(tmp_path / "away")
    with open_sink(path, labels(), 2) as second:
        second.write(0, results(2.0, 2))
        with pytest.raises(FileExistsError, match="being written by"):
            first.write(2, results(1.0, 2))
        second.write(2, results(2.0, 2))
        np.testing.assert_array_equal(second.finish().m, 2.0)
    with first:
        pass


def test_a_lock_whose_file_was_deleted_is_taken_again(tmp_path):
    lock = Lock(tmp_path / "s")
    (tmp_path / "s.lock").unlink()
    lock.check()
    with pytest.raises(FileExistsError, match="being written"):
        Lock(tmp_path / "s")
    lock.release()
    lock.release()
    Lock(tmp_path / "s").release()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_is_forgotten_is_free(tmp_path):
    lock = Lock(tmp_path / "s")
    del lock
    Lock(tmp_path / "s").release()
    (tmp_path / "s.lock").write_text("process 1 on nowhere, dead")  # left by one that was killed
    Lock(tmp_path / "s").release()


def test_two_names_of_one_folder_are_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    lock = Lock(tmp_path / "a" / "s")
    with pytest.raises(FileExistsError, match="being written"):
        Lock(tmp_path / "b" / ".." / "b" / "s")
    lock.release()


def test_without_locks_of_the_file_system_it_is_said_and_the_last_one_writes(tmp_path, monkeypatch):
    def none(file):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(lock_module, "_take", none)
    with pytest.warns(UserWarning, match="without locks"):
        first = Lock(tmp_path / "s")
    first.check()
    with pytest.warns(UserWarning, match="without locks"):
        second = Lock(tmp_path / "s")
    with pytest.raises(FileExistsError, match="being written"):
        first.check()
    second.check()
    second.release()
    first.release()


def test_a_file_is_not_saved_by_two_at_once(tmp_path):
    rnnjax.save(tmp_path / "c", LinearNetwork(Dense([[0.5]])))
    lock = Lock(tmp_path / "c.partial")
    with pytest.raises(FileExistsError, match="being written"):
        rnnjax.save(tmp_path / "c", LinearNetwork(Dense([[0.25]])))
    lock.release()
    assert float(rnnjax.load(tmp_path / "c").connectivity.weights[0, 0]) == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


UNIT = LinearNetwork(Dense([[0.0]]), tau=10.0)
OPTIONS = {"optimizer": optax.sgd(0.05), "progress": False, "checkpoint_interval": 0.0}


def wanted(circuit, key):
    return (circuit.tau.sum() - 12.0) ** 2


TAKING = """
import pathlib, sys, time
from rnnjax._files.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
print("holding", flush=True)
time.sleep(600)
"""


def test_a_fit_is_refused_while_another_writes_its_checkpoint_and_goes_on_afterwards(tmp_path):
    path = pathlib.Path(tmp_path / "fit")
    whole = rnnjax.fit(UNIT, lambda c: c.tau, wanted, steps=4, **OPTIONS)
    rnnjax.fit(UNIT, lambda c: c.tau, wanted, steps=2, checkpoint=path, **OPTIONS)
    child = subprocess.Popen(
        [sys.executable, "-c", TAKING, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "holding\n"
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=f"being written by process {child.pid}"):
        rnnjax.fit(UNIT, lambda c: c.tau, wanted, steps=4, checkpoint=path, **OPTIONS)
    assert path.read_bytes() == before
    child.kill()
    child.communicate()
    found = rnnjax.fit(UNIT, lambda c: c.tau, wanted, steps=4, checkpoint=path, **OPTIONS)
    np.testing.assert_array_equal(found.losses, whole.losses)
    assert [p.name for p in tmp_path.iterdir()] == ["fit"]


SWEEPING = """
import sys, numpy as np, rnnjax
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Dense
from rnnjax.measures import Mean
data = rnnjax.sweep(
    LinearNetwork(Dense([[0.0]]), tau=10.0), {"m": Mean()},
    [rnnjax.axis(lambda c: c.tau, np.linspace(1, 2, int(sys.argv[2])))], duration=20.0, step=0.5,
    input=float(sys.argv[3]), store=sys.argv[1], progress=False, chunk=4,
)
print(data.m.values.tobytes().hex())
"""


def test_of_two_sweeps_into_one_store_one_is_refused_and_the_other_has_its_own_points(tmp_path):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SWEEPING, str(tmp_path / "s.zarr"), "400", value],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for value in ("1.0", "2.0")
    ]  # fmt: skip
    ended = [(*child.communicate(), child.returncode) for child in children]
    good = [each for each in ended if each[2] == 0]
    assert len(good) == 1, [each[1][-300:] for each in ended]
    (bad,) = (each for each in ended if each[2] != 0)
    assert "being written by process" in bad[1] or "exists already" in bad[1]
    stored = xarray.open_zarr(tmp_path / "s.zarr", consolidated=False).m.values
    assert stored.tobytes().hex() == good[0][0].strip()
    level = float(stored[0, 0])
    means = stored[:, 0] / level
    assert ((means > 0.5) & (means <= 1.0)).all()
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
