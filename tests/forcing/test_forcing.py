"""Forcing: its algebra, what the gradient sees of it, and what can't be forced."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training import (
    STEPS,
    agree,
    given_by,
    gradient,
    loop,
    network,
    numbers,
    step,
    trials,
)

from rnnjax import OnTask, RateReadout, StateReadout
from rnnjax._precision import cast
from rnnjax.circuits import RateNetwork
from rnnjax.forcing import (
    AdaptiveTeacherForcing,
    ErrorForcing,
    GeneralizedTeacherForcing,
    KalmanGain,
    Moment,
    NoForcing,
    PseudoInverse,
    RandomFeedback,
    TeacherForcing,
    Transpose,
    largest_norm,
    mean_of_norms,
    norm_of_mean,
)
from rnnjax.tasks import DelayedXOR

RIDGE = 1e-12
EXACT = PseudoInverse(RIDGE)


def task(outputs=1):
    return DelayedXOR()


def on_task(**options):
    return OnTask(DelayedXOR(), **options)


def inverse(weights, ridge=RIDGE):
    return weights.T @ np.linalg.inv(weights @ weights.T + ridge * np.eye(len(weights)))


def moment(net, seed=3, mask=1.0):
    rng = np.random.default_rng(seed)
    outputs = net.readout.channels
    state = rng.normal(size=net.circuit.connectivity.units)
    target = rng.normal(size=outputs)
    error = mask * (target - (net.readout.weights @ state + net.readout.bias))
    every = np.full(outputs, mask)
    return Moment(
        state, error, rng.normal(size=outputs), target, every, np.asarray(mask), np.asarray(1.0)
    )


def forced(forcing, net, at):
    with jax.enable_x64(True):
        forcing, net, at = cast((forcing, net, at), np.float64)
        at = jax.tree.map(jnp.asarray, at)
        memory = forcing.begin(net, jax.random.key(0))
        return np.asarray(forcing(forcing.tools(net, memory), at))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("gain", [0.1, 0.5, 1.0])
def test_a_share_of_the_error_is_left(outputs, gain):
    net = network(outputs)
    at = moment(net)
    w, b = net.readout.weights, net.readout.bias
    after = forced(ErrorForcing(gain, EXACT), net, at)
    left = at.target - (w @ after + b)
    np.testing.assert_allclose(left, (1 - gain) * at.error, atol=1e-6 * abs(at.error).max())
    single, at32, net32 = cast((ErrorForcing(gain), at, net), np.float32)
    after = single(single.tools(net32, None), jax.tree.map(jnp.asarray, at32))
    left = at.target - (w @ np.asarray(after) + b)
    np.testing.assert_allclose(left, (1 - gain) * at.error, atol=1e-4 * abs(at.error).max())


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_correction_is_the_smallest_and_spares_what_is_not_read_out(outputs):
    net, gain = network(outputs), 0.4
    at = moment(net)
    w, b = net.readout.weights, net.readout.bias
    correction = forced(ErrorForcing(gain, EXACT), net, at) - at.state
    unseen = np.linalg.svd(w)[2][outputs:]
    assert abs(unseen @ correction).max() < 1e-6
    least = np.linalg.lstsq(w, gain * at.error, rcond=None)[0]
    np.testing.assert_allclose(correction, least, atol=1e-6)
    # h_EF - h_GTF = c (1 - P) h
    other = forced(GeneralizedTeacherForcing(gain, RIDGE), net, at)
    projector = inverse(w) @ w
    np.testing.assert_allclose(
        at.state + correction - other, gain * (at.state - projector @ at.state), atol=1e-6
    )
    np.testing.assert_allclose(
        other, (1 - gain) * at.state + gain * inverse(w) @ (at.target - b), atol=1e-6
    )


def test_hard_teacher_forcing_replaces_the_state_or_what_is_seen_of_it():
    net = network(2)
    at = moment(net)
    w, b = net.readout.weights, net.readout.bias
    np.testing.assert_allclose(
        forced(TeacherForcing(ridge=RIDGE), net, at), inverse(w) @ (at.target - b), atol=1e-8
    )
    kept = forced(TeacherForcing(keep_unseen=True, ridge=RIDGE), net, at)
    np.testing.assert_allclose(w @ kept + b, at.target, atol=1e-8)
    unseen = np.linalg.svd(w)[2][2:]
    np.testing.assert_allclose(unseen @ kept, unseen @ at.state, atol=1e-8)
    np.testing.assert_array_equal(TeacherForcing(every=4).acting(9), [1, 0, 0, 0, 1, 0, 0, 0, 1])


@pytest.mark.parametrize(
    "forcing",
    [ErrorForcing(0.5), GeneralizedTeacherForcing(0.5), TeacherForcing(), TeacherForcing(1, True)],
    ids=["error", "generalized", "hard", "seen"],
)
def test_nothing_happens_where_nothing_is_asked(forcing):
    net = network(2)
    at = moment(net, mask=0.0)
    np.testing.assert_array_equal(forced(forcing, net, at), at.state)


def test_the_kalman_gain_in_its_limits():
    net = network(2)
    at = moment(net)
    w, b = net.readout.weights, net.readout.bias
    sure = forced(ErrorForcing(1.0, KalmanGain(1e-12)), net, at)
    np.testing.assert_allclose(w @ sure + b, at.target, atol=1e-6)
    orthonormal = np.linalg.qr(w.T)[0].T
    net = eqx.tree_at(lambda n: n.readout.weights, net, orthonormal)
    at = moment(net)
    ratio = 0.7
    np.testing.assert_allclose(
        forced(ErrorForcing(1.0, KalmanGain(ratio)), net, at),
        forced(ErrorForcing(1 / (1 + ratio), EXACT), net, at),
        atol=1e-6,
    )


def test_other_ways_back():
    net = network(2)
    at = moment(net)
    w = net.readout.weights
    np.testing.assert_allclose(
        forced(ErrorForcing(0.3, Transpose()), net, at), at.state + 0.3 * w.T @ at.error, atol=1e-12
    )
    with jax.enable_x64(True):
        drawn = np.asarray(RandomFeedback(2.0).begin(net, len(w.T), jax.random.key(0)))
    np.testing.assert_allclose(
        forced(ErrorForcing(0.3, RandomFeedback(2.0)), net, at),
        at.state + 0.3 * drawn @ at.error, atol=1e-12,
    )  # fmt: skip
    late = forced(ErrorForcing(0.3, EXACT, previous_error=True), net, at)
    np.testing.assert_allclose(late, at.state + 0.3 * inverse(w) @ at.error_before, atol=1e-8)
    with pytest.raises(ValueError, match="needs key="):
        ErrorForcing(0.3, RandomFeedback()).begin(net, None)


def bent(x):
    return x + 0.3 * x**3


def test_a_readout_that_bends_is_led_back_by_its_jacobian():
    net = network(2)
    readout = StateReadout(net.readout.weights, net.readout.bias, bent)
    net = eqx.tree_at(lambda n: n.readout, net, readout)
    at = moment(net)
    y = net.readout.weights @ at.state + net.readout.bias
    jacobian = np.diag(1 + 0.9 * y**2) @ net.readout.weights
    np.testing.assert_allclose(
        forced(ErrorForcing(0.3, EXACT, damping=0.0), net, at),
        at.state + 0.3 * inverse(jacobian) @ at.error, atol=1e-8,
    )  # fmt: skip
    rates = RateReadout(net.readout.weights, net.readout.bias)
    net = eqx.tree_at(lambda n: n.readout, net, rates)
    jacobian = net.readout.weights / np.cosh(at.state) ** 2
    np.testing.assert_allclose(
        forced(ErrorForcing(0.3, EXACT, damping=0.0), net, at),
        at.state + 0.3 * inverse(jacobian) @ at.error, atol=1e-8,
    )  # fmt: skip


def test_a_saturated_readout_asks_for_no_wild_move():
    net = network(1)
    readout = StateReadout(net.readout.weights, net.readout.bias, jnp.tanh)
    net = eqx.tree_at(lambda n: n.readout, net, readout)
    size = np.linalg.norm(net.readout.weights)
    along = net.readout.weights[0] / size**2
    for level in (0.0, 2.0, 5.0, 20.0):  # what the readout's tanh is given
        at = moment(net)._replace(state=(level - net.readout.bias[0]) * along)
        error = np.array([0.5 - np.tanh(level)])
        at = at._replace(error=error)
        moved = forced(ErrorForcing(1.0, EXACT), net, at) - at.state
        slope = 1 / np.cosh(level) ** 2
        wanted = slope * size / ((slope * size) ** 2 + 0.01 * size**2) * error[0]
        np.testing.assert_allclose(moved, wanted * along * size, atol=1e-7)
        assert np.linalg.norm(moved) <= 5 * abs(error[0]) / size * (1 + 1e-6)


def test_a_late_error_keeps_the_mask_of_each_output():
    net = network(2)
    at = moment(net)._replace(mask=np.array([1.0, 0.0]), asked=np.asarray(0.0))
    moved = forced(ErrorForcing(0.3, EXACT, previous_error=True), net, at) - at.state
    wanted = 0.3 * inverse(net.readout.weights) @ (at.error_before * [1.0, 0.0])
    np.testing.assert_allclose(moved, wanted, atol=1e-10)


def error_forced(gain, hold=True, late=False):
    def force(p, h, error, target, mask, before):
        back = p["w_out"].T @ jnp.linalg.inv(p["w_out"] @ p["w_out"].T + RIDGE * jnp.eye(2))
        back = jax.lax.stop_gradient(back)
        correction = gain * back @ (mask * before if late else error)
        return h + (jax.lax.stop_gradient(correction) if hold else correction)

    return force


def teacher_forced(alpha, keep_unseen=False):
    def force(p, h, error, target, mask, before):
        p = jax.lax.stop_gradient(p)
        back = p["w_out"].T @ jnp.linalg.inv(p["w_out"] @ p["w_out"].T + RIDGE * jnp.eye(2))
        share = alpha * mask.min()
        if keep_unseen:
            return h + share * back @ (target - p["b_out"] - p["w_out"] @ h)
        return (1 - share) * h + share * back @ (target - p["b_out"])

    return force


LOOPS = {
    "error": (ErrorForcing(0.4, EXACT), error_forced(0.4)),
    "error, not held": (ErrorForcing(0.4, EXACT, hold=False), error_forced(0.4, False)),
    "late": (ErrorForcing(0.4, EXACT, previous_error=True), error_forced(0.4, late=True)),
    "generalized": (GeneralizedTeacherForcing(0.4, RIDGE), teacher_forced(0.4)),
    "seen": (TeacherForcing(keep_unseen=True, ridge=RIDGE), teacher_forced(1.0, True)),
}


@pytest.mark.parametrize("name", LOOPS)
def test_the_gradient_through_a_forcing_is_that_of_a_plain_loop(name):
    forcing, force = LOOPS[name]
    net, trial = network(2), trials(2)
    found = given_by(on_task(forcing=forcing, activity=0.3), net, trial)
    agree(found, gradient(net, trial, force, activity=0.3), 1e-9)


def test_error_forcing_is_the_network_itself_with_its_corrections_as_inputs():
    net, trial = network(2), trials(2)
    found = given_by(on_task(forcing=ErrorForcing(0.4, EXACT)), net, trial)
    with jax.enable_x64(True):
        p = {k: jnp.asarray(v, float) for k, v in numbers(net).items()}
        force = error_forced(0.4)

        def corrections(trial):
            x, target, mask = trial
            _, after = loop(p, x, target, mask, force)
            before = jnp.concatenate([p["start"][None], after[:-1]])
            return after - jax.vmap(lambda h, u: step(p, h, u))(before, x)

        recorded = jax.jit(jax.vmap(corrections))(jax.tree.map(jnp.asarray, trial))

        def loss(p):
            def one(trial, nudges):
                x, target, mask = trial
                y, _ = loop(p, x, target, mask, None, nudges=nudges)
                return jnp.sum(mask * (y - target) ** 2) / jnp.sum(mask)

            return jnp.mean(jax.vmap(one)(trial, recorded))

        wanted = jax.tree.map(np.asarray, jax.jit(jax.value_and_grad(loss))(p))
    assert abs(np.asarray(recorded)).max() > 0.1
    agree(found, wanted, 1e-6)


@pytest.mark.parametrize("forcing", [ErrorForcing(0.0), GeneralizedTeacherForcing(0.0)])
def test_a_gain_of_zero_is_no_forcing(forcing):
    net, trial = network(2), trials(2)
    plain, same = (given_by(on_task(forcing=f), net, trial) for f in (NoForcing(), forcing))
    assert plain[0] == same[0]
    for name, value in plain[1].items():
        np.testing.assert_allclose(same[1][name], value, rtol=0, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("forcing", [ErrorForcing(0.4), TeacherForcing()])
def test_where_nothing_is_asked_the_gradient_is_that_without_forcing(forcing):
    net, trial = network(2), trials(2)
    trial = trial._replace(mask=np.zeros_like(trial.mask))
    plain, same = (
        given_by(on_task(forcing=f, loss=off_by_one), net, trial) for f in (NoForcing(), forcing)
    )
    assert plain[0] == same[0]
    for name, value in plain[1].items():
        np.testing.assert_allclose(same[1][name], value, rtol=0, atol=1e-14, err_msg=name)


def test_validation_never_sees_a_forcing():
    net = cast(network(1, seed=2), np.float32)
    net = eqx.tree_at(
        lambda n: n.encoder.weights, net, np.random.default_rng(0).normal(size=(6, 3)).astype("f4")
    )
    key = jax.random.key(3)
    losses = [
        float(
            eqx.filter_jit(
                cast(OnTask(DelayedXOR(), forcing=f, validation=8), np.float32).validate
            )(net, key)
        )
        for f in (NoForcing(), ErrorForcing(1.0), TeacherForcing())
    ]
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("alpha", [0.2, 0.5])
def test_teacher_forcing_damps_the_gradient_by_a_factor_each_forced_step(alpha):
    # along one trajectory: with W^+ (y* - b) equal to the state, forcing moves nothing
    net = network(1, units=3, seed=4)
    net = eqx.tree_at(lambda n: (n.readout.weights, n.readout.bias), net, (np.eye(3), np.zeros(3)))
    trial = trials(3, masked=False)
    with jax.enable_x64(True):
        p = {k: jnp.asarray(v, float) for k, v in numbers(net).items()}
        outputs = jnp.stack(
            [loop(p, x, jnp.zeros((STEPS, 3)), jnp.ones((STEPS, 3)), None)[0] for x in trial.inputs]
        )
    trial = trial._replace(targets=np.asarray(outputs))
    free = given_by(on_task(loss=off_by_one), net, trial)
    forcing = GeneralizedTeacherForcing(alpha, RIDGE)
    held = given_by(on_task(loss=off_by_one, forcing=forcing), net, trial)
    factor = (1 - alpha) ** (STEPS - 1)  # the last step's output is read before it is forced
    np.testing.assert_allclose(held[1]["start"], factor * free[1]["start"], rtol=1e-5)


def off_by_one(outputs, targets, mask):
    """A loss of the last step, whose derivative does not vanish at the targets."""
    return outputs[-1].sum()


def test_sparse_teacher_forcing_cuts_the_gradient_where_it_acts():
    net, trial = network(1), trials(1, masked=False)
    found = given_by(on_task(forcing=TeacherForcing(every=STEPS)), net, trial)
    assert abs(found[1]["start"]).max() > 0  # through the first output, before it is forced
    only_late = trial._replace(mask=np.where(np.arange(STEPS)[None, :, None] == 0, 1.0, trial.mask))
    found = given_by(on_task(forcing=TeacherForcing(every=STEPS), loss=off_by_one), net, only_late)
    assert abs(found[1]["start"]).max() == 0


@pytest.mark.parametrize(
    "estimate",
    [
        mean_of_norms,
        *(pytest.param(f, marks=pytest.mark.slow) for f in (norm_of_mean, largest_norm)),
    ],
)
def test_the_adaptive_strength_follows_the_jacobians(estimate):
    net, trial = network(1, scale=3.0), trials(1)
    asked = np.array([0, 1, 0, 1, 1, 1, 0, 1.0])  # at the last step nothing follows
    trial = trial._replace(mask=np.broadcast_to(asked[:, None], trial.mask.shape))
    forcing = AdaptiveTeacherForcing(estimate, start=0.0)
    with jax.enable_x64(True):
        forcing, net, trial = cast((forcing, net, trial), np.float64)

        def once(state, inputs):
            return step({k: jnp.asarray(v) for k, v in numbers(net).items()}, state, inputs)

        alpha = forcing.begin(net, None)
        states = np.einsum(
            "io,bto->bti", inverse(net.readout.weights, 1e-7), trial.targets - net.readout.bias
        )
        following = trial.inputs[:, 1:]  # the state that a target means is left by the next step
        jacobian = jax.vmap(jax.vmap(jax.jacrev(once)))(states[:, :-1], following)
        jacobian = jacobian[:, asked[:-1] > 0]
        norms = np.linalg.norm(np.asarray(jacobian), 2, axis=(-2, -1))
        wanted = {
            mean_of_norms: np.exp(np.log(norms).mean(1)), largest_norm: norms.max(1),
            norm_of_mean: np.linalg.norm(np.asarray(jacobian).mean(1), 2, axis=(-2, -1)),
        }[estimate].max()  # fmt: skip
        advance = eqx.filter_jit(forcing.advance)
        up = advance(alpha, jnp.asarray(0), net, once, trial)
        np.testing.assert_allclose(up, max(0, 1 - 1 / wanted), rtol=1e-8)
        assert up > 0
        assert advance(alpha, jnp.asarray(1), net, once, trial) == 0
        down = advance(jnp.asarray(0.9), jnp.asarray(5), net, once, trial)
        np.testing.assert_allclose(down, 0.999 * 0.9 + 0.001 * float(up), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ErrorForcing(1.5), r"expected a number in \[0, 1\], got 1.5"),
        (lambda: ErrorForcing(-0.1), "each step leaves 1 - gain"),
        (lambda: GeneralizedTeacherForcing(2.0), r"alpha: expected a number in \[0, 1\]"),
        (lambda: AdaptiveTeacherForcing(start=-1.0), r"start: expected a number in \[0, 1\]"),
        (lambda: TeacherForcing(every=0), "every: expected a positive whole number"),
    ],
)
def test_numbers_that_can_not_be_right(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numbers_that_were_put_in_afterwards_are_looked_at_in_a_fit():
    for forcing, name in ((ErrorForcing(), "gain"), (GeneralizedTeacherForcing(), "alpha")):
        changed = eqx.tree_at(lambda f, name=name: getattr(f, name), forcing, 1.5)
        with pytest.raises(ValueError, match=rf"{name}: expected a number in \[0, 1\], got 1.5"):
            changed.check(network(1))


@pytest.mark.parametrize("estimate", [mean_of_norms, norm_of_mean, largest_norm])
def test_steps_that_do_not_count_have_no_say(estimate):
    forgets_all, doubles = np.zeros((2, 2)), 2 * np.eye(2)
    jacobians = np.stack([forgets_all, doubles])
    assert estimate(jacobians, np.array([0.0, 1.0])) == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("feedback", [KalmanGain(0.5), Transpose(), RandomFeedback()])
def test_feedback_that_inverts_nothing_takes_outputs_that_are_the_same(feedback):
    net = network(2)
    same = eqx.tree_at(lambda n: n.readout.weights, net, np.ones_like(net.readout.weights))
    ErrorForcing(0.2, feedback).check(same)
    with pytest.raises(ValueError, match="do not depend on each other"):
        ErrorForcing(0.2).check(same)


def test_feedback_that_is_none():
    with pytest.raises(TypeError, match="feedback"):
        ErrorForcing(0.1, "pinv")


@pytest.mark.parametrize(
    "forcing", [ErrorForcing(), GeneralizedTeacherForcing(), TeacherForcing(), AdaptiveTeacherForcing()],
    ids=lambda f: type(f).__name__,
)  # fmt: skip
def test_a_readout_without_an_inverse_is_refused(forcing):
    twice = np.ones((2, 6))
    net = eqx.tree_at(lambda n: n.readout.weights, network(2), twice)
    with pytest.raises(ValueError, match="do not depend on each other"):
        forcing.check(net)
    net = eqx.tree_at(lambda n: n.readout.weights, network(2), np.ones((7, 6)))
    with pytest.raises(ValueError, match="at most as many outputs as state variables"):
        forcing.check(net)


@pytest.mark.parametrize(
    "forcing", [GeneralizedTeacherForcing(), TeacherForcing(), AdaptiveTeacherForcing()],
    ids=lambda f: type(f).__name__,
)  # fmt: skip
def test_teacher_forcing_needs_an_affine_readout(forcing):
    net = network(1)
    net = eqx.tree_at(lambda n: n.readout, net, RateReadout(net.readout.weights))
    with pytest.raises(ValueError, match="affine in the state"):
        forcing.check(net)
    ErrorForcing().check(net)
    net = eqx.tree_at(lambda n: n.readout, net, RateReadout(np.ones((2, 6))))
    with pytest.raises(ValueError, match="do not depend on each other"):
        ErrorForcing().check(net)


def test_rate_networks_are_forced_in_the_same_way():
    net, trial = network(2, RateNetwork), trials(2)
    found = given_by(on_task(forcing=ErrorForcing(0.4, EXACT)), net, trial)
    agree(found, gradient(net, trial, error_forced(0.4), form=RateNetwork), 1e-9)
