"""`basins`: closed-form boundaries, honest labels for what does not rest, and the drawing."""

from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from oracles import Pitchfork, SaddleNode, StuartLandau

import rnnjax
from rnnjax import Basins, Status, axis, parameter, plot, points, random_points
from rnnjax._basins.neighborhood import _form, neighborhoods
from rnnjax.circuits import (
    CurrentNetwork,
    ExcitatoryInhibitory,
    ExcitatoryInhibitoryState,
    LinearNetwork,
)
from rnnjax.circuits._checks import as_input
from rnnjax.connectivity import Dense
from rnnjax.inputs import Step


class Rings(rnnjax.AbstractCircuit):
    r"""Rest inside of the circle $r = 1$, outside of it a cycle of radius 2.

    $\dot r = a r (r^2 - 1) (4 - r^2)$, $\dot\theta = 1$
    """

    a: Any = parameter(0.1, "1/ms")

    def __call__(self, state, input):
        x, y = state
        square = x**2 + y**2
        grow = self.a * (square - 1) * (4 - square)
        return jnp.stack([grow * x - y, grow * y + x]) + input

    def rest(self):
        return jnp.zeros(2, jnp.result_type(self.a))


def itself(state):
    return state


def first(state):
    return state[0]


def second(state):
    return state[1]


def line(low=-2.0, high=2.0, count=41):
    return axis(itself, np.linspace(low, high, count))


def square(low, high, count):
    return [axis(f, np.linspace(low, high, count)) for f in (first, second)]


def places(found):
    """Which attractor lies where, by its number."""
    return [float(found.attractors[k]) for k in range(len(found.attractors))]


# --- where the boundary is ---------------------------------------------------------------------


def test_two_states_and_the_threshold_between_them(both_modes):
    found = rnnjax.basins(Pitchfork(1.0), line(), duration=20.0)
    at, starts = places(found), np.linspace(-2, 2, 41)
    np.testing.assert_allclose(np.sort(at), [-1, 0, 1], atol=1e-10)
    low, high = at.index(min(at)), at.index(max(at))
    expected = np.where(starts < 0, low, high)
    # on the threshold it stays, but this is no attractor
    expected[20] = Basins.NOT_SETTLED
    np.testing.assert_array_equal(found.label, expected)
    np.testing.assert_array_equal(found.starts, starts)
    # inside of an ellipsoid around it, by then
    np.testing.assert_allclose(
        np.delete(found.final, 20), np.delete(np.sign(starts), 20), atol=1e-6
    )
    assert (found.status == Status.OK).all()
    assert found.starts.dtype == found.final.dtype == np.float64
    assert found.share(low) == found.share(high) == 20 / 41
    assert found.outcomes == [*sorted((low, high)), Basins.NOT_SETTLED]
    assert len(found) == 41
    assert jax.config.jax_enable_x64 == both_modes


@pytest.mark.parametrize("gap", [1e-2, 1e-5])
def test_starts_beside_the_boundary(gap):
    """Each side keeps what is its own, and what takes too long is not guessed at."""
    starts = np.array([-0.5 - gap, -0.5 + gap])  # the threshold of x' = 1/4 - x^2
    found = rnnjax.basins(SaddleNode(0.25), starts, duration=30.0)
    assert found.label.tolist() == [Basins.FAILED, places(found).index(0.5)]
    assert found.status[0] in (Status.NON_FINITE, Status.STEP_UNDERFLOW)
    assert np.isnan(found.final[0])
    early = rnnjax.basins(SaddleNode(0.25), starts[1:], duration=0.3)
    assert early.label.tolist() == [Basins.NOT_SETTLED]


def test_two_cells_that_do_not_see_each_other():
    network = CurrentNetwork(Dense(2 * np.eye(2)))
    found = rnnjax.basins(network, square(-3, 3, 6), duration=30.0)
    assert found.varied == ("state[0]", "state[1]")
    assert len(found.outcomes) == 4
    for k in found.outcomes:
        own = found.starts[found.label == k]
        assert len(own) == 9
        assert (np.sign(own) == np.sign(found.attractors[k])).all()
        np.testing.assert_allclose(abs(found.attractors[k]), 1.9150080481545375, rtol=1e-9)
    kinds = found.attractors.stability
    assert {str(kinds[k]) for k in found.outcomes} == {"stable node"}


def test_an_input_is_held():
    """x' = x - x^3 + 0.2: the threshold is its middle root."""
    threshold = np.sort(np.roots([-1, 0, 1, 0.2]).real)[1]
    starts = threshold + np.array([-0.01, 0.01])
    rising = 0.2 * Step(1.0, onset=50.0)
    for input, time, expected in (
        (0.2, 0.0, [-1, 1]),
        (rising, 60.0, [-1, 1]),
        (rising, 0, [-1, -1]),
    ):
        found = rnnjax.basins(
            Pitchfork(1.0), starts, input=input, time=time, duration=40.0
        )  # fmt: skip
        ends = [np.sign(places(found)[k]) for k in found.label]
        assert ends == expected


def test_fixed_steps_and_other_solvers_agree():
    starts = np.linspace(-2, 2, 8)
    for options in ({"step": 0.05}, {"rtol": 1e-4, "atol": 1e-4}):
        found = rnnjax.basins(Pitchfork(1.0), starts, duration=20.0, **options)
        assert [np.sign(places(found)[k]) for k in found.label] == [-1] * 4 + [1] * 4


# --- shares ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sampled():
    box = [axis(f, (-3.0, 3.0)) for f in (first, second)]
    sample = random_points(*box, count=2000, key=jax.random.key(3))
    return rnnjax.basins(Rings(), sample, duration=40.0)


def test_shares_of_a_sample(sampled):
    share = np.pi / 36
    error = np.sqrt(share * (1 - share) / 2000)
    assert abs(sampled.share(0) - share) < 3 * error
    np.testing.assert_allclose(sampled.error(0), error, rtol=0.1)
    assert sampled.share(0) + sampled.share(Basins.MOVING) == 1
    inside = np.hypot(*sampled.starts.T) < 1
    np.testing.assert_array_equal(sampled.label, np.where(inside, 0, Basins.MOVING))
    moving = sampled.label == Basins.MOVING
    np.testing.assert_allclose(sampled.swing[moving], 4.0, rtol=1e-3)
    assert sampled.grid == ()
    assert sampled.varied == ("state[0]", "state[1]")


def test_shares_of_a_grid_come_nearer_with_its_spacing():
    errors, bounds = [], []
    for count in (15, 30, 60):
        half = 1.5 - 1.5 / count  # the points are the middles of cells that fill the box
        found = rnnjax.basins(Rings(), square(-half, half, count), duration=40.0)
        errors.append(abs(found.share(0) - np.pi / 9))
        bounds.append(found.error(0))
    assert all(e < b for e, b in zip(errors, bounds, strict=True))
    np.testing.assert_allclose(np.array(bounds[:-1]) / bounds[1:], 2, atol=0.25)


def test_the_error_of_a_grid_counts_both_sides_of_the_border():
    found = rnnjax.basins(Pitchfork(1.0), line(-2, 3, 10), duration=20.0)
    low = found.label[0]
    assert found.share(low) == 0.4
    np.testing.assert_allclose(found.error(low), 2 / 10 / 2)
    assert found.error(Basins.FAILED) == 0


# --- what does not rest ------------------------------------------------------------------------


def test_everything_moves_around_an_unstable_focus():
    starts = np.array([[0.0, 0.0], [0.01, 0.0], [2.0, 1.0]])
    found = rnnjax.basins(StuartLandau(0.25), starts, duration=100.0)
    assert found.label.tolist() == [Basins.NOT_SETTLED, Basins.MOVING, Basins.MOVING]
    np.testing.assert_allclose(found.swing[1:], 1.0, rtol=1e-3)
    np.testing.assert_allclose(found.swing[0], 0.0, atol=1e-12)


def test_a_slow_passage_is_no_attractor():
    # past the ghost at 0, which takes pi / 0.01 ms
    ghost = rnnjax.basins(SaddleNode(-1e-4), np.array([1.0]), duration=60.0)
    assert ghost.label.tolist() == [Basins.NOT_SETTLED]
    gone = rnnjax.basins(SaddleNode(-1e-4), np.array([1.0]), duration=400.0)
    assert gone.label.tolist() == [Basins.FAILED]
    # beside the stable manifold of a saddle: after 45 ms 1e-9 has grown to order one
    network = LinearNetwork(Dense([[1.5, 0.0], [0.0, -1.0]]), tau=1.0)
    for duration, label in ((15.0, Basins.NOT_SETTLED), (3000.0, Basins.FAILED)):
        found = rnnjax.basins(network, np.array([[1e-9, 1.0]]), duration=duration)
        assert found.label.tolist() == [label]


def test_a_weak_spiral_is_not_called_moving():
    """On x' = -r^2 x - y it falls as 1 / sqrt(2 t), and no linear rate tells that it rests."""
    found = rnnjax.basins(StuartLandau(0.0), np.array([[0.5, 0.0]]), duration=200.0)
    assert found.label.tolist() == [Basins.NOT_SETTLED]


def test_a_run_that_is_shorter_than_its_period_has_not_settled():
    found = rnnjax.basins(StuartLandau(0.25, omega=0.01), np.array([[0.5, 0.0]]), duration=50.0)
    assert found.label.tolist() == [Basins.NOT_SETTLED]


# --- the attractors ----------------------------------------------------------------------------


def test_attractors_that_are_given():
    starts = np.array([-0.7, 0.7])
    known = rnnjax.find_equilibria(Pitchfork(1.0), guesses=np.array([1.1, 0.1]))
    for given in (known, np.array([1.0, 0.0]), np.array(1.0)):
        found = rnnjax.basins(Pitchfork(1.0), starts, attractors=given, duration=20.0)
        # what was not given is not looked for
        assert found.label.tolist() == [Basins.NOT_SETTLED, places(found).index(1.0)]
        assert len(found.attractors) == np.size(given if given is not known else [0, 0])
    with pytest.raises(ValueError, match=r"attractors: expected equilibria .* got \[0.5\], which"):
        rnnjax.basins(Pitchfork(1.0), starts, attractors=np.array([1.0, 0.5]), duration=20.0)
    with pytest.raises(ValueError, match=r"attractors: expected states with a guess axis"):
        rnnjax.basins(Pitchfork(1.0), starts, attractors=np.zeros((2, 2)), duration=20.0)


def test_attractors_far_from_rest_are_found_where_runs_end():
    """Two units at rest for drives below 1000, unless they are on already."""
    circuit = CurrentNetwork(Dense([[5000.0]]), nonlinearity=late)
    assert len(rnnjax.find_equilibria(circuit)) == 1
    found = rnnjax.basins(circuit, square(0, 4000, 5)[:1], duration=30.0)
    assert found.label.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(found.attractors[1], [5000.0], rtol=1e-3)


def late(x):
    """It turns on at 2500."""
    return jax.nn.sigmoid((x - 2500) / 5)


def test_the_neighborhood_is_where_the_distance_shrinks():
    """On x' = x - x^3 at 1 half of the linear rate holds down to (3 - sqrt 5) / 2 below."""
    circuit = Pitchfork(1.0)
    found = rnnjax.find_equilibria(circuit, guesses=np.array([1.0, 0.0, -1.0]))
    near = neighborhoods(circuit, as_input(circuit, None), found)
    np.testing.assert_allclose(near[0].form, [[1 / 4]], rtol=1e-12)  # -2 P - P 2 = -1
    edge = near[0].radius / np.sqrt(near[0].form[0, 0])
    largest = (3 - np.sqrt(5)) / 2
    assert 0.6 * largest < edge < largest
    np.testing.assert_allclose(near[0].reach(np.array([[1 + edge], [1.0]])), [1, 0], rtol=1e-9)
    assert near[1].radius == 0
    assert np.isinf(near[1].reach(np.zeros((1, 1)))).all()


@pytest.mark.parametrize(
    "jacobian",
    [
        [[-1.0, 1.0], [0.0, -1.0]],
        [[-1e-4, 0.3], [-0.3, -1e-4]],
        [[-1.0, 1e5, 0.0], [0.0, -2.0, 0.0], [1.0, 0.0, -1e3]],
    ],
    ids=["defective", "weak focus", "of many units"],
)
def test_the_distance_of_a_linear_circuit(jacobian):
    jacobian = np.array(jacobian)
    form, units = _form(jacobian)
    falls = jacobian.T @ form + form @ jacobian
    scale = np.abs(form).max() * np.abs(jacobian).max()
    np.testing.assert_allclose(falls, -np.diag(1 / units**2), atol=1e-11 * scale)
    assert (np.linalg.eigvalsh(form) > 0).all()
    # a linear circuit attracts from everywhere; this ellipsoid is about the size of the state
    circuit = LinearNetwork(Dense(10 * jacobian + np.eye(len(jacobian))), tau=10.0)
    found = rnnjax.find_equilibria(circuit)
    near = neighborhoods(circuit, as_input(circuit, None), found)[0]
    assert near.reach(0.01 * units[None]) < 1


# --- starts ------------------------------------------------------------------------------------


def test_starts_of_every_kind():
    pair = ExcitatoryInhibitory(tau_i=30.0)
    e, i = np.array([0.0, 20.0, 40.0]), np.array([0.0, 20.0])
    grid = rnnjax.basins(
        pair, [axis(lambda s: s.e, e), axis(lambda s: s.i, i)], duration=400.0
    )  # fmt: skip
    np.testing.assert_array_equal(grid.starts.e, [0, 0, 20, 20, 40, 40])
    np.testing.assert_array_equal(grid.starts.i, [0, 20] * 3)
    assert grid.varied == ("e", "i")
    assert [x.tolist() for x in grid.grid] == [e.tolist(), i.tolist()]
    assert grid.label.tolist() == [0] * 6
    assert "100 %" in repr(grid)
    assert "stable focus" in repr(grid)
    listed = rnnjax.basins(
        pair, points(axis(lambda s: s.e, e), axis(lambda s: s.i, [1.0, 2.0, 3.0])), duration=400.0
    )  # fmt: skip
    np.testing.assert_array_equal(listed.starts.i, [1, 2, 3])
    assert listed.grid == ()
    held = rnnjax.basins(
        pair, axis(lambda s: s.e, e), state=ExcitatoryInhibitoryState(0.0, 7.0), duration=400.0
    )  # fmt: skip
    np.testing.assert_array_equal(held.starts.i, [7, 7, 7])
    given = rnnjax.basins(pair, ExcitatoryInhibitoryState(e, e), duration=400.0)
    np.testing.assert_array_equal(given.starts.i, e)
    assert given.varied == ("e", "i")


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (lambda: [axis(lambda s: s.v, [0.0])], r"starts: `where` must name variables.*'e', 'i'"),
        (lambda: [axis(lambda s: 0.5, [0.0])], r"starts: `where` must name variables.*it gave"),
        (lambda: [axis(lambda s: s.e, [0.0]), axis(lambda s: s.e, [1.0])], "different variables"),
        (lambda: [axis(lambda s: s.e, [np.inf])], "starts: expected finite values"),
        (lambda: [axis(lambda s: s.e, [[1.0, 2.0]])], r"starts: expected finite values of shape"),
        (lambda: np.zeros((3, 2)), r"starts: expected states with a guess axis in front"),
        (lambda: ExcitatoryInhibitoryState(np.array([np.nan]), np.zeros(1)), "1 of 1 that are not"),
        (lambda: ExcitatoryInhibitoryState(np.zeros(0), np.zeros(0)), "at least one state"),
    ],
)
def test_starts_that_do_not_fit(starts, message):
    with pytest.raises(ValueError, match=message):
        rnnjax.basins(ExcitatoryInhibitory(), starts(), duration=10.0)


def test_refusals():
    starts = np.array([0.5])
    with pytest.raises(ValueError, match=r"duration"):
        rnnjax.basins(Pitchfork(1.0), starts, duration=-1.0)
    with pytest.raises(ValueError, match=r"tolerance: expected a share between 0 and 1, got 2"):
        rnnjax.basins(Pitchfork(1.0), starts, duration=1.0, tolerance=2)
    with pytest.raises(ValueError, match=r"rtol"):
        rnnjax.basins(Pitchfork(1.0), starts, duration=1.0, rtol=1e-18)
    with pytest.raises(TypeError, match=r"starts: expected axes only"):
        rnnjax.basins(Pitchfork(1.0), [line(), 3.0], duration=1.0)
    with pytest.raises(ValueError, match=r"can't be used inside jit"):
        jax.jit(lambda mu: rnnjax.basins(Pitchfork(mu), starts, duration=1.0).label)(1.0)


def test_later_calls_compile_nothing():
    traced = []

    class Counted(Pitchfork):
        def __call__(self, state, input):
            if isinstance(state, jax.core.Tracer):
                traced.append(state.aval)
            return super().__call__(state, input)

    starts = np.linspace(-1.0, 1.5, 8)
    rnnjax.basins(Counted(1.0), starts, duration=10.0)
    before = len(traced)
    # other numbers, and starts that take all three stretches
    rnnjax.basins(Counted(0.9), starts + 0.01, duration=0.2)
    assert len(traced) == before


# --- as a table and as a picture ---------------------------------------------------------------


def test_as_xarray(sampled):
    data = sampled.to_xarray()
    assert data.sizes["start"] == 2000
    np.testing.assert_array_equal(data.label, sampled.label)
    assert data.label.attrs["flag_values"] == [-1, -2, -3, 0]
    assert data.label.attrs["flag_meanings"] == "moving not_settled failed rest_0"
    np.testing.assert_array_equal(data.starts_state, sampled.starts)
    assert data.attrs["share_rest_0"] == sampled.share(0)
    assert data.attrs["error_moving"] == sampled.error(Basins.MOVING)
    assert "label" in sampled._repr_html_()
    grid = rnnjax.basins(Rings(), square(-1.4, 1.4, 4), duration=40.0).to_xarray()
    assert grid.label.dims == ("state[0]", "state[1]")
    np.testing.assert_allclose(grid["state[0]"], np.linspace(-1.4, 1.4, 4))
    values = np.hypot(*np.meshgrid(*2 * [np.linspace(-1.4, 1.4, 4)])) < 1
    np.testing.assert_array_equal(grid.label == 0, values)
    assert plot.sweep_map(grid.label).has_data()
    plt.close("all")


@pytest.fixture
def figures():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def by_gid(ax, gid):
    return next(each for each in ax.get_lines() if each.get_gid() == gid)


@pytest.mark.usefixtures("figures")
def test_a_grid_is_drawn_as_areas():
    found = rnnjax.basins(Rings(), square(-1.4, 1.4, 8), duration=40.0)
    ax = plot.basins(found)
    (mesh,) = ax.collections
    colors = mesh.cmap(mesh.norm(mesh.get_array().ravel()))
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["rest 0", "moving", "stable focus"]
    patches = ax.get_legend().get_patches()
    inside = np.hypot(found.starts[:, 0], found.starts[:, 1]).reshape(8, 8).T.ravel() < 1
    for k, color in enumerate(colors):
        np.testing.assert_allclose(color, patches[0 if inside[k] else 1].get_facecolor())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("state[0]", "state[1]")
    marker = by_gid(ax, "equilibrium 0")
    np.testing.assert_allclose(marker.get_xydata(), [[0, 0]], atol=1e-12)
    assert to_rgba(marker.get_markerfacecolor()) == to_rgba("black")
    np.testing.assert_allclose(ax.get_xlim(), (-1.6, 1.6), rtol=1e-12)


@pytest.mark.usefixtures("figures")
def test_a_sample_is_drawn_as_points(sampled):
    _, axes = plt.subplots(1, 2)
    assert plot.basins(sampled, axes[1]) is axes[1]
    inside = by_gid(axes[1], "starts rest 0")
    assert len(inside.get_xdata()) == (sampled.label == 0).sum()
    assert np.hypot(*inside.get_xydata().T).max() < 1
    swapped = plot.basins(sampled, axes[0], variables=("state[1]", "state[0]"))
    np.testing.assert_array_equal(by_gid(swapped, "starts rest 0").get_xdata(), inside.get_ydata())


@pytest.mark.usefixtures("figures")
def test_drawings_that_are_refused(sampled):
    with pytest.raises(TypeError, match=r"basins: expected Basins, got int"):
        plot.basins(3)
    with pytest.raises(ValueError, match=r"variables: expected two of \['state\[0\]'"):
        plot.basins(sampled, variables=("v", "w"))
    alone = rnnjax.basins(Pitchfork(1.0), line(), duration=20.0)
    with pytest.raises(ValueError, match=r"expected a grid over two variables, got one over"):
        plot.basins(alone)
