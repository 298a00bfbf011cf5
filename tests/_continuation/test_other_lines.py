"""The march carries whatever can be followed: fixed points of a map, through their fold."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax import BranchEnd
from rnnjax._continuation.both_ways import Way, all_at_once, both_ways
from rnnjax._continuation.corrector import corrected
from rnnjax._continuation.march import follow
from rnnjax._continuation.path import SmoothPath
from rnnjax._continuation.problem import Bounds, Steps
from rnnjax._continuation.zeros import Look, secants
from rnnjax._numerics.roots import looking

B, FOLD = 0.3, -(0.7**2) / 4  # of the Henon map: at the fold (1 - b)^2 + 4 a = 0


def fixed(u, _):
    """What vanishes at a fixed point (x, y) of the Henon map with parameter a."""
    x, y, a = u
    return jnp.stack([1 - a * x**2 + y - x, B * x - y])


def line(a):
    """The fixed points from one at a on, both ways, and the fold between two of them."""
    bounds = Bounds(jnp.asarray([-jnp.inf, -jnp.inf, -1.0]), jnp.asarray([10.0, jnp.inf, 0.5]))
    steps = Steps(jnp.asarray(1e-3), jnp.asarray(1e-7), jnp.asarray(0.05))
    turns = lambda u, frame, derivatives, tangent: tangent[-1]  # noqa: E731, vanishes where a turns
    path = SmoothPath(fixed, (turns,), lambda u, frame: frame, bounds, steps, None)
    x = (-0.7 + jnp.sqrt(0.49 + 4 * a)) / (2 * a)
    u, upward = jnp.stack([x, B * x, a]), jnp.asarray([0.0, 0.0, 1.0])

    def one_way(sign):
        now, taken = follow(path, path.place(u, (), sign * upward), 20)
        at = sign * (taken.length + taken.step)
        return Way(now.end, taken.seen.end, at, taken.taken, taken, jnp.zeros((), jnp.int32))

    both = both_ways(one_way, u, jnp.asarray(BranchEnd.GOING), (1.0, -1.0), all_at_once)
    k = jnp.argmax(jnp.isfinite(both.found.seen.root[:, 0]) & both.found.taken)
    begin, end = jax.tree.map(lambda x: x[k], (both.found.seen.begin, both.found.seen.end))

    def look(share):
        v, fine = corrected(
            looking(path.in_frame(())), begin.u + share * (end - begin.u), begin.tangent
        )
        return Look(path.place(v, (), begin.tangent).tangent[-1], jnp.asarray(1e-14), fine, v)

    after = path.place(end, (), begin.tangent).tangent[-1]
    _, found, _ = secants(look, (begin.tangent[-1], after), look(jnp.zeros(())), jnp.ones((), bool))
    return both.points, both.kept, both.ends, found.seen


def test_fixed_points_of_a_map_through_their_fold():
    with jax.enable_x64(True):
        points, kept, ends, fold = jax.jit(line)(jnp.asarray(0.5))
        points = np.asarray(points)[np.asarray(kept)]
        assert abs(np.asarray(jax.vmap(fixed, (0, None))(points, ()))).max() < 1e-12
    np.testing.assert_array_equal(ends, [BranchEnd.BOUND, BranchEnd.BOUND])
    np.testing.assert_array_equal([points[0, 0], points[-1, 2]], [10.0, 0.5])  # on their bounds
    np.testing.assert_allclose(points[0, 2], -6.0 / 100, rtol=1e-12)
    np.testing.assert_allclose(fold, [0.7 / (-2 * FOLD), 0.21 / (-2 * FOLD), FOLD], rtol=1e-9)
