"""Credit: exact rules are the gradient; the others are what their papers say, and where they agree."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training import NAMES, STEPS, TAU, UNITS, agree, given_by, gradient, network, trials

from rnnjax import (
    BlockedAdjoint,
    Checkpoint,
    LinearEncoder,
    OnTask,
    RateReadout,
    StateReadout,
    StoreAll,
    TaskNetwork,
    credit,
)  # fmt: skip
from rnnjax.circuits import CurrentNetwork, ExcitatoryInhibitory, RateNetwork
from rnnjax.connectivity import Dense
from rnnjax.credit import (
    AbstractCredit,
    BackpropagationThroughTime,
    DiagonalRecurrent,
    EligibilityPropagation,
    ForwardSensitivity,
    NodePerturbation,
    RandomFeedbackLocalOnline,
    TruncatedBackpropagation,
    WeightPerturbation,
    local,
)  # fmt: skip
from rnnjax.credit._local import WithFeedback
from rnnjax.forcing import (
    ErrorForcing,
    GeneralizedTeacherForcing,
    NoForcing,
    PseudoInverse,
    TeacherForcing,
)  # fmt: skip
from rnnjax.noise import Additive
from rnnjax.tasks import DelayedXOR

FORMS = [CurrentNetwork, pytest.param(RateNetwork, marks=pytest.mark.slow)]
ALPHA = 1 / TAU


def by(credit, **options):
    return OnTask(DelayedXOR(), credit=credit, **options)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "credit",
    [
        BackpropagationThroughTime(), BackpropagationThroughTime(StoreAll()),
        BackpropagationThroughTime(Checkpoint(3)), BackpropagationThroughTime(BlockedAdjoint(5)),
        ForwardSensitivity(), ForwardSensitivity(7),
    ],
    ids=["default", "all", "checkpoint", "blocked", "forward", "forward in parts"],
)  # fmt: skip
def test_exact_rules_are_the_gradient(form, credit):
    net, trial = network(2, form), trials(2)
    agree(given_by(by(credit), net, trial), gradient(net, trial, None, form=form), 1e-10)


EVERY = [x for x in vars(credit).values() if isinstance(x, type) and issubclass(x, AbstractCredit)]
CLAIMING = [rule for rule in EVERY if getattr(rule, "exact", False) is True]


@pytest.mark.parametrize("rule", CLAIMING, ids=lambda rule: rule.__name__)
def test_what_claims_to_be_exact_is_the_gradient_of_central_differences(rule):
    # the readout that forcing inverts is taken as given, so it moves where there is no forcing
    for forcing, names in (
        (GeneralizedTeacherForcing(0.3), ("m", "bias", "w_in", "start")), (NoForcing(), NAMES)
    ):  # fmt: skip
        net, trial = network(2), trials(2)
        objective = by(rule(), activity=0.3, forcing=forcing)
        found = given_by(objective, net, trial)[1]
        rng = np.random.default_rng(0)
        for name in names:
            place = operator.attrgetter(NAMES[name])
            direction = rng.normal(size=np.shape(place(net)))
            moved = (
                eqx.tree_at(place, net, place(net) + size * direction) for size in (1e-4, -1e-4)
            )
            up, down = (given_by(objective, other, trial)[0] for other in moved)
            slope = (found[NAMES[name]] * direction).sum()
            np.testing.assert_allclose(slope, (up - down) / 2e-4, rtol=1e-6, err_msg=name)


def test_forward_and_backward_agree_under_error_forcing():
    net, trial = network(2), trials(2)
    forcing = ErrorForcing(0.4, PseudoInverse(1e-12))
    found = [given_by(by(c, forcing=forcing), net, trial)
             for c in (BackpropagationThroughTime(), ForwardSensitivity())]  # fmt: skip
    for name, value in found[0][1].items():
        np.testing.assert_allclose(found[1][1][name], value, atol=1e-12, err_msg=name)


def test_truncation_cuts_between_blocks():
    net, trial = network(1), trials(1, masked=False)
    whole = gradient(net, trial, None)
    agree(given_by(by(TruncatedBackpropagation(STEPS)), net, trial), whole, 1e-10)
    # with a block of one step each output reaches back one step: p_t = d h_t / d W at h_(t-1)
    found = given_by(by(TruncatedBackpropagation(1)), net, trial)
    states = run(net, trial)
    rates = np.tanh(states[:, :-1])
    error = 2 * (outputs(net, states) - trial.targets) / STEPS / len(states)
    back = error @ net.readout.weights
    np.testing.assert_allclose(
        found[1][NAMES["m"]], ALPHA * np.einsum("bti,btj->ij", back, rates), rtol=1e-9
    )


def test_truncation_cuts_what_a_late_error_would_carry_on():
    forcing = ErrorForcing(0.4, previous_error=True, hold=False)
    objective = by(TruncatedBackpropagation(2), forcing=forcing, loss=at_the_end)
    found = given_by(objective, network(1), trials(1, masked=False))
    assert abs(found[1][NAMES["start"]]).max() == 0
    assert abs(found[1][NAMES["m"]]).max() > 0


def at_the_end(outputs, targets, mask):
    return jnp.sum((outputs[-1] - targets[-1]) ** 2)


def run(net, trial, form=CurrentNetwork):
    """The states of all trials, the start included, `(trials, steps + 1, units)`."""
    m, b, w = net.circuit.connectivity.weights, net.circuit.bias, net.encoder.weights
    states = [np.broadcast_to(net.start, (len(trial.inputs), UNITS))]
    for t in range(trial.inputs.shape[1]):
        h, drive = states[-1], trial.inputs[:, t] @ w.T + b
        new = np.tanh(h) @ m.T + drive if form is CurrentNetwork else np.tanh(h @ m.T + drive)
        states.append(h + ALPHA * (new - h))
    return np.stack(states, 1)


def outputs(net, states):
    return states[:, 1:] @ net.readout.weights.T + net.readout.bias


def murray(net, trial, feedback, form, keep_self=False):
    """The rule as published: eligibility traces forward in time, errors by `feedback`."""
    m, b, w = net.circuit.connectivity.weights, net.circuit.bias, net.encoder.weights
    states = run(net, trial, form)
    error = trial.mask * (outputs(net, states) - trial.targets)
    error = 2 * error / trial.mask.sum((1, 2), keepdims=True) / len(states)
    total = np.zeros((UNITS, UNITS))
    for k in range(len(states)):
        trace = np.zeros((UNITS, UNITS))
        for t in range(trial.inputs.shape[1]):
            h = states[k, t]
            if form is CurrentNetwork:
                decay = (1 - ALPHA) + keep_self * ALPHA * np.diag(m) * (1 - np.tanh(h) ** 2)
                trace = decay[:, None] * trace + ALPHA * np.tanh(h)[None, :]
            else:
                slope = 1 - np.tanh(m @ h + b + w @ trial.inputs[k, t]) ** 2
                decay = (1 - ALPHA) + keep_self * ALPHA * np.diag(m) * slope
                trace = decay[:, None] * trace + ALPHA * slope[:, None] * h[None, :]
            total += (feedback.T @ error[k, t])[:, None] * trace
    return total


@pytest.mark.parametrize("form", FORMS)
def test_random_feedback_is_the_published_recursion(form):
    net, trial = network(2, form), trials(2)
    feedback = np.random.default_rng(9).normal(size=(2, UNITS))
    found = given_by(by(RandomFeedbackLocalOnline(feedback)), net, trial)
    np.testing.assert_allclose(
        found[1][NAMES["m"]], murray(net, trial, feedback, form), rtol=1e-9, atol=1e-12
    )
    # the readout learns by its exact gradient
    agree(found, gradient(net, trial, None, form=form), 1e-9, names=("w_out", "b_out"))


@pytest.mark.parametrize("form", FORMS)
def test_the_diagonal_rule_is_its_recursion(form):
    net, trial = network(2, form), trials(2)
    found = given_by(by(DiagonalRecurrent()), net, trial)
    wanted = murray(net, trial, net.readout.weights, form, keep_self=True)
    np.testing.assert_allclose(found[1][NAMES["m"]], wanted, rtol=1e-9, atol=1e-12)


def test_local_rules_are_exact_where_nothing_is_left_out():
    trial = trials(2)
    alone = network(2, diagonal=True)
    feedback = alone.readout.weights
    # with self-connections alone, what the diagonal rule keeps is all there is
    agree(given_by(by(DiagonalRecurrent()), alone, trial), gradient(alone, trial, None), 1e-6)
    none = eqx.tree_at(lambda n: n.circuit.connectivity.weights, alone, np.zeros((UNITS, UNITS)))
    for rule in (RandomFeedbackLocalOnline(feedback), EligibilityPropagation(symmetric=True)):
        agree(given_by(by(rule), none, trial), gradient(none, trial, None), 1e-6)
    full = network(2)
    exact = gradient(full, trial, None)[1]["m"]
    for rule in (DiagonalRecurrent(), RandomFeedbackLocalOnline(full.readout.weights)):
        found = given_by(by(rule), full, trial)[1][NAMES["m"]]
        assert abs(found - exact).max() > 1e-3 * abs(exact).max()


def with_rates(net):
    """The network with a readout of its rates, z = tanh(h)."""
    return TaskNetwork(
        net.circuit, net.encoder, RateReadout(net.readout.weights, net.readout.bias), net.start
    )


def eligibility(net, trial):
    """The traces of equation 14 for rate units: e_ji(t), `(trials, steps, units, units)`."""
    states = run(net, trial)
    found = np.zeros((*trial.inputs.shape[:2], UNITS, UNITS))
    for k in range(len(states)):
        vector = np.zeros((UNITS, UNITS))  # epsilon: dh_j(t) / dh_j(t-1) is the leak alone
        for t in range(trial.inputs.shape[1]):
            vector = (1 - ALPHA) * vector + ALPHA * np.tanh(states[k, t])[None, :]
            slope = 1 - np.tanh(states[k, t + 1]) ** 2
            found[k, t] = slope[:, None] * vector
    return found


def test_eligibility_propagation_is_the_sum_over_its_traces():
    net, trial = with_rates(network(2)), trials(2)
    rates = np.tanh(run(net, trial)[:, 1:])
    error = rates @ net.readout.weights.T + net.readout.bias - trial.targets
    error = 2 * trial.mask * error / trial.mask.sum((1, 2), keepdims=True) / len(rates)
    feedback = np.random.default_rng(9).normal(size=(2, UNITS))
    for rule, back in (
        (EligibilityPropagation(feedback=feedback), feedback),
        (EligibilityPropagation(symmetric=True), net.readout.weights),
    ):
        found = given_by(by(rule), net, trial)[1][NAMES["m"]]
        wanted = np.einsum("btj,btji->ji", error @ back, eligibility(net, trial))
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_with_the_total_derivative_as_learning_signal_eligibility_is_exact():
    net, trial = with_rates(network(2)), trials(2)
    m, b, w = net.circuit.connectivity.weights, net.circuit.bias, net.encoder.weights
    states = run(net, trial)
    with jax.enable_x64(True):

        def loss(nudges):
            # z(t) = tanh(h(t)) + nudge(t), the rate that others and the readout see
            h = jnp.broadcast_to(net.start, states[:, 0].shape)
            z, total = jnp.tanh(h), 0.0
            for t in range(trial.inputs.shape[1]):
                h = h + ALPHA * (z @ m.T + trial.inputs[:, t] @ w.T + b - h)
                z = jnp.tanh(h) + nudges[:, t]
                y = z @ net.readout.weights.T + net.readout.bias
                total += trial.mask[:, t] * (y - trial.targets[:, t]) ** 2
            return jnp.mean(total.sum(1) / trial.mask.sum((1, 2)))

        signals = np.asarray(jax.jit(jax.grad(loss))(jnp.zeros(states[:, 1:].shape)))
    total = np.einsum("btj,btji->ji", signals, eligibility(net, trial))
    exact = given_by(by(BackpropagationThroughTime()), net, trial)[1][NAMES["m"]]
    np.testing.assert_allclose(total, exact, rtol=1e-6, atol=1e-10)


def cosine(a, b):
    return (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())


@pytest.mark.slow
@pytest.mark.parametrize("forcing", [None, GeneralizedTeacherForcing(0.3)])
def test_perturbations_estimate_the_gradient(forcing):
    net, trial = network(1), trials(1)
    options = {} if forcing is None else {"forcing": forcing}

    def where(n):
        return n.circuit.connectivity, n.readout.weights, n.start

    exact = given_by(by(BackpropagationThroughTime(), **options), net, trial, where)
    for rule in (WeightPerturbation(1e-4, 4000), NodePerturbation(1e-5, 4000)):
        found = given_by(by(rule, **options), net, trial, where)
        np.testing.assert_allclose(found[0], exact[0], rtol=1e-3)
        for name, value in exact[1].items():
            assert cosine(found[1][name], value) > 0.9, (rule, name)
            ratio = (found[1][name] * value).sum() / (value**2).sum()
            assert abs(ratio - 1) < 0.25, (rule, name, ratio)


def test_node_perturbation_gives_the_readout_its_own_gradient():
    net, trial = network(2), trials(2)
    found = given_by(by(NodePerturbation(samples=1)), net, trial)
    agree(found, gradient(net, trial, None), 1e-9, names=("w_out", "b_out"))


def test_noise_is_the_same_for_the_same_key_and_shakes_each_trial_by_itself():
    net, trial = network(1), trials(1)
    same = jax.tree.map(lambda x: np.repeat(x[:1], 3, 0), trial)
    quiet = given_by(by(BackpropagationThroughTime()), net, same)
    found = [
        given_by(by(c, noise=Additive(0.2)), net, same)
        for c in (BackpropagationThroughTime(), BackpropagationThroughTime(StoreAll()))
    ]
    assert quiet[0] != found[0][0]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    np.testing.assert_allclose(found[0][1][NAMES["m"]], found[1][1][NAMES["m"]], atol=1e-12)


@pytest.mark.parametrize("rule", [WeightPerturbation(), NodePerturbation()])
def test_perturbations_refuse_a_correction_that_is_held(rule):
    with pytest.raises(ValueError, match="correction of ErrorForcing"):
        rule.check(network(1), ErrorForcing(0.2))


def test_node_perturbation_refuses_a_correction_that_moves_with_the_readout():
    free = ErrorForcing(0.2, hold=False)
    WeightPerturbation().check(network(1), free)
    with pytest.raises(ValueError, match="has a gradient in the readout as well"):
        NodePerturbation().check(network(1), free)


@pytest.mark.parametrize(
    "rule", [RandomFeedbackLocalOnline(), DiagonalRecurrent(), EligibilityPropagation()]
)
def test_local_rules_refuse_a_circuit_without_a_connectivity(rule):
    pair = ExcitatoryInhibitory()
    net = TaskNetwork(
        pair, LinearEncoder(type(pair.rest())(np.ones((3,)), np.ones((3,)))),
        StateReadout(np.ones((1, 2))),
    )  # fmt: skip
    with pytest.raises(ValueError, match="expected a circuit with a connectivity"):
        rule.check(net, NoForcing())


@pytest.mark.parametrize(
    "rule", [RandomFeedbackLocalOnline(), DiagonalRecurrent(), EligibilityPropagation()]
)
def test_local_rules_refuse_a_forcing_that_leads_from_unit_to_unit(rule):
    for forcing in (ErrorForcing(hold=False), TeacherForcing(keep_unseen=True)):
        with pytest.raises(ValueError, match="has a gradient from unit to unit"):
            rule.check(network(1), forcing)
    rule.check(network(1), ErrorForcing())
    rule.check(network(1), TeacherForcing())


def test_local_rules_refuse_a_circuit_that_asks_for_its_matrix():
    with pytest.raises(ValueError, match="call the connectivity"):
        local(network(1)).circuit.connectivity.matrix()


class Scaled(eqx.Module):
    """Rates with a parameter."""

    gain: object

    def __call__(self, state):
        return self.gain * state


def test_a_parameter_of_the_rates_is_credited_by_the_feedback_alone():
    x, weights, back = jnp.array([1.0, -2.0]), np.array([[3.0, 5.0]]), np.array([[0.5, -0.25]])

    def output(gain, back):
        circuit = CurrentNetwork(Dense(np.zeros((2, 2))), nonlinearity=Scaled(gain))
        return WithFeedback(RateReadout(weights), back)(circuit, x)[0]

    gain = jnp.asarray(1.5)
    assert output(gain, back) == pytest.approx(1.5 * (3 - 10))
    assert jax.grad(output)(gain, back) == pytest.approx(0.5 + 0.5)
    assert jax.grad(output)(gain, None) == pytest.approx(3 - 10)  # node perturbation: its own


def test_bad_numbers():
    with pytest.raises(ValueError, match="every: expected a positive whole number"):
        TruncatedBackpropagation(0)
    with pytest.raises(ValueError, match="together: expected a positive whole number"):
        ForwardSensitivity(0)
    with pytest.raises(ValueError, match="samples: expected a positive whole number"):
        NodePerturbation(samples=0)
    with pytest.raises(ValueError, match="got both"):
        EligibilityPropagation(True, np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"expected \(outputs, variables read\) = \(1, 6\)"):
        RandomFeedbackLocalOnline(np.ones((6, 1))).begin(network(1), None)
    with pytest.raises(ValueError, match="give the fit key="):
        RandomFeedbackLocalOnline().begin(network(1), None)
