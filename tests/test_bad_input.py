"""Every bad input gets an error that says what was expected, what came, and what to do."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import rnnjax
from rnnjax import inputs, measures, noise, parameter, solvers
from rnnjax.circuits import (
    CurrentNetwork,
    ExcitatoryInhibitory,
    ExcitatoryInhibitoryState,
    LinearNetwork,
    RateNetwork,
    WilsonCowan,
    WilsonCowanState,
)
from rnnjax.connectivity import Cosine, Dale, Dense, LowRank, Symmetric

TIMES = np.linspace(0.0, 10.0, 11)
E_I = ExcitatoryInhibitory()
PAIR = LinearNetwork(Dense([[0.1, 0.2], [0.3, 0.4]]))
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def _as_for_users():
    """Without the checked annotations of the tests, which would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Wrong(rnnjax.AbstractCircuit):
    """A circuit whose derivative is no state: $(x, x)$."""

    tau: object = parameter(1.0, "ms", positive=True)

    def __call__(self, state, input):
        return state, state

    def rest(self):
        return jnp.zeros(())


def replaced(circuit, **values):
    """What `tree_at` does: it goes past every constructor."""
    for name, value in values.items():
        circuit = eqx.tree_at(lambda c, n=name: getattr(c, n), circuit, np.asarray(value))
    return circuit


def simulated(circuit=E_I, times=TIMES, *args, **settings):
    return lambda: rnnjax.simulate(circuit, times, *args, **settings)


def measured(chosen=None, duration=10.0, circuit=E_I, **settings):
    chosen = measures.Mean() if chosen is None else chosen
    return lambda: rnnjax.measure(circuit, chosen, duration, **{"step": 0.1, **settings})


HOLED = np.sin(np.arange(50.0))
HOLED[7:9] = np.nan

PARAMETERS = {
    "negative tau": (
        lambda: WilsonCowan(tau_e=-1.0), ValueError,
        ["WilsonCowan.tau_e", "expected a value above zero ms", "got -1", "positive"],
    ),
    "zero tau": (lambda: RateNetwork(tau=0.0), ValueError, ["RateNetwork.tau", "above zero", "got 0"]),
    "one negative tau of many": (
        lambda: LinearNetwork(Dense(np.eye(3)), tau=[1.0, -2.0, 3.0]), ValueError,
        ["LinearNetwork.tau", "got -2", "at [1]"],
    ),
    "NaN in a weight": (
        lambda: Dense([[0.0, 1.0], [np.nan, 2.0]]), ValueError,
        ["Dense.weights", "expected finite", "got nan", "at [1, 0]"],
    ),
    "infinite weights": (
        lambda: Dense([[np.inf, 1.0], [-np.inf, 2.0]]), ValueError,
        ["Dense.weights", "got inf", "and 1 more"],
    ),
    "a parameter that is a word": (
        lambda: WilsonCowan(p="much"), TypeError, ["WilsonCowan.p", "expected a number", "'much'"],
    ),
    "a parameter that is missing": (
        lambda: WilsonCowan(p=None), TypeError, ["WilsonCowan.p", "expected a number", "None"],
    ),
    "weights that are not square": (
        lambda: Dense(np.zeros((2, 3))), ValueError,
        ["Dense.weights", "expected a square matrix", "got shape (2, 3)", "one row per"],
    ),
    "weights without two axes": (lambda: Dense(np.zeros(4)), ValueError, ["square", "(4,)"]),
    "Dale weights that are not square": (
        lambda: Dale(np.zeros((3, 2))), ValueError, ["Dale.weights", "square", "(3, 2)"],
    ),
    "signs that do not fit": (
        lambda: Dale(np.eye(3), excitatory=(True, False)), ValueError,
        ["Dale.excitatory", "expected one entry per unit (3)", "got 2"],
    ),
    "weights that are not symmetric": (
        lambda: Symmetric([[0.0, 1.0], [2.0, 0.0]]), ValueError,
        ["Symmetric.weights", "got 1 at [0, 1] and 2 at [1, 0]", "(W + W.T) / 2"],
    ),
    "directions that do not fit": (
        lambda: LowRank(np.zeros((5, 2)), np.zeros((5, 1))), ValueError,
        ["LowRank", "expected", "(5, 2)", "(5, 1)"],
    ),
    "a ring of two": (lambda: Cosine(size=2), ValueError, ["Cosine.size", "at least 3", "got 2"]),
    "a bare matrix for a connectivity": (
        lambda: CurrentNetwork(np.eye(2)), TypeError,
        ["CurrentNetwork.connectivity", "expected a connectivity", "got ndarray", "Dense"],
    ),
    "a bias per unit too many": (
        lambda: LinearNetwork(Dense(np.eye(2)), bias=np.zeros(3)), ValueError,
        ["LinearNetwork.bias", "per unit (2)", "got shape (3,)"],
    ),
    "a recording with gaps": (
        lambda: inputs.Recording(HOLED, sample_rate=1000.0), ValueError,
        ["Recording.samples", "without gaps", "got 2 of 50", "sample 7 (7 ms)", "interpolate"],
    ),
    "a recording without a sample rate": (
        lambda: inputs.Recording(np.zeros(9)), TypeError, ["Recording", "sample_rate=", "got none"],
    ),
    "a recording with a negative sample rate": (
        lambda: inputs.Recording(np.zeros(9), -1.0), ValueError, ["sample_rate", "above zero", "got -1"],
    ),
    "a recording of one sample": (
        lambda: inputs.Recording([1.0], 10.0), ValueError, ["at least two", "got shape (1,)"],
    ),
    "a pulse of no duration": (
        lambda: inputs.Pulse(duration=0.0), ValueError, ["Pulse.duration", "above zero", "got 0"],
    ),
}  # fmt: skip

RUNS = {
    "no circuit": (simulated("WilsonCowan"), TypeError, ["expected a circuit", "got str"]),
    "a tau made negative later": (
        simulated(replaced(E_I, tau_i=-3.0)), ValueError,
        ["ExcitatoryInhibitory.tau_i", "above zero ms", "got -3"],
    ),
    "a weight made NaN later": (
        simulated(replaced(E_I, m_ee=np.nan)), ValueError, ["m_ee", "finite", "got nan"],
    ),
    "a nested weight made NaN later": (
        simulated(eqx.tree_at(lambda c: c.connectivity.weights, PAIR, np.full((2, 2), np.nan))),
        ValueError, ["connectivity.weights", "finite", "got nan", "and 3 more"],
    ),
    "an input made NaN later": (
        simulated(PAIR, TIMES, replaced(inputs.Step(), amplitude=np.nan)), ValueError,
        ["Step.amplitude", "finite", "got nan"],
    ),
    "a derivative that is no state": (
        simulated(Wrong()), TypeError, ["Wrong.__call__", "expected the derivative", "got"],
    ),
    "a step above the fastest time constant": (
        simulated(WilsonCowan(tau_e=5.0), step=2.0, times=[0.0, 10.0]), ValueError,
        ["step", "at most the fastest time constant, tau_i = 1 ms", "got 2 ms", "a tenth"],
    ),
    "the same in measure": (
        measured(step=20.0, duration=100.0), ValueError, ["tau_e = 10 ms", "got 20 ms"],
    ),
    "a start of another shape": (
        simulated(PAIR, start=np.zeros(3)), ValueError,
        ["start", "expected an array of shape (2,) for LinearNetwork", "got an array of shape (3,)"],
    ),
    "a start of another circuit": (
        simulated(start=WilsonCowanState(0.0, 0.0)), ValueError,
        ["start", "expected ExcitatoryInhibitoryState(e: one number, i: one number)",
         "got WilsonCowanState"],
    ),
    "an input of another structure": (
        simulated(E_I, TIMES, inputs.Step()), ValueError,
        ["input", "expected ExcitatoryInhibitoryState", "got one number"],
    ),
    "an input of another shape": (
        simulated(PAIR, TIMES, np.zeros(3)), ValueError, ["input", "(2,)", "LinearNetwork", "(3,)"],
    ),
    "noise without a key": (
        simulated(noise=noise.Additive()), ValueError, ["noise needs key=", "jax.random.key(0)"],
    ),
    "a key without noise": (simulated(key=KEY), ValueError, ["key", "there is none"]),
    "a Stratonovich solver under multiplicative noise": (
        simulated(noise=noise.Multiplicative(), key=KEY, solver=diffrax.Heun(), step=0.1), ValueError,
        ["Heun", "Stratonovich", "Ito", "use Euler or ItoMilstein"],
    ),
    "the same with adaptive steps": (
        simulated(noise=noise.Multiplicative(), key=KEY, solver=diffrax.ShARK()), ValueError,
        ["ShARK", "Stratonovich", "ItoMilstein"],
    ),
    "a solver without noise under noise": (
        simulated(noise=noise.Additive(), key=KEY, solver=diffrax.Tsit5(), step=0.1), TypeError,
        ["Tsit5", "does not solve stochastic", "use Euler"],
    ),
    "an implicit solver with fixed steps": (
        simulated(solver=diffrax.Kvaerno5(), step=0.1), TypeError,
        ["Kvaerno5", "can't take fixed steps", "Tsit5", "leave out `step=`"],
    ),
    "a solver without error estimate": (
        simulated(solver=solvers.RK4()), ValueError, ["RK4", "no error estimate", "give step="],
    ),
    "Euler-Maruyama without a step": (
        simulated(noise=noise.Additive(), key=KEY), ValueError, ["Euler", "give step="],
    ),
    "a solver that is none": (simulated(solver="Tsit5"), TypeError, ["diffrax solver", "'Tsit5'"]),
    "dense output of fixed steps": (simulated(step=0.1, dense=True), ValueError, ["dense", "step="]),
    "times off the grid": (
        simulated(E_I, [0.0, 0.25, 1.0], step=0.1), ValueError,
        ["times", "multiples of step = 0.1 ms", "got 0.25 ms"],
    ),
    "times that go back": (simulated(E_I, [0.0, 2.0, 1.0]), ValueError, ["increasing", "got"]),
    "times that are not finite": (simulated(E_I, [0.0, np.inf]), ValueError, ["times", "finite"]),
    "one time": (simulated(E_I, [0.0]), ValueError, ["times", "at least two", "got shape (1,)"]),
    "a negative step": (simulated(step=-0.1), ValueError, ["step", "positive", "got -0.1"]),
    "a tolerance that is no number": (
        simulated(rtol="tight"), ValueError, ["rtol", "positive number", "'tight'"],
    ),
    "no steps": (simulated(max_steps=0), ValueError, ["max_steps", "positive whole", "got 0"]),
    "half a step": (simulated(max_steps=10.5), ValueError, ["max_steps", "whole", "got 10.5"]),
    "no function": (simulated(observe="v"), TypeError, ["observe", "function", "'v'"]),
    "a tolerance of zero": (simulated(rtol=0.0), ValueError, ["rtol", "positive", "got 0"]),
    "a tolerance below the resolution": (
        simulated(rtol=1e-9, dtype="float32"), ValueError, ["rtol", "float32", "dtype='float64'"],
    ),
    "half precision": (simulated(dtype="float16"), ValueError, ["float32 or float64", "'float16'"]),
    "a duration that is no whole number of steps": (
        measured(duration=10.05), ValueError, ["duration", "whole number of steps", "10.05 ms"],
    ),
    "a transient as long as the run": (
        measured(transient=10.0), ValueError, ["transient", "less than the duration", "10 ms"],
    ),
    "a duration of nothing": (measured(duration=0.0), ValueError, ["duration", "positive", "got 0"]),
    "a measure that is none": (
        measured({"mean": "mean"}), TypeError, ["expected measures such as Amplitude()", "got str"],
    ),
    "a linearization of another state": (
        lambda: rnnjax.linearize(PAIR, np.zeros(3)), ValueError, ["(2,)", "(3,)"],
    ),
    "guesses of another shape": (
        lambda: rnnjax.find_equilibria(PAIR, guesses=np.zeros((5, 3))), ValueError,
        ["guesses", "expected", "got", "(5, 3)"],
    ),
    "a plane without extent": (
        lambda: rnnjax.vector_field(E_I, x=(1.0, 1.0), y=(0.0, 1.0)), ValueError,
        ["x", "low < high", "(1.0, 1.0)"],
    ),
    "a plane of unknown variables": (
        lambda: rnnjax.vector_field(E_I, (0.0, 1.0), (0.0, 1.0), variables=("e", "w")), ValueError,
        ["variables", "['e', 'i']", "('e', 'w')"],
    ),
    "a closed form with many time constants": (
        lambda: LinearNetwork(Dense(np.eye(2)), tau=[1.0, 2.0]).modes(), ValueError,
        ["one time constant", "got one per unit", "simulate"],
    ),
    "a steady state of an integrator": (
        lambda: LinearNetwork(Dense(np.eye(2))).modes().steady_state(1.0), ValueError,
        ["does not settle", "integrates", "scale the weights down"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS | RUNS)
def test_bad_input(name):
    call, kind, words = (PARAMETERS | RUNS)[name]
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert word in message
    assert caught.type is kind
    # raised by the package itself, not by a library underneath
    assert caught.traceback[-1].frame.f_globals["__name__"].startswith("rnnjax")
    assert "Traced<" not in message
    assert len(message) < 500


def test_where_must_name_a_number():
    from rnnjax._where import named

    assert named(PAIR, lambda c: c.connectivity.weights).path == "connectivity.weights"
    for where in (lambda c: c.nothing, lambda c: c.connectivity, lambda c: c.tau + 1):
        with pytest.raises(ValueError, match=r"`where` must name one array.*tau") as caught:
            named(PAIR, where)
        assert "connectivity.weights" in str(caught.value)


def test_what_a_trace_carries_is_not_refused():
    """Bad values inside a transformation get a status: nothing can be raised there."""
    taus = np.array([10.0, np.nan])

    def end(tau):
        found = rnnjax.simulate(ExcitatoryInhibitory(tau_i=tau), [0.0, 5.0], step=0.5)
        return found.final.e, found.status

    values, status = jax.vmap(end)(taus)
    assert np.isfinite(values[0])
    assert status[0] == rnnjax.Status.OK
    assert status[1] == rnnjax.Status.NON_FINITE


def test_good_input_of_every_spelling_is_taken():
    """What is refused above must not sweep up what is right."""
    ends = [
        rnnjax.simulate(PAIR, times, given, start=start, step=step).final
        for times, given, start, step in [
            ([0, 1, 2], 1, None, 0.5),
            (np.arange(3), 1.0, np.zeros(2), 0.5),
            (jnp.arange(3.0), np.ones(2), np.zeros(2, int), np.float64(0.5)),
            ((0.0, 1.0, 2.0), inputs.Constant([1, 1]), jnp.zeros(2), 0.5),
            (np.arange(3.0), lambda t: 1.0 + 0 * t, None, 0.5),
        ]
    ]
    for end in ends[1:]:
        np.testing.assert_allclose(end, ends[0], rtol=1e-6)
    named = ExcitatoryInhibitoryState(1, 2)
    assert rnnjax.simulate(E_I, [0, 5], named, start=named).status == 0
