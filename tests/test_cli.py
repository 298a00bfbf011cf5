"""The command line: what it prints and writes, and one line with exit status 2 for bad input."""

import os
import subprocess
import sys

import numpy as np
import pytest
import xarray
from click.testing import CliRunner

from rnnjax import cli


@pytest.fixture(autouse=True)
def _untuned(monkeypatch):
    """The suite runs JAX already, where tuning comes too late and says so."""
    monkeypatch.setattr("rnnjax._machine.setup.tune_cpu", lambda devices=None: False)
    monkeypatch.setattr("rnnjax.tune_cpu", lambda devices=None: False, raising=False)
    monkeypatch.setattr("rnnjax.cache", lambda folder=None: None, raising=False)


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def test_circuits_are_listed_with_units_defaults_and_references():
    out = run("circuits").output
    for name in (
        "LinearNetwork",
        "RateNetwork",
        "CurrentNetwork",
        "ExcitatoryInhibitory",
        "WilsonCowan",
    ):
        assert name in out
    line = next(x for x in out.splitlines() if "tau_i" in x)
    assert line.split()[:3] == ["tau_i", "50", "ms"]
    assert "Biophysical Journal" in out


@pytest.mark.parametrize("name", ["ExcitatoryInhibitory", "excitatory-inhibitory"])
def test_stability(name):
    out = run("stability", name, "--set", "tau_i=30").output
    assert "stable focus" in out
    assert "e = 26.666667" in out
    assert "7.9301 Hz" in out


OWN = """
import jax.numpy as jnp
import rnnjax

class Decay(rnnjax.AbstractCircuit):
    rate: float = rnnjax.parameter(0.1, "1/ms")
    def __call__(self, state, input):
        return -self.rate * (state - 1) + input
    def rest(self):
        return jnp.zeros(())

def twice(circuit):
    "Twice the rate."
    return 2 * circuit.rate
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path / 'own.py'}"


def test_diagram_of_an_own_circuit(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import jax.numpy as jnp\nimport rnnjax\n"
        "class Cusp(rnnjax.AbstractCircuit):\n"
        '    r"""A cusp: $\\dot x = \\mu + \\nu x - x^3 + u$."""\n'
        "    mu: float = rnnjax.parameter(0.5)\n"
        "    nu: float = rnnjax.parameter(0.75)\n"
        "    def __call__(self, x, u):\n        return self.mu + self.nu * x - x**3 + u\n"
        "    def rest(self):\n        return jnp.ones_like(self.mu)\n"
    )
    out = tmp_path / "out"
    result = run(
        "diagram", f"{file}:Cusp", "--follow", "mu=-1:1", "--second", "nu=-1:1", "--out", out
    )
    assert result.exit_code == 0, result.output
    assert "LP at 0.25: fold, coefficient 1.5" in result.output
    assert "curve 1 of LP" in result.output
    assert "supercritical, coefficient -1" in result.output
    assert {p.name for p in out.iterdir()} == {
        "diagram.png", "branch_1.nc", "plane.png", "curve_1.nc"
    }  # fmt: skip
    curve = xarray.open_dataset(out / "curve_1.nc", engine="h5netcdf")
    np.testing.assert_allclose(27 * curve.mu**2, 4 * curve.nu**3, atol=1e-12)
    np.testing.assert_allclose([curve.mu_at[0], curve.nu_at[0]], 0, atol=1e-12)
    wrong = run("diagram", "MorrisLecar", "--follow", "current=1", "--out", out)
    assert wrong.exit_code == 2
    assert "--follow current=1: expected FIELD=LOW:HIGH" in wrong.output
    wrong = run(
        "diagram", "MorrisLecar", "--follow", "current=1:9", "--second", "v_3", "--out", out
    )
    assert wrong.exit_code == 2
    assert "--second v_3: expected FIELD=LOW:HIGH" in wrong.output


@pytest.mark.slow
def test_diagram_with_its_orbits(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import jax.numpy as jnp\nimport rnnjax\n"
        "class Birth(rnnjax.AbstractCircuit):\n"
        '    r"""A Hopf bifurcation at mu = 0."""\n'
        "    mu: float = rnnjax.parameter(0.5)\n"
        "    def __call__(self, z, u):\n        x, y = z\n        g = self.mu - x**2 - y**2\n"
        "        return jnp.stack([g * x - y, g * y + x]) + u\n"
        "    def rest(self):\n        return jnp.zeros(2)\n"
    )
    out = tmp_path / "out"
    result = run("diagram", f"{file}:Birth", "--follow", "mu=-1:1", "--cycles", "--out", out)
    assert result.exit_code == 0, result.output
    assert "orbits 1:" in result.output
    assert {p.name for p in out.iterdir()} == {"diagram.png", "branch_1.nc", "orbits_1.nc"}
    orbits = xarray.open_dataset(out / "orbits_1.nc", engine="h5netcdf")
    np.testing.assert_allclose(orbits.largest_state[:, 0] ** 2, orbits.mu, atol=1e-4)
    np.testing.assert_allclose(orbits.period, 2 * np.pi, rtol=1e-9)


def test_lyapunov_exponents_of_a_neuron(tmp_path):
    result = run(
        "lyapunov", "HindmarshRose", "--set", "current=3.25", "--duration", 2000, "--count", 2,
        "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1/ms" in result.output
    data = xarray.open_dataset(tmp_path / "lyapunov.nc", engine="h5netcdf")
    assert 0.005 < data.exponents[0] < 0.025
    assert (tmp_path / "lyapunov.png").stat().st_size > 5000


def test_sweep_of_an_own_circuit_with_an_own_measure(own, tmp_path):
    out = tmp_path / "out"
    done = run(
        "sweep", f"{own}:Decay", "--vary", "rate=0.1:0.4:4", "--measure", "final", "--measure",
        f"{own}:twice", "--duration", 50, "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    data = xarray.open_zarr(out / "sweep.zarr", consolidated=False)
    np.testing.assert_allclose(data.final, 1 - np.exp(-50 * data.rate), rtol=1e-5)
    np.testing.assert_allclose(data.twice, 2 * data.rate, rtol=1e-6)
    assert (out / "final.png").stat().st_size > 5000
    assert f"wrote {out / 'sweep.zarr'}" in done.output


def test_sweep_over_two_parameters_draws_a_map(tmp_path):
    done = run(
        "sweep", "ExcitatoryInhibitory", "--vary", "tau_i=20:80:6", "--vary", "m_ee=1:1.4:5",
        "--duration", 50, "--step", 0.5, "--out", tmp_path,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    data = xarray.open_zarr(tmp_path / "sweep.zarr", consolidated=False)
    assert data.amplitude_e.shape == (6, 5)
    assert (tmp_path / "amplitude_e.png").exists()


def test_simulate_writes_a_trajectory_and_a_picture(tmp_path):
    done = run("simulate", "WilsonCowan", "--duration", 20, "--points", 41, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    with xarray.open_dataset(tmp_path / "trajectory.nc", engine="h5netcdf") as data:
        assert data.e.shape == (41,)
    assert (tmp_path / "trajectory.png").stat().st_size > 5000


SWEEP = ("sweep", "ExcitatoryInhibitory")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*SWEEP, "--vary", "tau_x=1:2:3"), "tau_x: ExcitatoryInhibitory has no such parameter; expected one of m_ee"),
        ((*SWEEP, "--vary", "tau_i=1:2"), "expected FIELD=LOW:HIGH:POINTS"),
        ((*SWEEP, "--vary", "tau_i=1:two:3"), "expected a number, got 'two'"),
        ((*SWEEP, "--vary", "tau_i=10:20:0"), "positive whole number of points"),
        ((*SWEEP, "--vary", "tau_i=-5:20:4"), "above zero ms"),
        ((*SWEEP, "--vary", "tau_i=20:80:4", "--measure", "sparkle"), "no measure called sparkle"),
        ((*SWEEP, "--vary", "tau_i=20:80:4", "--step", "25"), "fastest time constant"),
        ((*SWEEP, "--vary", "tau_i=20:80:4", "--set", "tau_e=-1"), "tau_e: expected a value above zero"),
        ((*SWEEP, "--vary", "tau_i=20:80:4", "--out", "/proc/nowhere"), "can't write to"),
        (("simulate", "Nothing"), "no circuit called Nothing"),
        (("simulate", "no/such/file.py:Circuit"), "no file no/such/file.py"),
        (("stability", "WilsonCowan", "--set", "p=high"), "expected a number"),
    ],
    ids=lambda x: x[-1] if isinstance(x, tuple) else "",
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert done.output.startswith("error: ")
    assert len(done.output.strip().splitlines()) == 1
    assert "Traceback" not in done.output
    assert not list(tmp_path.rglob("*.zarr*"))


def test_a_second_sweep_does_not_overwrite_the_first(tmp_path):
    arguments = (*SWEEP, "--vary", "tau_i=20:80:4", "--duration", 20, "--out", tmp_path)
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert again.exit_code == 2
    assert "exists already" in again.output


def test_as_a_process_help_is_quick_and_doctor_tunes(tmp_path):
    clean = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    rnnjax = [sys.executable, "-m", "rnnjax.cli"]
    helped = subprocess.run([*rnnjax, "--help"], env=clean, capture_output=True, text=True)
    assert helped.returncode == 0
    assert "stability" in helped.stdout
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rnnjax.cli", "--help"], env=clean,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "jax._src" not in listed.stderr
    doctor = subprocess.run([*rnnjax, "doctor"], env=clean, capture_output=True, text=True)
    assert doctor.returncode == 0, doctor.stderr
    assert "set up for sweeps" in doctor.stdout


def test_what_could_not_be_solved_for_is_told(capsys):
    class Line:
        bifurcations, unsolved, endings = ("LP at 1: fold",), 3, ()

    cli._say_what_happens(Line())
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "   'LP at 1: fold'",
        "   3 unsolved: something happens there that could not be solved for",
    ]
