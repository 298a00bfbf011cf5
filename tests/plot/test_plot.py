"""Drawings: the geometry of what is drawn, labels with units, and refusals that say what to do."""

import dataclasses
import inspect
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray
from matplotlib.colors import BoundaryNorm, to_rgba
from oracles import SaddleNode

import rnnjax
from rnnjax import Stability, Status, bifurcations, circuits, plot, tasks
from rnnjax.bifurcations._base import Found
from rnnjax.plot._style import COLORS, FAINT, INK
from rnnjax.tasks import Trial

FIXED_POINT = (80 / 3, 50 / 3)
TIMES = np.linspace(0.0, 200.0, 101)


@pytest.fixture(autouse=True)
def closed_figures():
    before = dict(matplotlib.rcParams)
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()  # a drawing that can't be rendered fails here
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture(scope="module")
def pair():
    return circuits.ExcitatoryInhibitory()


@pytest.fixture(scope="module")
def run(pair):
    return rnnjax.simulate(pair, TIMES, dtype="float64")


@pytest.fixture(scope="module")
def batch(pair):
    def one(e):
        start = circuits.ExcitatoryInhibitoryState(e, 0.5 * e)
        return rnnjax.simulate(pair, TIMES, start=start)

    return jax.vmap(one)(np.array([10.0, 20.0, 30.0], np.float32))


@pytest.fixture(scope="module")
def field(pair):
    return rnnjax.vector_field(pair, (0.0, 60.0), (0.0, 40.0), points=61)


@pytest.fixture(scope="module")
def ring_run():
    network = circuits.RateNetwork()
    angles = network.connectivity.angles()
    drive = np.cos(np.deg2rad(angles))
    return rnnjax.simulate(network, np.linspace(0.0, 50.0, 26), drive, dtype="float64")


def bistable():
    """Two stable states and a saddle; computed, not read."""
    return circuits.WilsonCowan(
        w_ee=12.0, w_ei=4.0, w_ie=13.0, w_ii=11.0, p=0.0, slope_e=1.2, threshold_e=2.8,
        slope_i=1.0, threshold_i=4.0,
    )  # fmt: skip


def grid(values=None, x=(10.0, 20.0, 30.0, 40.0), y=(0.5, 1.0, 1.5), **attrs):
    x, y = np.asarray(x), np.asarray(y)
    values = x[:, None] * y[None, :] if values is None else values
    return xarray.DataArray(
        values,
        dims=("tau_i", "m_ee"),
        coords={
            "tau_i": ("tau_i", x, {"units": "ms", "long_name": "time constant of I"}),
            "m_ee": ("m_ee", y, {"units": "1", "long_name": "weight onto E from E"}),
        },
        attrs={"units": "Hz", "long_name": "amplitude"} | attrs,
        name="amplitude",
    )


def distance(line, point):
    """How far the nearest segment of a line is from a point."""
    points = np.asarray(line.get_xydata())
    start, step = points[:-1], np.diff(points, axis=0)
    known = np.isfinite(step).all(axis=1)
    start, step = start[known], step[known]
    along = ((point - start) * step).sum(1) / np.maximum((step**2).sum(1), 1e-300)
    nearest = start + np.clip(along, 0, 1)[:, None] * step
    return np.hypot(*(nearest - point).T).min()


def by_label(ax, label):
    return next(line for line in ax.get_lines() if line.get_label() == label)


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def mesh_of(ax):
    return next(c for c in ax.collections if isinstance(c, matplotlib.collections.QuadMesh))


def bar_of(ax):
    return mesh_of(ax).colorbar


# --- every drawing -----------------------------------------------------------------------------


def fold_branch():
    """The equilibria of x' = mu - x^2, with their fold, as `continue_equilibria` returns them."""
    x = np.linspace(-1.0, 1.0, 21)
    none, one = np.zeros(1), np.ones(1, bool)
    fold = rnnjax._continuation.points.Special(
        state=none, parameter=none, tangent=np.array([[1.0, 0.0]]), type_index=np.zeros(1, int),
        kind_index=np.zeros(1, int), frequency=none, coefficient=np.array([-1.0]), at=none,
        found=one, multiplicity=np.ones(1, int), unsolved=np.zeros((), int),
    )  # fmt: skip
    return rnnjax.Branch(
        states=x, parameter=x**2, at=x, jacobian=-2 * x[:, None, None], found=np.ones(21, bool),
        special=fold, ends=np.ones(2, int), name="mu", types=(("LP", ("fold",)),),
    )  # fmt: skip


def fold_curve(parameters=("mu", "nu")):
    """The folds of x' = mu + nu x - x^3, with their cusp, as `continue_bifurcation` returns them."""
    x = np.linspace(-0.5, 0.5, 21)
    at = np.zeros(1)
    cusp = rnnjax._continuation.points.Special(
        state=at, parameter=np.zeros((1, 2)), tangent=np.array([[1.0, 0.0, 0.0]]),
        type_index=np.zeros(1, int), kind_index=np.zeros(1, int), frequency=at,
        coefficient=np.array([-1.0]), at=at, found=np.ones(1, bool),
        multiplicity=np.ones(1, int), unsolved=np.zeros((), int),
    )  # fmt: skip
    return rnnjax.Curve(
        states=x, parameters=np.stack([-2 * x**3, 3 * x**2], -1), angular_frequency=0 * x,
        coefficient=-3 * x, at=x, found=np.ones(21, bool), special=cusp, ends=np.ones(2, int),
        names=parameters, label="LP", kinds=("fold",), types=(("CP", ("supercritical",)),),
    )  # fmt: skip


def four_starts():
    """Two starts that rest and two that move, as `basins` returns them."""
    rest = rnnjax.Equilibria(
        states=np.zeros((1, 2)), found=np.ones(1, bool), residual=np.zeros(1),
        jacobian=-np.eye(2)[None], status=np.zeros(1, int),
    )  # fmt: skip
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return rnnjax.Basins(
        starts=corners, label=np.array([0, 0, -1, -1]), final=corners, swing=corners,
        status=np.zeros(4, int), attractors=rest, varied=("state[0]", "state[1]"),
        grid=(np.array([0.0, 1.0]), np.array([0.0, 1.0])),
    )  # fmt: skip


def circles():
    """Circles of radius sqrt(mu), as `continue_orbits` returns them; no bifurcation."""
    count, nodes, widths = 5, 16, np.full(4, 0.25)
    mu = np.linspace(0.1, 0.5, count)
    angle = 2 * np.pi * np.arange(nodes) / nodes
    states = np.sqrt(mu)[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    real = np.stack([np.ones(count), np.exp(-4 * np.pi * mu)], 1)
    none = rnnjax._orbits.orbit_branch.SpecialOrbits(
        states=states[:0], widths=np.zeros((0, 4)), parameter=mu[:0], period=mu[:0],
        multipliers_real=real[:0], multipliers_imaginary=real[:0], type_index=np.zeros(0, int),
        kind_index=np.zeros(0, int), coefficient=mu[:0], at=mu[:0], found=np.zeros(0, bool), unsolved=np.zeros((), int),
    )  # fmt: skip
    return rnnjax.OrbitBranch(
        states=states, widths=np.broadcast_to(widths, (count, 4)), parameter=mu,
        period=np.full(count, 2 * np.pi), multipliers_real=real, multipliers_imaginary=0 * real,
        minima=-np.sqrt(mu)[:, None] * np.ones(2), maxima=np.sqrt(mu)[:, None] * np.ones(2),
        at=mu, found=np.ones(count, bool), special=none, ends=np.ones(1, int), name="mu",
        types=(("LPC", ("fold of cycles",)),),
    )  # fmt: skip


def spectrum_of_exponents(changed_at=np.nan):
    """Two exponents, 0.5 and -1, over ten blocks."""
    local = np.stack([0.5 + 0.1 * np.cos(np.arange(10.0)), -np.ones(10)], -1)
    return rnnjax.Lyapunov(
        exponents=local.mean(0), standard_errors=np.array([0.02, 0.0]), resolution=np.full(2, 0.1),
        local=local, times=10.0 * np.arange(1, 11), divergence=-0.5, dimension=1.5, regime=3,
        changed_at=changed_at, gradients_hold=False, status=0, failed_at=np.nan, failed_variable=-1,
    )  # fmt: skip


def response_of_a_circle():
    """That of a unit circle at constant speed: (-sin, cos)."""
    widths = np.full(32, 1 / 32)
    phases = (np.arange(32)[:, None] / 32 + np.arange(4) / 128).ravel()
    angle = 2 * np.pi * phases
    states = np.stack([-np.sin(angle), np.cos(angle)], -1)
    return rnnjax.PhaseResponse(states, phases, 2 * np.pi, widths, 0.25, "mV")


def trial_of(inputs=2, outputs=2, mask=(0.0, 0.0, 1.0, 0.0)):
    """Four steps: input k is k + 1 in the first one; target k is 1 + k all along."""
    start = np.zeros((4, inputs))
    start[0] = 1 + np.arange(inputs)
    return Trial(start, np.tile(1.0 + np.arange(outputs), (4, 1)), np.array(mask))


def audits_of_a_pitchfork():
    """One stable equilibrium, then two with an unstable one between them."""
    found = np.array([[True, False, False], [True, True, True]])
    rates = np.where(found, [[-0.5, 0.0, 0.0], [0.2, -0.4, -0.4]], np.nan)
    return rnnjax.Audit(
        np.array([0, 10]), found, np.zeros((2, 3, 1)), rates, np.zeros((2, 3)),
        np.zeros((2, 3), int), np.array([-0.5, np.nan]), np.array([0.01, np.nan]),
    )  # fmt: skip


def test_audits_are_filled_where_they_are_stable():
    ax = plot.audit(audits_of_a_pitchfork())
    stable, unstable = by_label(ax, "stable equilibrium"), by_label(ax, "unstable equilibrium")
    np.testing.assert_array_equal(stable.get_xydata(), [[0, -0.5], [10, -0.4], [10, -0.4]])
    np.testing.assert_array_equal(unstable.get_xydata(), [[10, 0.2]])
    assert unstable.get_markerfacecolor() == "none"
    assert "leading exponent" in legend_texts(ax)
    with pytest.raises(TypeError, match="expected an Audit, got list"):
        plot.audit([])


def test_a_fit_is_drawn_with_its_validations():
    course = fitted([4.0, 2.0, 1.0])
    course.validations = np.array([3.0, np.nan, 0.5])
    ax = plot.fit(course)
    dots = by_label(ax, "validation")
    np.testing.assert_array_equal(dots.get_xydata(), [[0, 3.0], [2, 0.5]])


def test_of_several_seeds_the_one_with_the_lowest_validation_is_set_off():
    course = fitted([[4.0, 2.0, 1.0], [4.0, 3.0, 2.0]])
    np.testing.assert_array_equal(by_label(plot.fit(course), "best seed").get_ydata(), [4, 2, 1])
    course.validations = np.array([[3.0, np.nan, 0.9], [3.0, np.nan, 0.5]])
    np.testing.assert_array_equal(by_label(plot.fit(course), "best seed").get_ydata(), [4, 3, 2])


def drawings(run, field):
    fit = types.SimpleNamespace(losses=np.array([3.0, 2.0, 1.0]), status=Status.OK)
    return {
        "trajectory": (run,),
        "phase_plane": (field,),
        "spectrum": (np.array([0.5, -0.2]),),
        "sweep_map": (grid(),),
        "sweep_curve": (grid()[:, 0],),
        "ring_activity": (np.arange(-170.0, 181.0, 10.0), np.arange(36.0)),
        "fit": (fit,),
        "branches": (fold_branch(),),
        "basins": (four_starts(),),
        "curves": (fold_curve(),),
        "orbits": (circles(),),
        "lyapunov": (spectrum_of_exponents(),),
        "multipliers": (circles(),),
        "phase_response": (response_of_a_circle(),),
        "trial": (trial_of(),),
        "audit": (audits_of_a_pitchfork(),),
    }


def test_every_drawing_is_tried(run, field):
    exported = {name for name, each in vars(plot).items() if inspect.isfunction(each)}
    assert exported == set(drawings(run, field))


@pytest.mark.parametrize(
    "name",
    [
        "trajectory", "phase_plane", "spectrum", "sweep_map", "sweep_curve", "ring_activity", "fit",
        "branches", "basins", "curves", "orbits", "lyapunov",
        "multipliers", "phase_response", "trial", "audit",
    ],
)  # fmt: skip
def test_draws_on_the_given_axes_and_makes_its_own(name, run, field):
    arguments = drawings(run, field)[name]
    figure, axes = plt.subplots(1, 2)
    assert getattr(plot, name)(*arguments, axes[1]) is axes[1]
    assert plt.get_fignums() == [figure.number]
    assert axes[1].get_xlabel()
    assert axes[1].get_ylabel()
    assert not axes[0].has_data()
    own = getattr(plot, name)(*arguments)
    assert own.figure is not figure
    assert own.has_data()


def test_importing_the_package_loads_no_matplotlib():
    code = "import rnnjax, sys; rnnjax.simulate; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


# --- trajectory --------------------------------------------------------------------------------


def test_trajectory_draws_the_states_over_time(run):
    ax = plot.trajectory(run)
    assert ax.get_xlabel() == "time (ms)"
    assert ax.get_ylabel() == "e, i (Hz)"
    for name in ("e", "i"):
        np.testing.assert_array_equal(by_label(ax, name).get_xdata(), TIMES)
        np.testing.assert_array_equal(by_label(ax, name).get_ydata(), getattr(run.states, name))
    assert by_label(ax, "e").get_color() != by_label(ax, "i").get_color()


def test_trajectory_of_chosen_variables(run, ring_run):
    ax = plot.trajectory(run, variables="i")
    assert len(ax.get_lines()) == 1
    assert ax.get_ylabel() == "i (Hz)"
    ax = plot.trajectory(ring_run, variables=["state[7]", "state[2]"])
    np.testing.assert_array_equal(by_label(ax, "state[7]").get_ydata(), ring_run.states[:, 7])
    assert legend_texts(ax) == ["state[7]", "state[2]"]


def test_trajectory_of_many_units_is_an_image(ring_run):
    ax = plot.trajectory(ring_run)
    assert not ax.get_lines()
    np.testing.assert_array_equal(mesh_of(ax).get_array(), ring_run.states.T)
    assert ax.get_ylabel() == "unit"
    assert bar_of(ax).ax.get_ylabel() == "state (Hz)"


def test_trajectory_of_a_batch_is_refused_with_advice_that_works(batch):
    with pytest.raises(ValueError, match=r"batch of shape \(3,\).*select one lane.*x\[0\]"):
        plot.trajectory(batch)
    assert plot.trajectory(jax.tree.map(lambda x: x[0], batch)).get_ylabel() == "e, i (Hz)"


def test_trajectory_refusals(run):
    with pytest.raises(TypeError, match=r"expected a Trajectory, got ndarray.*simulate"):
        plot.trajectory(np.zeros(3))
    with pytest.raises(ValueError, match=r"fields \['e', 'i'\].*got \['v'\]"):
        plot.trajectory(run, variables="v")


# --- trial -------------------------------------------------------------------------------------


def of_color(ax, color):
    return [x for x in ax.get_lines() if x.get_color() == color and len(x.get_xdata()) == 5]


def test_trial_has_a_row_per_channel():
    ax = plot.trial(trial_of(), step=2.0)
    assert ax.get_xlabel() == "time (ms)"
    assert ax.get_xlim() == (0.0, 8.0)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["input 0", "input 1", "target 0", "target 1"]
    assert list(ax.get_yticks()) == [3, 2, 1, 0]
    first, second = of_color(ax, INK)
    for row, line in ((3, first), (2, second)):  # each on a scale of its own
        np.testing.assert_array_equal(line.get_xdata(), [0, 2, 4, 6, 8])
        np.testing.assert_allclose(line.get_ydata(), row + np.array([0.4, -0.4, -0.4, -0.4, -0.4]))
    faint = of_color(ax, FAINT)
    np.testing.assert_allclose([x.get_ydata()[0] for x in faint], [1.0, 0.4])  # on one scale
    assert [text.get_text() for text in ax.texts] == ["0", "1", "0", "2", "0", "2"]


@pytest.mark.parametrize(
    ("mask", "shown"),
    [
        ((0.0, 0.0, 1.0, 0.0), [[2, 3], [2, 3]]),
        ([[1.0, 0.0]] * 2 + [[0.0, 0.0]] * 2, [[0, 1, 2], []]),
    ],
)
def test_targets_of_a_trial_are_strong_where_they_count(mask, shown):
    ax = plot.trial(trial_of(mask=mask))
    for color, steps in zip(COLORS, shown, strict=False):
        (line,) = of_color(ax, color)
        drawn = np.flatnonzero(np.isfinite(line.get_ydata()[:-1]))
        assert list(drawn) == steps[:-1]
    assert all(np.isfinite(x.get_ydata()).all() for x in of_color(ax, FAINT))


def test_a_trial_of_many_channels_and_one_that_asks_nothing():
    nothing = Trial(np.ones((4, 33)), np.full((4, 1), np.nan), np.zeros(4))
    ax = plot.trial(nothing)
    assert len(ax.get_yticks()) <= 16
    assert len(ax.texts) == 4  # one scale for all inputs
    assert plot.trial(tasks.DelayedXOR().sample(jax.random.key(0))).has_data()


def test_trial_refusals():
    trial = trial_of()
    with pytest.raises(TypeError, match=r"expected a Trial, got ndarray.*sample\(key\)"):
        plot.trial(np.zeros((4, 2)))
    batch = jax.tree.map(lambda x: np.stack([x, x, x]), trial)
    with pytest.raises(ValueError, match=r"batch of shape \(3,\).*select one.*x\[0\]"):
        plot.trial(batch)
    assert plot.trial(jax.tree.map(lambda x: x[0], batch)).has_data()
    with pytest.raises(ValueError, match=r"got shapes \(4, 2\) and \(3, 2\)"):
        plot.trial(trial._replace(targets=np.ones((3, 2))))
    with pytest.raises(ValueError, match=r"mask of shape \(4,\) or \(4, 2\), got \(2,\)"):
        plot.trial(trial._replace(mask=np.ones(2)))
    for step in (0.0, np.nan):
        with pytest.raises(ValueError, match=r"step: expected a positive time in ms, got"):
            plot.trial(trial, step=step)


# --- phase plane -------------------------------------------------------------------------------


def test_nullclines_meet_at_the_fixed_point(field):
    ax = plot.phase_plane(field)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("e (Hz)", "i (Hz)")
    assert ax.get_xlim() == (0.0, 60.0)
    excitatory, inhibitory = by_label(ax, "de/dt = 0"), by_label(ax, "di/dt = 0")
    # where both units are active: i = e / 4 + 10 and i = e - 10
    assert distance(excitatory, FIXED_POINT) < 1e-9
    assert distance(inhibitory, FIXED_POINT) < 1e-9
    assert distance(excitatory, (40.0, 20.0)) < 1e-9
    assert distance(inhibitory, (40.0, 30.0)) < 1e-9
    assert distance(excitatory, (40.0, 30.0)) > 5
    assert excitatory.get_color() != inhibitory.get_color()


def test_a_nullcline_out_of_view_is_said_to_be(pair):
    ax = plot.phase_plane(rnnjax.vector_field(pair, (30.0, 60.0), (0.0, 10.0), points=61))
    assert "de/dt = 0 (not in view)" in legend_texts(ax)


@pytest.mark.parametrize("tau_i", [30.0, 50.0])
def test_an_equilibrium_is_filled_only_where_stable(tau_i, field):
    circuit = circuits.ExcitatoryInhibitory(tau_i=tau_i)
    equilibria = rnnjax.find_equilibria(circuit)
    ax = plot.phase_plane(field, equilibria=equilibria)
    stable = tau_i < 40
    marker = by_label(ax, "stable focus" if stable else "unstable focus")
    np.testing.assert_allclose(marker.get_xydata(), [FIXED_POINT], rtol=1e-9)
    assert (to_rgba(marker.get_markerfacecolor()) == to_rgba("white")) is not stable


def test_equilibria_of_every_kind_are_told_apart():
    circuit = bistable()
    equilibria = rnnjax.find_equilibria(circuit)
    assert len(equilibria) == 3
    plane = rnnjax.vector_field(circuit, (-0.05, 0.55), (-0.05, 0.55), points=61)
    ax = plot.phase_plane(plane, equilibria=equilibria)
    assert len(by_label(ax, "stable node").get_xdata()) == 2
    saddle = by_label(ax, "saddle")
    where = equilibria[equilibria.stability.index(Stability.SADDLE)]
    np.testing.assert_array_equal(saddle.get_xydata(), [[where.e, where.i]])
    assert to_rgba(saddle.get_markerfacecolor()) == to_rgba("white")
    assert saddle.get_marker() != by_label(ax, "stable node").get_marker()


def test_trajectories_of_a_phase_plane(field, run, batch):
    ax = plot.phase_plane(field, trajectories=run)
    line = by_label(ax, "trajectory")
    np.testing.assert_array_equal(line.get_xdata(), run.states.e)
    np.testing.assert_array_equal(line.get_ydata(), run.states.i)
    ax = plot.phase_plane(field, trajectories=[run, batch])
    lines = [each for each in ax.get_lines() if len(each.get_xdata()) == len(TIMES)]
    np.testing.assert_array_equal([x.get_xdata()[0] for x in lines], [0.0, 10.0, 20.0, 30.0])


def test_the_axes_of_a_phase_plane_follow_its_variables(pair, run):
    swapped = rnnjax.vector_field(pair, (0.0, 40.0), (0.0, 60.0), variables=("i", "e"), points=61)
    ax = plot.phase_plane(swapped, trajectories=run)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("i (Hz)", "e (Hz)")
    assert distance(by_label(ax, "de/dt = 0"), (20.0, 40.0)) < 1e-9
    np.testing.assert_array_equal(by_label(ax, "trajectory").get_xdata(), run.states.i)


def test_phase_plane_refusals(field, run, ring_run):
    with pytest.raises(TypeError, match=r"expected a VectorField, got Trajectory.*vector_field"):
        plot.phase_plane(run)
    with pytest.raises(TypeError, match=r"trajectories: expected a Trajectory, got float"):
        plot.phase_plane(field, trajectories=1.0)
    with pytest.raises(TypeError, match=r"equilibria: expected Equilibria, got tuple"):
        plot.phase_plane(field, equilibria=FIXED_POINT)
    with pytest.raises(ValueError, match=r"variables \['e', 'i'\].*state\[0\]"):
        plot.phase_plane(field, trajectories=ring_run)


# --- spectrum ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("tau_i", "name"), [(30.0, "decays"), (50.0, "grows")])
def test_spectrum_of_a_linearization(tau_i, name):
    circuit = circuits.ExcitatoryInhibitory(tau_i=tau_i)
    linear = rnnjax.linearize(circuit, circuits.ExcitatoryInhibitoryState(*FIXED_POINT))
    ax = plot.spectrum(linear)
    assert ax.get_xlabel() == r"Re $\lambda$ (1/ms)"
    assert ax.get_ylabel() == r"Im $\lambda$ (1/ms)"
    drawn = by_label(ax, name)
    found = np.sort_complex(drawn.get_xdata() + 1j * drawn.get_ydata())
    np.testing.assert_allclose(found, np.sort_complex(linear.eigenvalues))
    assert legend_texts(ax) == [r"Re $\lambda$ = 0", name]
    assert ax.get_xlim()[0] < 0 < ax.get_xlim()[1]


def test_spectrum_of_a_connectivity_is_parted_at_its_boundary():
    ax = plot.spectrum(np.array([0.5, 1.0, 1.5 + 0.2j, 1.5 - 0.2j, -2.0]), boundary=1.0)
    assert ax.get_xlabel() == r"Re $\lambda$"
    assert set(by_label(ax, "decays").get_xdata()) == {0.5, -2.0}
    assert set(by_label(ax, "neither").get_xdata()) == {1.0}
    assert set(by_label(ax, "grows").get_xdata()) == {1.5}
    assert list(by_label(ax, r"Re $\lambda$ = 1").get_xdata()) == [1.0, 1.0]
    markers = {by_label(ax, name).get_marker() for name in ("decays", "neither", "grows")}
    assert len(markers) == 3


def test_spectrum_refusals():
    with pytest.raises(ValueError, match=r"expected one set of them, \(n,\), got shape \(2, 2\)"):
        plot.spectrum(np.eye(2))
    with pytest.raises(ValueError, match=r"1 of 2 that are not"):
        plot.spectrum(np.array([1.0, np.nan]))
    with pytest.raises(TypeError, match=r"expected a Linearization or an array.*got str"):
        plot.spectrum("eigenvalues")


# --- sweep map and curve -----------------------------------------------------------------------


def test_sweep_map_puts_every_point_in_its_cell():
    array = grid()
    ax = plot.sweep_map(array)
    assert ax.get_xlabel() == "time constant of I, tau_i (ms)"
    assert ax.get_ylabel() == "weight onto E from E, m_ee"
    assert bar_of(ax).ax.get_ylabel() == "amplitude (Hz)"
    np.testing.assert_array_equal(mesh_of(ax).get_array(), array.values.T)
    borders = mesh_of(ax).get_coordinates()
    np.testing.assert_allclose(borders[0, :, 0], [5, 15, 25, 35, 45])
    np.testing.assert_allclose(borders[:, 0, 1], [0.25, 0.75, 1.25, 1.75])


def test_sweep_map_sorts_its_axes():
    array = grid()
    shuffled = array.isel(tau_i=[2, 0, 3, 1], m_ee=[2, 0, 1])
    np.testing.assert_array_equal(mesh_of(plot.sweep_map(shuffled)).get_array(), array.values.T)


def test_sweep_map_with_equal_ratios_is_logarithmic():
    ax = plot.sweep_map(grid(x=(1.0, 10.0, 100.0, 1000.0)))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    borders = mesh_of(ax).get_coordinates()[0, :, 0]
    np.testing.assert_allclose(borders, 10.0 ** np.array([-0.5, 0.5, 1.5, 2.5, 3.5]))


def test_sweep_map_shows_missing_values_in_gray():
    array = grid()
    array[1, 2] = np.nan
    array[0, 0] = np.inf
    ax = plot.sweep_map(array)
    ax.figure.canvas.draw()
    mesh = mesh_of(ax)
    gray = to_rgba("0.7")
    colors = mesh.get_facecolors().reshape(3, 4, 4)
    is_gray = np.isclose(colors, gray).all(axis=-1)
    expected = np.zeros((3, 4), bool)
    expected[2, 1] = expected[0, 0] = True
    np.testing.assert_array_equal(is_gray, expected)
    assert mesh.get_clim() == (10.0, 60.0)
    assert legend_texts(ax) == ["no value"]


def test_sweep_map_diverges_from_zero():
    ax = plot.sweep_map(grid() - 15.0, diverging=True)
    assert mesh_of(ax).get_clim() == (-45.0, 45.0)
    assert plot.sweep_map(grid(), limits=(0.0, 10.0)).collections[0].get_clim() == (0.0, 10.0)


def test_sweep_map_in_steps():
    norm = mesh_of(plot.sweep_map(grid(), levels=[0.0, 20.0, 70.0])).norm
    assert isinstance(norm, BoundaryNorm)
    assert list(norm.boundaries) == [0.0, 20.0, 70.0]
    assert norm.extend == "neither"
    assert mesh_of(plot.sweep_map(grid(), levels=[20.0, 70.0])).norm.extend == "min"


def test_contours_lie_where_the_values_take_the_level():
    array = grid()
    plane = array.copy(data=array.tau_i.values[:, None] + 0 * array.values)
    other = {"from data": (plane.T, 25.0), "from array": (plane.values, 35.0), "no": (plane, 99.0)}
    ax = plot.sweep_map(array, contours=other)
    np.testing.assert_allclose(np.unique(_finite(by_label(ax, "from data").get_xdata())), 25.0)
    np.testing.assert_allclose(np.unique(_finite(by_label(ax, "from array").get_xdata())), 35.0)
    heights = _finite(by_label(ax, "from data").get_ydata())
    assert (heights.min(), heights.max()) == (0.5, 1.5)
    assert legend_texts(ax) == ["from data", "from array", "no (not in view)"]


def _finite(values):
    return np.asarray(values)[np.isfinite(values)]


def test_sweep_map_of_categories():
    flags = {"flag_values": [0, 2, 255], "flag_meanings": "OK MAX_STEPS NOT_RUN"}
    values = np.zeros((4, 3), np.uint8)
    values[1, 2] = 255
    array = grid(values, **flags, long_name="how it ended", units="")
    ax = plot.sweep_map(array)
    bar = bar_of(ax)
    assert bar.ax.get_ylabel() == "how it ended"
    assert [text.get_text() for text in bar.ax.get_yticklabels()] == ["ok", "not run"]
    ax.figure.canvas.draw()
    colors = mesh_of(ax).get_facecolors().reshape(3, 4, 4)
    assert len(np.unique(colors.reshape(-1, 4), axis=0)) == 2
    assert not np.allclose(colors[2, 1], colors[0, 0])
    everywhere = plot.sweep_map(array.copy(data=np.full((4, 3), 255, np.uint8)))
    everywhere.figure.canvas.draw()
    np.testing.assert_allclose(mesh_of(everywhere).get_facecolors()[0], colors[2, 1])


def test_sweep_map_of_booleans():
    bar = bar_of(plot.sweep_map(grid() > 20))
    assert [text.get_text() for text in bar.ax.get_yticklabels()] == ["no", "yes"]


@pytest.mark.parametrize("value", [np.nan, 3.0])
@pytest.mark.parametrize("diverging", [False, True])
def test_sweep_map_of_nothing_and_of_one_value(value, diverging):
    plot.sweep_map(grid(np.full((4, 3), value)), diverging=diverging)
    plot.sweep_map(grid()[:1])


def test_sweep_map_refusals():
    array = grid()
    with pytest.raises(TypeError, match=r"got a Dataset: choose a variable of \['amplitude'\]"):
        plot.sweep_map(array.to_dataset())
    with pytest.raises(TypeError, match=r"expected an xarray.DataArray, got ndarray"):
        plot.sweep_map(array.values)
    with pytest.raises(ValueError, match=r"expected 2 dimensions, got .*'tau_i': 4.*sweep_curve"):
        plot.sweep_map(array[:, 0])
    with pytest.raises(TypeError, match="expected real numbers, got complex128"):
        plot.sweep_map(array.astype(complex))
    with pytest.raises(TypeError, match=r"expected numbers along 'tau_i', got <U1"):
        plot.sweep_map(array.assign_coords(tau_i=list("abcd")))
    with pytest.raises(ValueError, match=r"expected 'line' on the map's grid .*got shape \(2, 2\)"):
        plot.sweep_map(array, contours={"line": (np.eye(2), 0.0)})
    with pytest.raises(ValueError, match=r"expected \(values, level\) for 'line', got DataArray"):
        plot.sweep_map(array, contours={"line": array})
    with pytest.raises(ValueError, match="name of a matplotlib color map, got 'nope'"):
        plot.sweep_map(array, cmap="nope")
    with pytest.raises(ValueError, match="this array is categorical"):
        plot.sweep_map(array > 20, diverging=True)
    with pytest.raises(ValueError, match="flag_meaning for each of 2 flag_values, got 1"):
        plot.sweep_map(grid(flag_values=[0, 1], flag_meanings="one"))
    with pytest.raises(ValueError, match=r"limits: expected \(low, high\)"):
        plot.sweep_map(array, limits=(1.0, 0.0))
    with pytest.raises(ValueError, match="levels: expected a number, or increasing borders"):
        plot.sweep_map(array, levels=[1.0, 0.0])
    assert not plt.get_fignums()  # refused before a figure was made


def test_sweep_curve():
    array = grid(x=(40.0, 10.0, 30.0, 20.0))[:, 0]
    ax = plot.sweep_curve(array)
    assert ax.get_xlabel() == "time constant of I, tau_i (ms)"
    assert ax.get_ylabel() == "amplitude (Hz)"
    np.testing.assert_array_equal(
        ax.get_lines()[0].get_xydata(), [[10, 5], [20, 10], [30, 15], [40, 20]]
    )
    ax = plot.sweep_curve(array > 12)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["no", "yes"]
    with pytest.raises(ValueError, match=r"expected 1 dimensions.*sweep_map"):
        plot.sweep_curve(grid())


# --- ring activity and fit ---------------------------------------------------------------------


def test_ring_activity_over_preferred_angles():
    angles = circuits.RateNetwork().connectivity.angles()
    profiles = np.stack([np.cos(np.deg2rad(angles)), np.ones_like(angles)])
    shuffle = np.random.default_rng(0).permutation(len(angles))
    ax = plot.ring_activity(angles[shuffle], profiles[:, shuffle], labels=["cosine", "flat"])
    np.testing.assert_array_equal(by_label(ax, "cosine").get_xdata(), angles)
    np.testing.assert_array_equal(by_label(ax, "cosine").get_ydata(), profiles[0])
    np.testing.assert_array_equal(by_label(ax, "flat").get_ydata(), 1.0)
    assert ax.get_xlabel() == "preferred angle (degrees)"
    assert ax.get_ylabel() == "activity (Hz)"
    assert ax.get_xlim() == (-180.0, 180.0)
    assert plot.ring_activity(angles / 2, profiles[0]).get_xlim() == (-90.0, 90.0)
    assert len(plot.ring_activity(angles, np.ones((12, 100))).get_lines()) == 12


def test_ring_activity_refusals():
    with pytest.raises(ValueError, match=r"with 4 units as the angles have, got shape \(4, 2\)"):
        plot.ring_activity(np.arange(4.0), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"angles: expected \(units,\) in degrees"):
        plot.ring_activity(np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="labels: expected a sequence of 1, one per profile"):
        plot.ring_activity(np.arange(4.0), np.zeros(4), labels="cue")


def fitted(losses, status=Status.OK):
    return types.SimpleNamespace(losses=np.asarray(losses), status=np.asarray(status))


def test_fit_draws_the_loss_over_the_steps():
    ax = plot.fit(fitted([4.0, 2.0, 1.0]))
    np.testing.assert_array_equal(ax.get_lines()[0].get_xydata(), [[0, 4], [1, 2], [2, 1]])
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("step", "loss", "log")
    assert plot.fit(fitted([4.0, 0.0])).get_yscale() == "linear"
    assert plot.fit(fitted([4.0, -1.0])).get_yscale() == "linear"


def test_fit_sets_off_the_best_seed_and_those_that_failed():
    losses = [[4.0, 3.0, 2.0], [4.0, 1.0, 0.5], [1.0, 0.1, np.nan]]
    ax = plot.fit(fitted(losses, [Status.OK, Status.OK, Status.NON_FINITE]))
    np.testing.assert_array_equal(by_label(ax, "best seed").get_ydata(), losses[1])
    np.testing.assert_array_equal(by_label(ax, "other seeds").get_ydata(), losses[0])
    np.testing.assert_array_equal(by_label(ax, "failed").get_ydata(), losses[2])
    crosses = [line for line in ax.get_lines() if line.get_marker() == "X"]
    assert [line.get_xydata().tolist() for line in crosses] == [[[1.0, 0.1]]]
    validations = np.array([[0.9, np.nan, 0.1], [0.9, np.nan, 0.2], [0.9, np.nan, np.nan]])
    judged = types.SimpleNamespace(
        losses=np.array(losses), status=np.array([0, 0, 1]), validations=validations
    )
    ax = plot.fit(judged)
    np.testing.assert_array_equal(by_label(ax, "best seed").get_ydata(), losses[0])
    np.testing.assert_array_equal(by_label(ax, "validation").get_xydata(), [[0, 0.9], [2, 0.1]])


def test_fit_refusals():
    with pytest.raises(TypeError, match=r"expected a Fit, with `losses` and `status`, got list"):
        plot.fit([1.0, 2.0])
    with pytest.raises(ValueError, match=r"\(steps,\) or \(seeds, steps\), got \(1, 1, 2\)"):
        plot.fit(fitted(np.ones((1, 1, 2))))
    with pytest.raises(ValueError, match="one status per seed, 3 of them, got 2"):
        plot.fit(fitted(np.ones((3, 4)), [0, 0]))


def test_branches_are_dashed_where_they_are_unstable():
    ax = plot.branches([fold_branch(), fold_branch()], unit="Hz")
    lines = {line.get_gid(): line for line in ax.lines}
    x, y = lines["stable state"].get_xdata(), lines["stable state"].get_ydata()
    shown = np.isfinite(y)
    np.testing.assert_allclose(x[shown], y[shown] ** 2, atol=1e-15)
    assert y[shown].min() == pytest.approx(0.1)
    assert lines["stable state"].get_linestyle() == "-"
    unstable = lines["unstable state"]
    assert unstable.get_linestyle() == "--"
    assert np.nanmax(unstable.get_ydata()) == pytest.approx(0.1)  # up to the first stable point
    assert lines["LP 0"].get_xydata().tolist() == [[0.0, 0.0]]
    assert legend_texts(ax) == ["stable", "unstable", "fold, 0"]  # once, though on two branches
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mu", "state (Hz)")


class SlowNode(bifurcations.AbstractOnBranch):
    """A type of its own: the one eigenvalue is -1."""

    label = "SN1"
    kinds = ("slower", "faster")
    word = "slow node"
    marker = "p"
    color = "#444444"

    def test(self, derivatives, tangent):
        return jnp.tanh(derivatives[0, 0] + 1.0)

    def begin(self, family, u, tangent):
        return u, None

    def equations(self, family, unknowns, constants):
        slope = jax.jacfwd(family)(unknowns)[0, :1]
        return jnp.concatenate([family(unknowns), slope + 1.0])

    def normal_form(self, family, unknowns, constants):
        none = jnp.zeros(())
        return Found(jnp.ones((), bool), none, none + 1.0, jnp.ones((), jnp.int32))


def test_a_bifurcation_of_ones_own_is_drawn_as_it_says():
    branch = rnnjax.continue_equilibria(
        SaddleNode(mu=1.0), lambda c: c.mu, None, (-0.5, 1.5),
        bifurcations=(bifurcations.Fold(), SlowNode()),
    )  # fmt: skip
    ax = plot.branches(branch)
    drawn = next(line for line in ax.lines if str(line.get_gid()).startswith("SN1"))
    np.testing.assert_allclose(drawn.get_xydata(), [[0.25, 0.5]], rtol=1e-9)
    assert (drawn.get_marker(), drawn.get_markeredgecolor()) == ("p", "#444444")
    assert sorted(legend_texts(ax)[2:]) == ["fold, 0", "slow node (faster), 0.25"]


def with_unsolved(line, count):
    special = dataclasses.replace(line.special, unsolved=np.asarray(count))
    return dataclasses.replace(line, special=special)


@pytest.mark.parametrize(
    ("draw", "line"),
    [(plot.branches, fold_branch()), (plot.curves, fold_curve()), (plot.orbits, circles())],
    ids=["branches", "curves", "orbits"],
)
def test_what_could_not_be_solved_for_is_told(draw, line):
    assert not any("unsolved" in text for text in legend_texts(draw(with_unsolved(line, 0))))
    assert legend_texts(draw(with_unsolved(line, 2)))[-1] == "2 unsolved"


def test_a_type_that_nobody_knows_is_drawn_by_its_label():
    strange = dataclasses.replace(fold_branch(), types=(("XY", ("odd",)),))
    ax = plot.branches(strange)
    assert legend_texts(ax)[2:] == ["XY (odd), 0"]


def test_curves_in_the_plane_of_two_parameters():
    folds = fold_curve()
    x = np.linspace(-1.0, 1.0, 5)
    hopf_points = dataclasses.replace(
        folds, states=x, parameters=np.stack([x, 0 * x], -1), angular_frequency=x + 1, at=x,
        coefficient=np.array([np.nan, -1.0, -1.0, 1.0, 1.0]), found=np.ones(5, bool), label="H",
        kinds=("supercritical", "subcritical"),
    )  # fmt: skip
    ax = plot.curves([folds, hopf_points], units=("uA", ""))
    lines = {line.get_gid(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["LP"].get_xydata(), folds.parameters)
    solid, dashed = lines["H supercritical"], lines["H subcritical"]
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    np.testing.assert_array_equal(np.isfinite(solid.get_xdata()), [True, True, True, True, False])
    np.testing.assert_array_equal(np.isfinite(dashed.get_xdata()), [False] * 3 + [True] * 2)
    assert lines["CP 0"].get_xydata().tolist() == [[0.0, 0.0]]
    assert legend_texts(ax) == [  # the cusp once, though on two curves
        "folds", "Hopf points, supercritical", "Hopf points, subcritical", "cusp (CP)"
    ]  # fmt: skip
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mu (uA)", "nu")
    with pytest.raises(TypeError, match="expected a Curve, got Branch"):
        plot.curves(fold_branch())
    with pytest.raises(ValueError, match="curves of the same two parameters"):
        plot.curves([folds, fold_curve(("mu", "xi"))])


def test_lyapunov_exponents_as_they_converge():
    given = spectrum_of_exponents(changed_at=40.0)
    ax = plot.lyapunov(given)
    lines = {line.get_gid(): line for line in ax.lines}
    np.testing.assert_allclose(lines["exponent 0"].get_ydata(), given.running[:, 0])
    assert lines["exponent 0"].get_ydata()[-1] == pytest.approx(given.exponents[0])
    np.testing.assert_array_equal(by_label(ax, "changed").get_xdata(), [40.0, 40.0])
    assert legend_texts(ax)[1] == "-1 ± 0"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "Lyapunov exponents (1/ms)")
    with pytest.raises(TypeError, match="expected a Lyapunov, got list"):
        plot.lyapunov([0.9, 0.0])
    batch = jax.tree.map(lambda x: np.stack([x] * 3), given)
    with pytest.raises(ValueError, match=r"got a batch of shape \(3,\)"):
        plot.lyapunov(batch)


def test_multipliers_have_a_place_inside_and_outside():
    orbit = rnnjax.Orbit(
        states=np.zeros((8, 3)), phases=np.arange(8) / 8, period=2.0,
        multipliers_real=np.array([100.0, 1.0, 0.3]), multipliers_imaginary=np.array([0, 0, 0.4]),
        residual=0.0, status=0, widths=np.full(2, 0.5),
    )  # fmt: skip
    ax = plot.multipliers(orbit)
    drawn = by_label(ax, "multipliers")
    np.testing.assert_allclose(drawn.get_xdata(), [1.99, 1.0, 0.3])
    np.testing.assert_allclose(drawn.get_ydata(), [0.0, 0.0, 0.4])
    with pytest.raises(TypeError, match="expected an Orbit or an OrbitBranch, got ndarray"):
        plot.multipliers(np.ones(3))
    lost = dataclasses.replace(orbit, multipliers_real=np.full(3, np.nan))
    with pytest.raises(ValueError, match="those of an orbit that was found"):
        plot.multipliers(lost)
    batch = jax.tree.map(lambda x: np.stack([x] * 2), orbit)
    with pytest.raises(ValueError, match=r"expected no batch, got shape \(2, 3\)"):
        plot.multipliers(batch)


def test_phase_responses_begin_at_their_origin():
    given = response_of_a_circle()
    ax = plot.phase_response(given)
    line = by_label(ax, "state[0]")
    np.testing.assert_allclose(line.get_ydata(), -np.cos(2 * np.pi * line.get_xdata()), atol=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("phase of the kick", "phase response (ms/(mV))")
    assert len(plot.phase_response(given, variable="state[1]").lines) == 2
    with pytest.raises(TypeError, match="expected a PhaseResponse, got list"):
        plot.phase_response([1.0])
    with pytest.raises(ValueError, match="variable: expected one of"):
        plot.phase_response(given, variable="w")
