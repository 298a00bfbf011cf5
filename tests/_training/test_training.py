"""Training on tasks: one fit for all, validation, stopping, many seeds, checkpoints, audits."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnnjax
from rnnjax import (
    LinearEncoder,
    OnTask,
    RateReadout,
    StateReadout,
    Stop,
    TaskNetwork,
    cross_entropy,
    every,
    mean_square,
)
from rnnjax._machine import devices as _devices
from rnnjax._machine import plan as _plan
from rnnjax._machine.identity import identity_of
from rnnjax._results import Status
from rnnjax._training import arguments as _arguments
from rnnjax._training import networks_together as _together
from rnnjax._training import objective as _objective
from rnnjax._training import step as _step
from rnnjax._training.objective import as_objective
from rnnjax.circuits import CurrentNetwork, Driven, ExcitatoryInhibitory, RateNetwork, tanh
from rnnjax.connectivity import Dale, Dense
from rnnjax.credit import (
    BackpropagationThroughTime,
    DiagonalRecurrent,
    EligibilityPropagation,
    RandomFeedbackLocalOnline,
)
from rnnjax.forcing import AdaptiveTeacherForcing, ErrorForcing, RandomFeedback, TeacherForcing
from rnnjax.noise import Additive
from rnnjax.tasks import AbstractTask, DelayedXOR, FromTrials, Trial

TASK = DelayedXOR(delay=10.0, pulse=4.0)
ADAM = optax.adam(2e-2)
QUIET = {"progress": False}


def make(key, units=16, connectivity=Dense):
    of_weights, of_network = jax.random.split(key)
    weights = 1.5 * jax.random.normal(of_weights, (units, units)) / np.sqrt(units)
    circuit = CurrentNetwork(connectivity(weights), bias=np.zeros(units), tau=10.0)
    return TaskNetwork.random(circuit, TASK, key=of_network)


def recurrent(n):
    return n.circuit.connectivity, n.circuit.bias, n.readout


NETWORK = make(jax.random.key(0))
FORCED = OnTask(TASK, ErrorForcing(0.2), batch=32, validation=64)


@pytest.fixture(scope="module")
def trained():
    return rnnjax.fit(
        NETWORK, recurrent, FORCED, optimizer=ADAM, steps=60, key=jax.random.key(1),
        validate_every=10, **QUIET,
    )  # fmt: skip


def test_a_network_learns_with_forcing_and_is_judged_without(trained):
    assert trained.losses[-1] < 0.1 * trained.losses[0]
    checks = trained.validations[np.isfinite(trained.validations)]
    assert len(checks) == 7
    assert checks[-1] < 0.5 * checks[0]
    assert trained.validation == checks.min()
    best = eqx.filter_jit(OnTask(TASK, batch=8, validation=64).validate)(
        trained.best, jax.random.fold_in(jax.random.key(1), 2**31 - 1)
    )
    np.testing.assert_allclose(best, checks.min(), rtol=1e-4)
    assert set(trained.to_xarray()) == {"loss", "gradient_norm", "validation"}


def test_the_rest_of_the_network_stays_as_it_was(trained):
    np.testing.assert_array_equal(
        trained.circuit.encoder.weights, np.asarray(NETWORK.encoder.weights, np.float32)
    )
    assert trained.circuit.circuit.tau == 10.0


def test_a_fit_stops_when_it_is_good_enough_or_no_longer_better(trained):
    options = {"optimizer": ADAM, "steps": 60, "key": jax.random.key(1), "validate_every": 10}
    checks = trained.validations[::10]
    level = float(checks[2]) * 1.0001
    found = rnnjax.fit(
        NETWORK, recurrent, FORCED, stop=Stop(below=level, times=2), **options, **QUIET
    )
    assert found.stopped
    assert found.steps_taken == 30
    np.testing.assert_allclose(found.losses[:31], trained.losses[:31], rtol=1e-4)
    assert np.isnan(found.losses[31:]).all()
    still = optax.sgd(0.0)
    options["optimizer"] = still
    found = rnnjax.fit(NETWORK, recurrent, FORCED, stop=Stop(patience=2), **options, **QUIET)
    assert found.stopped
    assert found.steps_taken == 20


@pytest.mark.slow
def test_many_seeds_equal_one_at_a_time():
    keys = jax.random.split(jax.random.key(7), 3)
    networks = eqx.filter_vmap(make)(keys)
    options = {"optimizer": ADAM, "steps": 5, "validate_every": 5}
    many = rnnjax.fit(networks, recurrent, FORCED, key=keys, **options, **QUIET)
    assert many.losses.shape == (3, 6)
    assert many.circuit.circuit.connectivity.weights.shape == (3, 16, 16)
    one = rnnjax.fit(make(keys[1]), recurrent, FORCED, key=keys[1], **options, **QUIET)
    np.testing.assert_allclose(many.losses[1], one.losses, rtol=1e-4)
    np.testing.assert_allclose(many.validations[1], one.validations, rtol=1e-4)

    def inside(key):
        return rnnjax.fit(make(key), recurrent, FORCED, key=key, **options, **QUIET)

    traced = eqx.filter_jit(eqx.filter_vmap(inside))(keys)
    np.testing.assert_allclose(traced.losses, many.losses, rtol=1e-4)
    np.testing.assert_allclose(traced.validations, many.validations, rtol=1e-4)


def test_devices_change_no_result(monkeypatch):
    keys = jax.random.split(jax.random.key(7), 4)
    networks = eqx.filter_vmap(make)(keys)
    spread = OnTask(TASK, ErrorForcing(0.1), batch=8, validation=4)
    both = spread + 0.5 * OnTask(TASK, batch=6, validation=4)  # six trials are no even share
    options = {"optimizer": ADAM, "steps": 3, "validate_every": 2, "dtype": "float64"}

    def spread_over(devices):
        jax.clear_caches()
        for module in (_plan, _devices, _together):
            monkeypatch.setattr(module, "tuned_devices", lambda: devices)
        own = jax.device_put(keys[1], jax.devices()[0])  # where it lies does not matter
        return rnnjax.fit(make(own), recurrent, both, key=own, **options, **QUIET)

    alone, one = spread_over(0), spread_over(4)
    many = rnnjax.fit(networks, recurrent, both, key=keys, **options, **QUIET)
    for each in ("losses", "gradient_norms", "validations"):
        np.testing.assert_allclose(getattr(one, each), getattr(alone, each), rtol=1e-9)
        np.testing.assert_allclose(getattr(many, each)[1], getattr(alone, each), rtol=1e-9)


def test_what_calls_lapack_is_not_spread(monkeypatch):
    """In jaxlib 0.10 LAPACK of a batch on several devices at once waits for itself forever."""
    for module in (_objective, _plan, _devices, _together):
        monkeypatch.setattr(module, "tuned_devices", lambda: 4)
    monkeypatch.setattr(_objective, "LAPACK_WAITS", True)

    def spectrum(circuit, key):
        return jnp.sum(jnp.square(jnp.linalg.eigvalsh(circuit.circuit.connectivity.matrix())))

    def size(circuit, key):
        return jnp.sum(jnp.square(circuit.circuit.connectivity.matrix()))

    task, key = OnTask(TASK, batch=8), jax.random.key(0)
    adaptive = OnTask(TASK, AdaptiveTeacherForcing(), batch=8)
    keys = jax.random.split(key, 4)
    networks = eqx.filter_vmap(make)(keys)
    for waits, objective, fits, trials in (
        (True, task + size, 4, 4),
        (True, task + spectrum, 1, 1),
        (True, adaptive, 1, 1),  # it looks at Jacobians between the steps of training
        (False, task + spectrum, 4, 4),
        (False, adaptive, 4, 4),
    ):
        monkeypatch.setattr(_objective, "LAPACK_WAITS", waits)
        assert _together.layout(NETWORK, key, objective, None) == (1, 1, trials)
        assert _together.layout(networks, keys, objective, 4).fits == fits
        step = functools.partial(_step.first_gradient.__wrapped__, NETWORK, recurrent, objective)
        text = str(jax.make_jaxpr(step)(key))
        assert ("shard_map" in text) == (trials > 1)


def test_a_seed_that_fails_does_not_stop_the_others():
    keys = jax.random.split(jax.random.key(7), 3)
    networks = eqx.filter_vmap(make)(keys)
    weights = np.array(networks.readout.weights)
    weights[1] = 1e30
    networks = eqx.tree_at(lambda n: n.readout.weights, networks, weights)
    found = rnnjax.fit(
        networks, recurrent, OnTask(TASK, batch=8), key=keys, steps=3, optimizer=ADAM, **QUIET
    )
    assert found.status.tolist() == [0, 1, 0]
    assert np.isfinite(found.losses[[0, 2]]).all()
    assert np.isnan(found.losses[1]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "credit",
    [
        BackpropagationThroughTime(), DiagonalRecurrent(), RandomFeedbackLocalOnline(),
        EligibilityPropagation(),
    ],
    ids=lambda c: type(c).__name__,
)  # fmt: skip
def test_dale_holds_under_rules_that_take_any_forcing(credit):
    network = make(jax.random.key(2), connectivity=Dale)
    objective = OnTask(TASK, ErrorForcing(0.1, previous_error=True), credit, batch=8)
    found = rnnjax.fit(
        network, recurrent, objective, optimizer=optax.adam(0.05), steps=10,
        key=jax.random.key(0), **QUIET,
    )  # fmt: skip
    before, after = network.circuit.connectivity.matrix(), found.circuit.circuit.connectivity
    assert np.abs(np.asarray(after.matrix()) - before).max() > 0.1
    assert (np.sign(np.asarray(after.matrix())) * after.signs() >= 0).all()


@pytest.mark.slow
def test_an_adaptive_strength_is_remembered_from_step_to_step():
    objective = OnTask(TASK, AdaptiveTeacherForcing(every=2, decay=0.5), batch=4)
    found = rnnjax.fit(
        NETWORK, recurrent, objective, optimizer=ADAM, steps=4, key=jax.random.key(0), **QUIET
    )
    hard = rnnjax.fit(
        NETWORK, recurrent, OnTask(TASK, TeacherForcing(), batch=4), optimizer=ADAM, steps=4,
        key=jax.random.key(0), **QUIET,
    )  # fmt: skip
    np.testing.assert_allclose(found.losses[0], hard.losses[0], rtol=1e-5)  # alpha starts at 1
    assert abs(found.losses[2] - hard.losses[2]) > 1e-6
    noisy = OnTask(TASK, AdaptiveTeacherForcing(every=2), batch=4, noise=Additive(0.1))
    assert np.isfinite(fitted(objective=noisy, steps=2).losses).all()


def target_gain(n, key):
    return jnp.sum(n.circuit.connectivity.matrix() ** 2)


@pytest.mark.slow
def test_objectives_add_up():
    alone = rnnjax.fit(
        NETWORK, recurrent, FORCED, optimizer=ADAM, steps=1, key=jax.random.key(1), **QUIET
    )
    both = rnnjax.fit(
        NETWORK, recurrent, FORCED + (lambda n, key: 0.1 * target_gain(n, key)), optimizer=ADAM, steps=1,
        key=jax.random.key(1), **QUIET,
    )  # fmt: skip
    size = np.sum(np.asarray(NETWORK.circuit.connectivity.weights) ** 2)
    np.testing.assert_allclose(both.losses[0], alone.losses[0] + 0.1 * size, rtol=1e-5)
    twice = 2.0 * (target_gain + FORCED)
    assert len((twice + target_gain).parts) == 3  # flat, so that each has a key of its own
    np.testing.assert_allclose((twice + target_gain).weights, [2, 2, 1])


@pytest.mark.slow
def test_initial_states_time_constants_and_gains_are_trained_too():
    network = TaskNetwork(
        NETWORK.circuit, NETWORK.encoder, NETWORK.readout, start=0.1 * np.ones(16)
    )
    found = rnnjax.fit(
        network, lambda n: (n.start, n.circuit.tau, n.encoder), OnTask(TASK, batch=8),
        optimizer=optax.adam(0.1), steps=3, key=jax.random.key(0), **QUIET,
    )  # fmt: skip
    assert found.circuit.circuit.tau > 0
    assert found.circuit.circuit.tau != 10.0
    assert abs(np.asarray(found.circuit.start) - 0.1).max() > 1e-4


CHILD = """
import sys, jax, optax
sys.path[:0] = {here!r}, {tests!r}
import test_training as t
import rnnjax
found = rnnjax.fit(
    t.NETWORK, t.recurrent, t.KEPT, optimizer=t.ADAM, steps=40, key=jax.random.key(3),
    validate_every=8, checkpoint=sys.argv[1], checkpoint_interval=0.0, progress=False,
)
print(found.losses.tobytes().hex())
print(found.validations.tobytes().hex())
print(found.circuit.circuit.connectivity.weights.tobytes().hex())
"""
KEPT = OnTask(TASK, ErrorForcing(0.2, RandomFeedback(0.1)), batch=4, validation=4)


def killed(path, after):
    """Run the child until its checkpoint has been written so often, then kill -9 it."""
    here = pathlib.Path(__file__).parent
    script = CHILD.format(here=str(here), tests=str(here.parent))
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    seen, last = 0, None
    while child.poll() is None and after is not None:
        now = path.stat().st_mtime_ns if path.exists() else None
        seen += now != last
        last = now
        if seen > after:
            os.kill(child.pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    return child.communicate()[0].decode().split(), child.returncode


@pytest.mark.slow
def test_a_fit_that_is_killed_goes_on_to_the_same_bits(tmp_path):
    whole, code = killed(tmp_path / "whole", None)
    assert code == 0
    path = tmp_path / "part"
    for after in (3, 1, 9, 2):
        _, code = killed(path, after)
        assert code == -signal.SIGKILL
    again, code = killed(path, None)
    assert code == 0
    assert again == whole


def test_a_checkpoint_goes_on_with_more_steps_to_the_same_bits(tmp_path):
    options = {"optimizer": ADAM, "key": jax.random.key(3), "validate_every": 4} | QUIET
    whole = rnnjax.fit(NETWORK, recurrent, KEPT, steps=12, **options)
    path = tmp_path / "fit"
    rnnjax.fit(NETWORK, recurrent, KEPT, steps=7, checkpoint=path, **options)
    found = rnnjax.fit(NETWORK, recurrent, KEPT, steps=12, checkpoint=path, **options)
    np.testing.assert_array_equal(found.losses, whole.losses)
    np.testing.assert_array_equal(found.validations, whole.validations)
    np.testing.assert_array_equal(
        found.circuit.circuit.connectivity.weights, whole.circuit.circuit.connectivity.weights
    )
    assert [p.name for p in tmp_path.iterdir()] == ["fit"]

    with pytest.raises(ValueError, match=r"checkpoint of another fit .*key"):
        rnnjax.fit(
            NETWORK, recurrent, KEPT, steps=12, checkpoint=path,
            **options | {"key": jax.random.key(4)},
        )  # fmt: skip
    for other in (optax.sgd(0.1), optax.adam(3e-2)):
        with pytest.raises(ValueError, match=r"checkpoint of another fit .*optimizer"):
            rnnjax.fit(
                NETWORK, recurrent, KEPT, steps=12, checkpoint=path,
                **options | {"optimizer": other},
            )  # fmt: skip
    with pytest.raises(ValueError, match="holds a fit of 12 steps already"):
        rnnjax.fit(NETWORK, recurrent, KEPT, steps=9, checkpoint=path, **options)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        rnnjax.fit(NETWORK, recurrent, KEPT, steps=12, checkpoint=path, **options)


def quadratic(wanted, scale=1.0):
    return lambda circuit, key: scale * jnp.sum(jnp.square(circuit.bias - wanted))


def off_target(circuit, key, wanted):
    return quadratic(wanted)(circuit, key)


class OffTarget:
    """An object whose method is a loss."""

    def __init__(self, wanted):
        self.wanted = wanted

    def loss(self, circuit, key):
        return (circuit.bias - self.wanted).sum()


def test_no_part_of_a_sum_draws_what_another_does():
    each = (FORCED + FORCED + FORCED)._keys(jax.random.key(3))
    drawn = [jax.random.key_data(jax.random.split(key, 8)) for key in each]
    drawn = np.concatenate([*drawn, np.stack([jax.random.key_data(key) for key in each])])
    assert len(np.unique(drawn, axis=0)) == len(drawn)


def test_functions_count_by_name_and_by_the_numbers_in_them():
    def known(function):
        return identity_of(objective=as_objective(function))

    assert known(quadratic(2.0)) == known(quadratic(2.0))
    assert known(quadratic(2.0)) != known(quadratic(3.0))
    assert known(quadratic(np.ones(3))) != known(quadratic(np.zeros(3)))
    assert known(lambda c, k: (c.bias - 1.5).sum()) != known(lambda c, k: (c.bias - 2.5).sum())
    partial = [functools.partial(off_target, wanted=x) for x in (1.0, 1.0, 2.0)]
    assert known(partial[0]) == known(partial[1])
    assert known(partial[0]) != known(partial[2])
    assert " at 0x" not in known(partial[0])["objective"]
    assert known(OffTarget(2.0).loss) == known(OffTarget(2.0).loss)
    assert known(OffTarget(2.0).loss) != known(OffTarget(3.0).loss)

    def tool(rate):
        decay = optax.exponential_decay(rate, 10, 0.9)
        return identity_of(optimizer=optax.chain(optax.clip(1.0), optax.adam(decay)))

    assert tool(0.1) == tool(0.1)  # deep in functions of functions
    assert tool(0.1) != tool(0.2)


def test_a_fit_that_ends_early_is_kept_and_not_audited_afterwards(tmp_path):
    pair, path = CurrentNetwork(bias=np.ones(3)), tmp_path / "fit"
    options = {
        "optimizer": optax.noisy_sgd(0.2, 1e-4, key=jax.random.key(0)), "audit": every(2),
        "validate_every": 1, "stop": Stop(below=0.1),
    } | QUIET  # fmt: skip
    found = rnnjax.fit(pair, lambda c: c.bias, quadratic(0.0), steps=50, checkpoint=path, **options)
    assert found.stopped
    assert found.steps_taken == 4  # 3 * 0.6 ** (2 * 4) is the first below 0.1
    assert found.audits.steps.tolist() == [0, 2, 4]
    again = rnnjax.fit(pair, lambda c: c.bias, quadratic(0.0), steps=50, checkpoint=path, **options)
    np.testing.assert_array_equal(again.losses, found.losses)
    assert again.audits.steps.tolist() == [0, 2, 4]
    assert path.exists()


@pytest.mark.parametrize(("steps", "below"), [(4, 0.1), (15, 0.1), (6, None)])
def test_a_fit_that_has_ended_is_the_same_however_often_it_is_asked_for(tmp_path, steps, below):
    # 3 * 0.6 ** (2 * 4) is the first below 0.1: at the last step, or before; or it fails at step 2
    def wild(circuit, key):
        loss = quadratic(0.0)(circuit, key)
        return jnp.where(loss < 0.4, jnp.nan, loss) if below is None else loss

    options = {
        "optimizer": optax.sgd(0.2), "validate_every": 1, "checkpoint": tmp_path / "fit",
        "stop": None if below is None else Stop(below=below), "throw": False,
    } | QUIET  # fmt: skip

    def again(steps):
        return rnnjax.fit(
            CurrentNetwork(bias=np.ones(3)), lambda c: c.bias, wild, steps=steps, **options
        )

    first = again(steps)
    for more in (steps, steps, steps + 20):
        found = again(more)
        np.testing.assert_array_equal(found.losses[: steps + 1], first.losses)
        assert np.isnan(found.losses[steps + 1 :]).all()
        assert (found.stopped, found.status) == (first.stopped, first.status)
        assert found.steps_taken == first.steps_taken == (1 if below is None else 4)
    if below is None:
        with pytest.raises(rnnjax.FitError, match="fit holds this failed fit: delete it"):
            rnnjax.fit(
                CurrentNetwork(bias=np.ones(3)), lambda c: c.bias, wild, steps=steps,
                **options | {"throw": True},
            )  # fmt: skip


def test_an_objective_that_fails_at_first_leaves_no_checkpoint(tmp_path):
    def broken(circuit, key):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        rnnjax.fit(
            CurrentNetwork(), lambda c: c.bias, OnlyInSteps(broken), checkpoint=tmp_path / "fit",
            **QUIET,
        )  # fmt: skip
    assert not (tmp_path / "fit").exists()


class OnlyInSteps(_objective.PlainFunction):
    """A function that nobody calls before the first step."""

    def check(self, circuit, key):
        pass

    def work(self, circuit):
        return _objective.Work()


def test_an_audit_that_can_not_be_made_costs_nothing_else():
    pair = CurrentNetwork(bias=np.ones(3), tau=10.0)
    with pytest.warns(UserWarning, match="no exponent after"):
        found = rnnjax.fit(
            pair, lambda c: c.tau, lambda c, k: c.tau, steps=20, optimizer=optax.sgd(0.05),
            audit=every(10, duration=6000.0, step=3.0), **QUIET,
        )  # fmt: skip
    assert found.audits.steps.tolist() == [0, 10, 20]
    assert np.isfinite(found.audits.exponents).tolist() == [True, False, False]
    assert found.audits.found.any(1).all()


def test_a_driven_circuit_is_audited_with_its_input():
    driven = Driven(CurrentNetwork(Dense(np.zeros((2, 2))), tau=10.0), np.array([1.0, -2.0]))
    found = rnnjax.fit(
        driven, lambda d: d.input, lambda d, k: jnp.sum((d.input - 1) ** 2), steps=4,
        optimizer=optax.sgd(0.5), audit=every(4, duration=2000.0, step=1.0), **QUIET,
    )  # fmt: skip
    assert found.audits.stable.tolist() == [1, 1]
    np.testing.assert_allclose(found.audits.states[:, 0], [[1.0, -2.0], [1.0, 1.0]], atol=1e-6)
    np.testing.assert_allclose(found.audits.exponents, -0.1, rtol=1e-2)


class Judged(_objective.PlainFunction):
    """A loss whose validation is another."""

    judge_by: object = eqx.field(static=True, default=None)

    def validate(self, circuit, key):
        return self.judge_by(circuit)


def test_the_last_circuit_is_judged_too():
    pair, toward_two = CurrentNetwork(), lambda c, k: jnp.mean((c.bias - 2) ** 2)
    options = {"optimizer": optax.sgd(0.5), "steps": 7, "validate_every": 5} | QUIET
    found = rnnjax.fit(pair, lambda c: c.bias, toward_two, **options)
    assert np.flatnonzero(np.isfinite(found.validations)).tolist() == [0, 5, 7]
    np.testing.assert_array_equal(found.best.bias, found.circuit.bias)
    options["validate_every"] = 100
    found = rnnjax.fit(pair, lambda c: c.bias, toward_two, **options)
    np.testing.assert_array_equal(found.best.bias, found.circuit.bias)
    # where no validation is finite the best is the last that is good, not the first
    hopeless = Judged(toward_two, lambda c: jnp.full((), jnp.nan))
    found = rnnjax.fit(pair, lambda c: c.bias, hopeless, **options)
    np.testing.assert_array_equal(found.best.bias, found.circuit.bias)
    assert np.isnan(found.validation)


def test_the_best_of_many_is_one_that_ended_well():
    many = eqx.filter_vmap(lambda k: CurrentNetwork(bias=jax.random.normal(k, (3,))))(KEYS)
    found = rnnjax.fit(
        many, lambda c: c.bias, lambda c, k: jnp.mean(c.bias**2), key=KEYS, steps=2, **QUIET
    )
    other = int(found.best_seed == 0)
    failed = np.array([Status.OK, Status.OK])
    failed[found.best_seed] = Status.NON_FINITE
    assert eqx.tree_at(lambda f: f.status, found, failed).best_seed == other
    failed[:] = Status.NON_FINITE
    assert eqx.tree_at(lambda f: f.status, found, failed).best_seed == found.best_seed


def test_optimizers_that_look_at_the_loss():
    found = rnnjax.fit(
        CurrentNetwork(bias=np.ones(3)), lambda c: c.bias, quadratic(0.0), steps=5, **QUIET,
        optimizer=optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=2)),
    )  # fmt: skip
    np.testing.assert_allclose(found.losses, 3 * 0.8 ** (2 * np.arange(6)), rtol=1e-5)


def test_validation_of_trials_that_are_held_out():
    inputs = np.random.default_rng(0).normal(size=(6, 8, 3))
    targets = inputs.sum(-1, keepdims=True)
    first, second = FromTrials(inputs[:4], targets[:4]), FromTrials(inputs[4:], targets[4:])
    key = jax.random.key(3)
    apart = OnTask(first, ErrorForcing(0.1), batch=4, validation=6, held_out=second)
    wanted = OnTask(second, validation=6).validate(NETWORK, key)
    np.testing.assert_allclose(apart.validate(NETWORK, key), wanted, rtol=1e-6)
    assert abs(wanted - OnTask(first, validation=6).validate(NETWORK, key)) > 1e-3


def test_one_of_many_fits():
    networks = eqx.filter_vmap(lambda b: CurrentNetwork(bias=b * jnp.ones(3)))(jnp.arange(1.0, 4))
    networks = eqx.tree_at(
        lambda n: (n.connectivity.weights, n.tau), networks, (np.ones((3, 3, 3)), np.ones(3))
    )
    keys = jax.random.split(jax.random.key(0), 3)
    many = rnnjax.fit(
        networks, lambda c: c.bias, quadratic(0.0), steps=3, key=keys, dtype="float64",
        optimizer=optax.sgd(0.1), **QUIET,
    )  # fmt: skip
    second = many[1]
    assert second.circuit.bias.shape == (3,)
    np.testing.assert_allclose(second.losses, 12 * 0.8 ** (2 * np.arange(4)), rtol=1e-12)
    assert second.loss == second.losses[-1]
    assert np.asarray(second.loss).dtype == np.float64
    np.testing.assert_array_equal(many.loss, many.losses[:, -1])
    assert many.best_seed == 0
    last = many.losses[:, -1]
    assert repr(many) == f"Fit(3 fits, median loss 12 -> {last[1]:.4g}, 0 failed)"
    validated = eqx.tree_at(lambda f: f.validations, many, np.array([[3.0], [np.nan], [2.0]]))
    assert validated.best_seed == 2
    with pytest.raises(IndexError, match="this is one fit"):
        second.best_seed  # noqa: B018
    with pytest.raises(IndexError, match="this is one fit"):
        second[0]


def test_ctrl_c_keeps_what_was_reached(tmp_path, monkeypatch):
    from rnnjax._training import loop as _course

    inner, calls = _course.advance_compiled, []

    def interrupting(*args):
        calls.append(None)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return inner(*args)

    options = {"optimizer": ADAM, "key": jax.random.key(3), "steps": 9} | QUIET
    whole = rnnjax.fit(NETWORK, recurrent, KEPT, **options)
    monkeypatch.setattr(_course, "advance_compiled", interrupting)
    with pytest.raises(rnnjax.FitInterrupted, match="stopped after 5 steps") as caught:
        rnnjax.fit(NETWORK, recurrent, KEPT, checkpoint=tmp_path / "fit", **options)
    np.testing.assert_array_equal(caught.value.fit.losses[:5], whole.losses[:5])
    assert np.isnan(caught.value.fit.losses[5:]).all()
    found = rnnjax.fit(NETWORK, recurrent, KEPT, checkpoint=tmp_path / "fit", **options)
    np.testing.assert_array_equal(found.losses, whole.losses)


def test_the_dynamics_are_looked_at_along_the_way(tmp_path):
    pair = CurrentNetwork(Dense([[0.5, 0.0], [0.0, 0.4]]))

    def two_wells(c, key):
        return (c.connectivity.matrix()[0, 0] - 2.0) ** 2

    options = {
        "optimizer": optax.sgd(0.1), "steps": 20, "audit": every(10, duration=200.0, step=0.1),
    } | QUIET  # fmt: skip
    found = rnnjax.fit(pair, lambda c: c.connectivity, two_wells, **options)
    audits = found.audits
    assert audits.steps.tolist() == [0, 10, 20]
    assert audits.found.sum(1).tolist() == [1, 3, 3]
    assert audits.stable.tolist() == [1, 2, 2]
    # at rest the leading exponent is the growth rate there
    np.testing.assert_allclose(audits.growth_rates[0, 0], -0.5, atol=1e-9)
    np.testing.assert_allclose(audits.exponents[0], -0.5, atol=0.02)
    assert audits.to_xarray().state.shape == (3, 3, 2)
    path = tmp_path / "fit"
    short = options | {"steps": 10, "checkpoint": path}
    rnnjax.fit(pair, lambda c: c.connectivity, two_wells, **short)
    again = rnnjax.fit(pair, lambda c: c.connectivity, two_wells, **options | {"checkpoint": path})
    for one, other in zip(jax.tree.leaves(again.audits), jax.tree.leaves(audits), strict=True):
        np.testing.assert_array_equal(one, other)


def test_losses():
    y, target = jnp.asarray([[1.0, 2.0], [5.0, 3.0]]), jnp.asarray([[0.0, 0.0], [1.0, 0.0]])
    mask = jnp.asarray([[0.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(mean_square(y, target, mask), (16 + 9) / 2)
    np.testing.assert_allclose(
        cross_entropy(y, target, mask), -5 + np.log(np.exp(5) + np.exp(3)), rtol=1e-6
    )
    assert mean_square(y, target, 0 * mask) == 0


class Wrong(AbstractTask):
    """A task whose trials are not as it says."""

    kind: str = eqx.field(static=True, default="shape")
    step: float = eqx.field(static=True, default=1.0)

    @property
    def steps(self):
        return 5

    @property
    def inputs(self):
        return 3

    @property
    def outputs(self):
        return 1

    def sample(self, key):
        trial = Trial(jnp.zeros((5, 3)), jnp.zeros((5, 1)), jnp.ones(5))
        if self.kind == "shape":
            return trial._replace(targets=jnp.zeros((5, 2)))
        if self.kind == "mask":
            return trial._replace(mask=jnp.ones((5, 4)))
        if self.kind == "weights":
            return trial._replace(mask=jnp.linspace(0.0, 2.0, 5))
        missing = jax.random.bernoulli(key, 0.1 if self.kind == "rare" else 1.0)
        return trial._replace(targets=jnp.where(missing, jnp.nan, trial.targets))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("shape", r"expected targets of shape \(5, 1\), got \(5, 2\)"),
        ("mask", r"expected a mask of shape \(5,\) or \(5, 1\), got \(5, 4\)"),
        ("nan", "finite targets wherever the mask is 1"),
        ("rare", "finite targets wherever the mask is 1"),
        ("weights", "values from 0 to 2: weights go into a loss= of your own"),
    ],
)
def test_trials_that_can_not_be_right(kind, words):
    with pytest.raises(ValueError, match=words):
        rnnjax.fit(NETWORK, recurrent, OnTask(Wrong(kind)), key=jax.random.key(0), steps=1, **QUIET)


@pytest.mark.slow
def test_targets_where_nothing_is_asked_do_not_leak():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 6, 1))
    mask = np.ones((4, 6))
    mask[:, :3] = 0
    losses = []
    for filler in (0.0, 1e6, np.nan):
        targets[:, :3] = filler
        found = rnnjax.fit(
            NETWORK, recurrent, OnTask(FromTrials(inputs, targets, mask), ErrorForcing(0.3), batch=4),
            key=jax.random.key(0), steps=2, optimizer=ADAM, **QUIET,
        )  # fmt: skip
        losses.append(found.losses)
    np.testing.assert_array_equal(losses[0], losses[1])
    np.testing.assert_array_equal(losses[0], losses[2])


class Partly(AbstractTask):
    """A task that asks for two outputs in its last steps, and has no targets before."""

    mask: tuple[int, ...] = eqx.field(static=True)
    step: float = eqx.field(static=True, default=1.0)
    steps, inputs, outputs = 6, 3, 2

    def sample(self, key):
        asked = jnp.arange(6) > 3
        targets = jnp.where(asked[:, None], jax.random.normal(key, (6, 2)), jnp.nan)
        columns = asked.reshape(6, *(1 for _ in self.mask[1:]))
        return Trial(jnp.ones((6, 3)), targets, jnp.where(columns, jnp.ones(self.mask), 0.0))


def test_masks_for_all_outputs_or_for_each_and_no_targets_where_nothing_is_asked():
    network = parts(readout=StateReadout(0.1 * np.eye(2, 16)))
    found = [
        rnnjax.gradient(
            network, recurrent, OnTask(Partly(shape), ErrorForcing(0.3), batch=4),
            key=jax.random.key(0),
        )
        for shape in ((6,), (6, 1), (6, 2))
    ]  # fmt: skip
    assert np.isfinite(found[0][0])
    for other in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, found[0])
    given = np.ones((2, 6, 3)), np.ones((2, 6, 2))
    assert FromTrials(*given, np.ones((2, 6, 1))).sample(jax.random.key(0)).mask.shape == (6, 1)


ONES = np.ones((2, 3, 1))
BROAD = StateReadout(np.ones((1, 16)), np.zeros(3))


def parts(**changes):
    own = {"circuit": NETWORK.circuit, "encoder": NETWORK.encoder, "readout": NETWORK.readout}
    return TaskNetwork(**own | changes)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: OnTask("xor"), TypeError, "task"),
        (lambda: OnTask(TASK, batch=0), ValueError, "batch: expected a positive whole number"),
        (lambda: OnTask(TASK, noise=0.1), TypeError, "noise: expected e.g. rnnjax.noise.Additive"),
        (lambda: OnTask(TASK, held_out=3), TypeError, "held_out: expected a task"),
        (lambda: Stop(), ValueError, "it would never stop"),
        (lambda: parts(circuit=3), TypeError, "circuit"),
        (lambda: parts(readout=StateReadout(np.ones((1, 9)))), ValueError, r"\(outputs, 16\)"),
        (lambda: parts(readout=RateReadout(np.ones((1, 9)))), ValueError, r"\(outputs, 16\)"),
        (lambda: parts(encoder=LinearEncoder(np.ones((9, 3)))), ValueError, "input: expected"),
        (lambda: parts(readout=BROAD), ValueError, r"expected 1 outputs.*\(3,\)"),
        (lambda: DelayedXOR(delay=1.0), ValueError, "at least half a pulse"),
        (lambda: FromTrials(ONES, ONES, [[0, 1, 1], [0, 0, 0]]), ValueError, "is trial 1"),
        (lambda: parts(start=np.ones(9)), ValueError, "start: expected"),
        (
            lambda: TaskNetwork(
                ExcitatoryInhibitory(), LinearEncoder(np.ones(3)), RateReadout(np.ones((1, 2)))
            ),
            TypeError, "no rates to read out",
        ),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call()


SLOW = DelayedXOR(delay=20.0, pulse=40.0, step=20.0)


PAIR = FromTrials(np.ones((2, 6, 3)), np.ones((2, 6, 2)))
TURNS = np.stack([np.arange(6) % 2, (np.arange(6) + 1) % 2], 1) + 0.0
BY_TURNS = FromTrials(np.ones((2, 6, 3)), np.ones((2, 6, 2)), np.stack([TURNS, TURNS]))
TWO_OUTPUTS = parts(readout=StateReadout(np.eye(2, 16)))

EXACT = BackpropagationThroughTime()
SIGNED = FromTrials(np.ones((2, 6, 3)), np.stack([np.ones((6, 2)), -np.ones((6, 2))]))
RATES_OUT = parts(readout=RateReadout(np.ones((1, 16))))
KEYS = jax.random.split(jax.random.key(0), 2)
MANY = eqx.filter_vmap(make)(KEYS)
UNEVEN = parts(readout=StateReadout(np.diag([1.0, 1e-4]) @ np.eye(2, 16)))


def fitted(network=NETWORK, objective=FORCED, where=recurrent, **options):
    options = {"key": jax.random.key(0), "steps": 1} | QUIET | options
    return rnnjax.fit(network, where, objective, **options)


def given(optimizer=ADAM, stop=None, audit=None):
    """These as `fit` looks at them; the types of its arguments are checked before in tests."""
    return _arguments.checked_optimizer(optimizer, None, stop, audit)


def no_mean(outputs, targets, mask):
    return mask * (outputs - targets)


def wrapped(*args):
    return lambda n, key: OnTask(*args)(n, key)


def broken(name, value):
    return eqx.tree_at(lambda n: getattr(n.readout, name), NETWORK, value)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fitted(key=None), ValueError, "OnTask draws its trials"),
        (lambda: fitted(NETWORK.circuit), ValueError, "where"),
        (lambda: fitted(stop=Stop(below=0.1)), ValueError, "give validate_every="),
        (lambda: fitted(validate_every=0), ValueError, "validate_every"),
        (lambda: fitted(audit=every(5), key=jax.random.split(jax.random.key(0), 2)), ValueError, "axis of that length"),
        (lambda: fitted(parts(encoder=LinearEncoder(np.ones((16, 2))))), ValueError, "has 3 inputs, the network 2"),
        (lambda: fitted(parts(readout=StateReadout(np.eye(2, 16)))), ValueError, "has 1 outputs, the network 2"),
        (lambda: fitted(objective=OnTask(SLOW)), ValueError, "fastest time constant"),
        (lambda: fitted(objective=OnTask(TASK, held_out=FromTrials())), ValueError, "has 1 inputs, the network 3"),
        (lambda: fitted(objective=OnTask(TASK, noise=Additive(np.ones(5)))), ValueError, "Additive"),
        (lambda: fitted(key=0.5), TypeError, "or jax.random.key"),
        (lambda: fitted(key=jax.random.split(jax.random.PRNGKey(0), 3)), ValueError, "mean as many fits"),
        (lambda: fitted(optimizer=optax.lbfgs()), TypeError, "does not search along a line"),
        (lambda: every(0), ValueError, "every.steps"),
        (lambda: fitted(objective=OnTask(TASK, loss=no_mean)), ValueError, r"for a trial, got shape \("),
        (lambda: fitted(objective=OnTask(TASK, ErrorForcing(), loss=cross_entropy)), ValueError, "probabilities"),
        (lambda: fitted(objective=wrapped(TASK, AdaptiveTeacherForcing())), ValueError, "remembers something"),
        (lambda: fitted(TWO_OUTPUTS, wrapped(TASK)), ValueError, "has 1 outputs, the network 2"),
        (lambda: OnTask(TASK).validate(TWO_OUTPUTS, jax.random.key(0)), ValueError, "has 1 outputs"),
        (lambda: fitted(TWO_OUTPUTS, OnTask(BY_TURNS, TeacherForcing())), ValueError, "of them at no step"),
        (lambda: fitted(objective=OnTask(TASK, TeacherForcing(every=50))), ValueError, "none of the steps at which"),
        (lambda: fitted(objective=wrapped(TASK, ErrorForcing(), EXACT, cross_entropy)), ValueError, "probabilities"),
        (lambda: fitted(RATES_OUT, wrapped(TASK, TeacherForcing())), ValueError, "affine in the state"),
        (lambda: fitted(objective=OnTask(TASK, loss=cross_entropy)), ValueError, "two at least"),
        (lambda: fitted(TWO_OUTPUTS, OnTask(SIGNED, loss=cross_entropy)), ValueError, "targets from -1 to"),
        (lambda: given(audit=100), TypeError, r"expected e.g. rnnjax.every\(100\), got 100"),
        (lambda: given(optimizer=1e-2), TypeError, r"expected e.g. optax.adam\(1e-2\), got 0.01"),
        (lambda: given(stop=0.1), TypeError, r"expected Stop\(below=...\)"),
        (lambda: parts(readout=StateReadout(np.ones(16))), ValueError, r"expected \(outputs, 16\)"),
        (lambda: eqx.filter_jit(lambda n: fitted(n, key=KEYS).losses)(MANY), ValueError, "filter_vmap around"),
        (lambda: fitted(broken("bias", np.full(1, np.nan))), ValueError, "TaskNetwork.readout.bias: expected"),
        (lambda: fitted(UNEVEN, OnTask(PAIR, ErrorForcing())), ValueError, "condition number"),
        (lambda: fitted(where=lambda n: (n.readout, n.start)), ValueError, "a part that the circuit was not given"),
        (lambda: every(5, duration=10.0), ValueError, "together"),
    ],
)  # fmt: skip
def test_fits_that_can_not_be_right(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_gradient_of_a_rule_is_what_a_fit_takes():
    found = fitted(optimizer=ADAM)
    loss, gradients = rnnjax.gradient(NETWORK, recurrent, FORCED, key=jax.random.key(0))
    np.testing.assert_allclose(loss, found.losses[0], rtol=1e-5)
    norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    np.testing.assert_allclose(norm, found.gradient_norms[0], rtol=1e-4)
    assert set(gradients) == {
        "circuit.connectivity.weights", "circuit.bias", "readout.weights", "readout.bias"
    }  # fmt: skip
    with pytest.raises(ValueError, match="OnTask draws its trials"):
        rnnjax.gradient(NETWORK, recurrent, FORCED)
    keys = jax.random.split(jax.random.key(0), 2)
    networks = eqx.filter_vmap(make)(keys)
    with pytest.raises(ValueError, match="gradient is of one network"):
        rnnjax.gradient(networks, recurrent, FORCED, key=keys)


def test_a_plain_circuit_is_no_task_network():
    with pytest.raises(TypeError, match="OnTask trains a TaskNetwork"):
        rnnjax.fit(
            NETWORK.circuit, lambda c: c.connectivity, FORCED, key=jax.random.key(0), **QUIET
        )


def test_a_forcing_that_throws_the_state_about_is_told():
    small = eqx.tree_at(lambda n: n.readout.weights, NETWORK, NETWORK.readout.weights / 50)
    wild = OnTask(TASK, ErrorForcing(1.0), batch=4)
    for objective in (wild, wild + (lambda n, key: 0.0 * n.circuit.bias[0])):
        with pytest.warns(UserWarning, match="times its own size") as told:
            fitted(small, objective)
        assert {each.filename for each in told} == {__file__}


def test_of_many_fits_each_is_looked_at():
    def second(factor):
        weights = np.array(MANY.readout.weights)
        weights[1] *= factor
        return eqx.tree_at(lambda n: n.readout.weights, MANY, weights)

    for objective in (FORCED, FORCED + (lambda n, key: 0.0 * n.circuit.bias[0])):
        with pytest.raises(ValueError, match="do not depend on each other"):
            fitted(second(0.0), objective, key=KEYS)
    wild = OnTask(TASK, ErrorForcing(1.0), batch=4)
    with pytest.warns(UserWarning, match="times its own size"):
        fitted(second(1e-3), wild, key=KEYS)


def test_a_time_constant_that_falls_below_the_step_is_told():
    quick = eqx.tree_at(lambda n: n.circuit.tau, NETWORK, np.asarray(1.2))
    with pytest.warns(UserWarning, match=r"after the fit, .*tau = 0.7\d+ ms, got 1 ms"):
        fitted(
            quick, OnTask(TASK, batch=2) + (lambda n, key: 100 * n.circuit.tau),
            lambda n: n.circuit.tau, optimizer=optax.adam(0.5),
        )  # fmt: skip


@pytest.mark.slow
def test_a_rule_that_is_no_derivative_is_not_taken_for_one():
    objective = OnTask(TASK, credit=DiagonalRecurrent(), batch=4)
    with pytest.raises(ValueError, match="add objectives with"):
        rnnjax.fit(
            NETWORK, recurrent, lambda n, key: objective(n, key), key=jax.random.key(0), **QUIET
        )
    exact = OnTask(TASK, ErrorForcing(0.2), batch=4)
    inner = rnnjax.fit(
        NETWORK, recurrent, lambda n, key: exact(n, key), key=jax.random.key(0), steps=1,
        optimizer=ADAM, **QUIET,
    )  # fmt: skip
    outer = fitted(objective=exact, optimizer=ADAM)
    np.testing.assert_allclose(inner.losses, outer.losses, rtol=1e-5)


def test_a_task_network_is_saved_and_loaded(tmp_path):
    rnnjax.save(tmp_path / "network", NETWORK)
    same = rnnjax.load(tmp_path / "network")
    assert jax.tree.structure(same) == jax.tree.structure(NETWORK)
    for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(NETWORK), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_task_network_is_a_circuit():
    times = np.arange(0.0, 50.0)
    run = rnnjax.simulate(NETWORK, times, np.array([1.0, 0.0, 1.0]))
    plain = rnnjax.simulate(
        NETWORK.circuit, times, NETWORK.encoder.weights @ np.array([1.0, 0.0, 1.0])
    )
    np.testing.assert_allclose(run.states, plain.states, atol=1e-5)
    assert NETWORK.outputs(run.final).shape == (1,)
    ring = TaskNetwork.random(RateNetwork(nonlinearity=tanh), TASK, key=jax.random.key(0))
    assert rnnjax.linearize(ring, ring.rest()).jacobian.shape == (100, 100)
