"""Tasks: the rule of each, checked from its inputs; what all of them keep; refusals."""

import functools
import inspect
import re
import subprocess
import sys
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax import tasks
from rnnjax.tasks import Trial

MEMBERS = [
    value
    for value in vars(tasks).values()
    if inspect.isclass(value)
    and issubclass(value, tasks.AbstractTask)
    and not inspect.isabstract(value)
]
KEYS = jax.random.split(jax.random.key(0), 500)

# most of the time here is compilation, and the programs are run a few times only
quick = functools.partial(eqx.filter_jit, compiler_options={"xla_backend_optimization_level": 0})


@quick
def drawn(task, keys):
    with jax.numpy_rank_promotion("raise"):
        return jax.vmap(task.sample)(keys)


@quick
def single(task, key):
    return task.sample(key)


def many(task):
    """A trial for each of the keys, as NumPy arrays; tasks with the same times share a program."""
    return jax.tree.map(np.array, drawn(task, KEYS))


def z_scores(counts, probabilities):
    """How many standard deviations counts of a multinomial are off."""
    counts, p = np.asarray(counts), np.asarray(probabilities)
    n = counts.sum()
    return (counts - n * p) / np.sqrt(n * p * (1 - p))


def runs(row):
    """The first steps and the lengths of the stretches where a row is not 0."""
    edges = np.diff(np.concatenate([[0], (row != 0).astype(int), [0]]))
    first, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return first, end - first


# --- every member --------------------------------------------------------------------------------


def test_members_are_found():
    assert {cls.__name__ for cls in MEMBERS} >= {
        "ContextIntegration", "DelayedMatchToSample", "DelayedXOR", "EvidenceIntegration",
        "FlipFlop", "FromTrials", "PerceptualDecision", "Reaching", "RingPathIntegration",
        "SineGeneration",
    }  # fmt: skip


def each(classes):
    return pytest.mark.parametrize("cls", classes, ids=lambda c: c.__name__)


@each(MEMBERS)
def test_member(cls):
    task = cls()
    assert re.search(r"\$[^$]+\$", cls.__doc__)
    assert "References:" in cls.__doc__
    assert cls.__name__ in repr(task)
    assert not [x for x in jax.tree.leaves(task) if isinstance(x, float)]
    trials = many(task)
    assert trials.inputs.shape == (len(KEYS), task.steps, task.inputs)
    assert trials.targets.shape == (len(KEYS), task.steps, task.outputs)
    assert trials.mask.shape[1:] in ((task.steps,), (task.steps, task.outputs))
    assert all(np.isfinite(x).all() for x in trials)
    assert set(np.unique(trials.mask)) <= {0.0, 1.0}
    assert trials.mask.reshape(len(KEYS), -1).any(1).all()
    assert np.ptp(trials.inputs, axis=0).max() > 0, "all keys give the same trial"
    for k in (0, 3):  # one at a time, and again
        for x, y, z in zip(single(task, KEYS[k]), single(task, KEYS[k]), trials, strict=True):
            np.testing.assert_array_equal(x, y)
            np.testing.assert_allclose(x, z[k], rtol=1e-4, atol=1e-4)


@each(MEMBERS)
def test_member_in_both_precisions(cls, both_modes):
    task = cls()
    with jax.numpy_rank_promotion("raise"):
        trial = eqx.filter_eval_shape(task.sample, jax.random.key(0))
    assert isinstance(trial, Trial)
    for x in trial:
        assert x.dtype == ("float64" if both_modes else "float32")
        assert not x.weak_type


def test_parameters_are_traced():
    def size(height):
        task = eqx.tree_at(lambda t: t.amplitude, tasks.EvidenceIntegration(), height)
        return jnp.sum(task.sample(KEYS[0]).inputs ** 2)

    heights = jnp.asarray([0.5, 1.0, 2.0])
    sizes, slopes = quick(jax.vmap(jax.value_and_grad(size)))(heights)
    np.testing.assert_allclose(sizes, 35 * heights**2)  # 7 cues of 5 steps
    np.testing.assert_allclose(slopes, 70 * heights)


# --- each task -----------------------------------------------------------------------------------


def test_delayed_xor():
    assert tasks.DelayedXOR(delay=1000, pulse=10).steps == 1045
    task = tasks.DelayedXOR()
    inputs, targets, mask = many(task)
    s = inputs[:, 0, 0] * inputs[:, 20, 1]
    pulses, counts = np.unique(
        np.stack([inputs[:, 0, 0], inputs[:, 20, 1]], 1), axis=0, return_counts=True
    )
    np.testing.assert_array_equal(pulses, [(-1, -1), (-1, 1), (1, -1), (1, 1)])
    assert abs(z_scores(counts, 0.25)).max() < 5
    np.testing.assert_array_equal(targets[..., 0], s[:, None] * mask)
    np.testing.assert_array_equal(inputs[..., 2], 1 - mask)
    np.testing.assert_array_equal(mask.sum(1), 10)
    first = mask.argmax(1)
    starts, counts = np.unique(first - 50, return_counts=True)
    np.testing.assert_array_equal(starts, np.arange(-5, 5))
    assert abs(z_scores(counts, 0.1)).max() < 5
    assert not inputs[:, 10:, 0].any()
    assert not inputs[:, :20, 1].any()
    assert not inputs[:, 30:, 1].any()


def test_evidence_integration():
    assert tasks.EvidenceIntegration(delay=1000).steps == 65 + 1000 + 5
    assert tasks.EvidenceIntegration(delay=0).steps == 70
    task = tasks.EvidenceIntegration(delay=20, amplitude=2.0)
    inputs, targets, mask = many(task)
    on = inputs.sum(-1)
    np.testing.assert_array_equal(on, np.broadcast_to(on[0], on.shape))
    first, length = runs(on[0])
    np.testing.assert_array_equal(first, np.arange(0, 65, 10))
    assert set(length) == {5}
    assert set(np.unique(inputs)) == {0.0, 2.0}
    assert set(np.unique(on)) == {0.0, 2.0}  # never on both sides
    left = inputs[:, first, 0] > 0
    np.testing.assert_array_equal(left, inputs[:, first + 4, 0] > 0)
    numbers, counts = np.unique(left.sum(1), return_counts=True)
    np.testing.assert_array_equal(numbers, np.arange(1, 7))
    assert abs(z_scores(counts, 1 / 6)).max() < 5
    for place in left.T:  # in random order
        assert abs(z_scores([place.sum(), (~place).sum()], 0.5)).max() < 5
    window = np.arange(90) >= 85
    np.testing.assert_array_equal(mask, np.broadcast_to(window, mask.shape))
    answer = np.where(left.sum(1) > 3, 1.0, -1.0)
    np.testing.assert_array_equal(targets[..., 0], answer[:, None] * window)


def test_sine_generation():
    task = tasks.SineGeneration()
    assert task.steps == 500
    inputs, targets, mask = many(task)
    assert np.all(mask == 1)
    assert np.ptp(inputs, axis=1).max() == 0
    period = 90 * inputs[:, 0, 0]
    found, counts = np.unique(np.round(period, 3), return_counts=True)
    np.testing.assert_allclose(found, np.arange(35, 126, 15))
    assert abs(z_scores(counts, 1 / 7)).max() < 5
    phase = 2 * np.pi * np.arange(500) / np.round(period)[:, None]
    expected = np.stack([np.cos(phase), np.cos(phase + np.pi / 4)], -1)
    np.testing.assert_allclose(targets, expected, atol=2e-5)


@pytest.mark.parametrize(
    "task",
    [
        tasks.FlipFlop(),
        tasks.FlipFlop(duration=64, pulse=1, probability=0.5),
        tasks.FlipFlop(bits=2, duration=95, pulse=10, probability=0.3, amplitude=3.0),
    ],
)
def test_flip_flop_holds_the_last_pulse(task):
    inputs, targets, mask = many(task)
    expected = np.zeros_like(targets)
    for trial in range(30):
        for bit in range(task.bits):
            held = 0.0
            for step in range(task.steps):
                if inputs[trial, step, bit] != 0:
                    held = np.sign(inputs[trial, step, bit])
                expected[trial, step, bit] = held
    np.testing.assert_array_equal(targets[:30], expected[:30])
    assert np.all(mask == 1)
    assert np.all(inputs[:, 0] != 0)
    assert set(np.unique(inputs)) == {-float(task.amplitude), 0.0, float(task.amplitude)}


def test_flip_flop_pulses_are_as_frequent_as_said():
    inputs = many(tasks.FlipFlop(probability=0.3)).inputs
    later = inputs[:, 10::10].ravel()
    np.testing.assert_array_equal(np.repeat(inputs[:, ::10], 10, axis=1), inputs)
    counts = [(later == value).sum() for value in (-1, 0, 1)]
    assert abs(z_scores(counts, [0.15, 0.7, 0.15])).max() < 5


def test_context_integration():
    task = tasks.ContextIntegration(noise=0.0)
    assert task.steps == 800
    inputs, targets, mask = many(task)
    d, context = inputs[:, 0, :2], inputs[:, 0, 2:]
    np.testing.assert_array_equal(context.sum(1), 1)
    np.testing.assert_array_equal(inputs[:, :, 2:], np.repeat(context[:, None], 800, axis=1))
    np.testing.assert_array_equal(inputs[:, :750, :2], np.repeat(d[:, None], 750, axis=1))
    assert not inputs[:, 750:, :2].any()
    assert abs(d).max() < 0.1875
    # uniform on (-c, c): variance c^2 / 3, and independent
    np.testing.assert_allclose((d**2).mean(0), 0.1875**2 / 3, rtol=0.15)
    assert abs(np.corrcoef(d.T)[0, 1]) * np.sqrt(len(KEYS)) < 5
    answer = np.where((d * context).sum(1) > 0, 1.0, -1.0)
    window = np.arange(800) >= 750
    np.testing.assert_array_equal(targets[..., 0], answer[:, None] * window)
    np.testing.assert_array_equal(mask, np.broadcast_to(window, mask.shape))
    assert abs(z_scores(context.sum(0), 0.5)).max() < 5
    assert abs(z_scores([(answer > 0).sum(), (answer < 0).sum()], 0.5)).max() < 5


@pytest.mark.parametrize("step", [1.0, 5.0])
def test_noise_does_not_depend_on_the_step(step):
    task = tasks.ContextIntegration(noise=2.0, coherence=1e-9, step=step)
    noise = many(task).inputs[:, : int(750 / step), :2]
    np.testing.assert_allclose(noise.std() * np.sqrt(step), 2.0, rtol=0.03)
    sums = step * noise.sum(1)  # the integral, of variance sigma^2 times the time
    np.testing.assert_allclose(sums.std(), 2.0 * np.sqrt(750), rtol=0.25)


def test_perceptual_decision():
    task = tasks.PerceptualDecision(noise=0.0)
    assert task.steps == 60
    inputs, targets, mask = many(task)
    time = 20 * np.arange(60)
    shown, decided = (time >= 100) & (time < 900), time >= 900
    difference = (inputs[:, 10, 0] - inputs[:, 10, 1]) * 100 / 3.2
    found, counts = np.unique(np.round(difference, 2), return_counts=True)
    np.testing.assert_allclose(found, [-16, -8, -4, -2, -1, 1, 2, 4, 8, 16])
    assert abs(z_scores(counts, 0.1)).max() < 5
    np.testing.assert_allclose(inputs[:, shown, :2].mean(-1), 0.7, rtol=1e-6)
    np.testing.assert_allclose(inputs[:, ~shown, :2], 0.2, rtol=1e-6)
    np.testing.assert_allclose(
        inputs[..., 2], np.broadcast_to(0.2 + (time >= 100), (len(KEYS), 60))
    )
    right = np.stack([difference > 0, difference < 0], 1)
    expected = 0.2 + 0.8 * right[:, None, :] * decided[:, None]
    np.testing.assert_allclose(targets, expected, rtol=1e-6)
    np.testing.assert_array_equal(mask, np.broadcast_to(~shown, mask.shape))
    noisy = many(tasks.PerceptualDecision()).inputs - 0.2
    assert noisy.min() >= -0.2
    np.testing.assert_allclose(noisy[:, 0].std(), 0.01 * np.sqrt(2 * 100 / 20), rtol=0.15)


@pytest.mark.parametrize("stimuli", [2, 4])
def test_delayed_match_to_sample(stimuli):
    task = tasks.DelayedMatchToSample(stimuli=stimuli, noise=0.0)
    assert task.steps == 320
    inputs, targets, mask = many(task)
    time = 10 * np.arange(320)
    first, second = inputs[:, 30, 1:].argmax(1), inputs[:, 180, 1:].argmax(1)
    for start, which in ((300, first), (1800, second)):
        on = (time >= start) & (time < start + 500)
        expected = np.eye(stimuli)[which][:, None]
        np.testing.assert_array_equal(
            inputs[:, on, 1:], np.broadcast_to(expected, (len(KEYS), on.sum(), stimuli))
        )
        inputs[:, on, 1:] = 0
    assert not inputs[..., 1:].any()
    window = time >= 2300
    np.testing.assert_array_equal(inputs[..., 0], np.broadcast_to(~window, mask.shape))
    np.testing.assert_array_equal(mask, np.broadcast_to(window, mask.shape))
    answer = np.where(first == second, 1.0, -1.0)
    np.testing.assert_array_equal(targets[..., 0], answer[:, None] * window)
    assert abs(z_scores([(answer > 0).sum(), (answer < 0).sum()], 0.5)).max() < 5
    assert abs(z_scores(np.bincount(first), 1 / stimuli)).max() < 5
    apart = np.bincount((second - first) % stimuli, minlength=stimuli)
    chances = np.r_[0.5, np.full(stimuli - 1, 0.5 / (stimuli - 1))]
    assert abs(z_scores(apart, chances)).max() < 5


def test_noise_of_stimuli_is_there_while_they_are():
    inputs = many(tasks.DelayedMatchToSample()).inputs
    noise = np.abs(inputs[:, 30:80, 1:] - inputs[:, 30:80, 1:].mean(1, keepdims=True))
    assert noise.min(axis=(0, 1)).max() > 0
    np.testing.assert_allclose(inputs[:, 30:80, 1:].std(1).mean(), 1 / np.sqrt(10), rtol=0.1)
    assert not inputs[:, 80:180, 1:].any()


def test_reaching():
    task = tasks.Reaching(distance=3.0)
    assert task.steps == 130
    inputs, targets, mask = many(task)
    assert np.all(mask == 1)
    target, go = inputs[:, -1, :2], inputs[..., 2].argmax(1)
    np.testing.assert_allclose((target**2).sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(inputs[:, 10:, :2], np.repeat(target[:, None], 120, axis=1))
    assert not inputs[:, :10, :2].any()
    assert np.all(np.diff(inputs[..., 2], axis=1).clip(min=0).sum(1) == 1)
    delays, counts = np.unique(go, return_counts=True)
    np.testing.assert_array_equal(delays, np.arange(30, 61))
    assert abs(z_scores(counts, 1 / 31)).max() < 5
    octants = np.bincount((np.arctan2(*target.T[::-1]) // (np.pi / 4)).astype(int) + 4)
    assert abs(z_scores(octants, 1 / 8)).max() < 5

    distance = np.sqrt((targets**2).sum(-1))
    step = np.arange(130)
    for k in range(100):
        assert not targets[k, : go[k]].any()
        np.testing.assert_allclose(targets[k, go[k] + 49 :] - 3 * target[k], 0, atol=1e-5)
        speed = np.diff(np.r_[0, distance[k][step >= go[k]]])[:50] / 0.01
        np.testing.assert_allclose(speed, speed[::-1], atol=2e-3)  # a bell
        assert np.all(np.diff(speed[:25]) > 0)
        np.testing.assert_allclose(speed.max(), 15 * 3 / (8 * 0.5), rtol=2e-3)
    middle = targets[np.arange(len(KEYS)), go + 24]
    np.testing.assert_allclose(middle, 1.5 * target, atol=1e-5)  # halfway at half of the time


def test_ring_path_integration():
    task = tasks.RingPathIntegration()
    assert task.steps == 500
    inputs, targets, mask = many(task)
    shown = np.arange(500) < 10
    start = np.arctan2(inputs[:, 0, 2], inputs[:, 0, 1])
    for k, of in ((1, np.cos), (2, np.sin)):
        np.testing.assert_allclose(inputs[..., k], of(start)[:, None] * shown, atol=1e-5)
    velocity = inputs[..., 0]
    assert not velocity[:, shown].any()
    heading = start[:, None] + np.cumsum(velocity.astype(np.float64), axis=1) * 0.025
    expected = np.stack([np.cos(heading), np.sin(heading)], -1)
    np.testing.assert_allclose(targets, expected, atol=2e-4)
    np.testing.assert_array_equal(mask, np.broadcast_to(~shown, mask.shape))

    moving = velocity[:, 10:]
    np.testing.assert_allclose(moving.std(), 2.0, rtol=0.03)
    np.testing.assert_allclose(moving[:, 0].std(), 2.0, rtol=0.2)  # from the first step on
    kept = (moving[:, 1:] * moving[:, :-1]).mean() / (moving**2).mean()
    np.testing.assert_allclose(kept, 0.8, atol=0.02)
    fresh = (moving[:, 1:] - np.exp(-25 / 112) * moving[:, :-1]) * 0.025
    np.testing.assert_allclose(fresh.std(), 0.03, rtol=0.03)  # rad per step, as published
    quadrants = np.bincount((start // (np.pi / 2)).astype(int) + 2)
    assert abs(z_scores(quadrants, 0.25)).max() < 5


# --- one's own trials ----------------------------------------------------------------------------


def own(count=3, steps=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, steps, 2)), rng.normal(size=(count, steps, 1))


def test_from_trials_draws_each_alike():
    inputs, targets = own()
    task = tasks.FromTrials(inputs, targets, step=5)
    assert (task.steps, task.inputs, task.outputs, task.step) == (4, 2, 1, 5)
    trials = many(task)
    which = np.argmin(abs(trials.inputs[:, None] - inputs).sum((2, 3)), axis=1)
    np.testing.assert_allclose(trials.inputs, inputs[which], rtol=1e-6)
    np.testing.assert_allclose(trials.targets, targets[which], rtol=1e-6)
    assert np.all(trials.mask == 1)
    assert abs(z_scores(np.bincount(which), 1 / 3)).max() < 5


def test_from_trials_without_a_mask_asks_for_what_is_finite():
    inputs, targets = own()
    targets[1, 2] = np.nan
    task = tasks.FromTrials(inputs, targets)
    np.testing.assert_array_equal(task.trials.mask, np.isfinite(targets))
    assert np.isfinite(task.trials.targets).all()
    assert task.sample(KEYS[0]).mask.shape == (4, 1)


@pytest.mark.parametrize("kind", [float, bool, int])
@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1)])
def test_from_trials_masks(kind, shape):
    inputs, targets = own()
    mask = np.ones(shape, kind)
    mask[:, :2] = 0
    targets[:, :2] = np.nan
    trial = tasks.FromTrials(inputs, targets, mask).sample(KEYS[0])
    assert trial.mask.shape == shape[1:]
    np.testing.assert_array_equal(trial.mask, mask[0])
    assert np.isfinite(trial.targets).all()


def test_from_trials_refusals():
    inputs, targets = own()
    build = tasks.FromTrials
    with pytest.raises(TypeError, match=r"expected inputs and targets, got only one"):
        build(inputs)
    with pytest.raises(ValueError, match=r"inputs: expected \(trials, steps, inputs\).*\(3, 4\)"):
        build(inputs[..., 0], targets)
    with pytest.raises(ValueError, match=r"inputs: expected.*got shape \(0, 4, 2\)"):
        build(inputs[:0], targets[:0])
    with pytest.raises(ValueError, match=r"targets: expected \(3, 4, outputs\).*\(3, 3, 1\)"):
        build(inputs, targets[:, :3])
    with pytest.raises(ValueError, match=r"targets: expected \(3, 4, outputs\).*\(3, 4\)"):
        build(inputs, targets[..., 0])
    with pytest.raises(ValueError, match=r"mask: expected \(3, 4\) or \(3, 4, 1\).*\(4,\)"):
        build(inputs, targets, np.ones(4))
    with pytest.raises(ValueError, match=r"mask: expected 1 where.*values from 0.5 to 0.5"):
        build(inputs, targets, np.full((3, 4), 0.5))
    with pytest.raises(ValueError, match=r"mask: expected 1 where.*at least once"):
        build(inputs, targets, np.zeros((3, 4)))
    targets[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"mask is 1, got 1 .*trial 1, step 2, channel 0.*mask to"):
        build(inputs, targets, np.ones((3, 4)))
    inputs[2, 0, 1] = np.inf
    with pytest.raises(ValueError, match=r"inputs: expected finite.*trial 2, step 0, channel 1"):
        build(inputs, targets)


class Environment:
    """As NeuroGym's: trials of 3 to 5 steps, and the channel that was on is the choice at the end."""

    dt = 20
    action_space = types.SimpleNamespace(n=4)

    def seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def new_trial(self):
        steps, choice = self.rng.integers(3, 6), self.rng.integers(1, 3)
        self.ob, self.gt = np.zeros((steps, 3), np.float32), np.zeros(steps, int)
        self.ob[:-1, choice] = 1
        self.gt[-1] = choice


class Wrapped:
    def __init__(self, env):
        self.unwrapped = env


@pytest.mark.parametrize("wrap", [lambda env: env, Wrapped])
def test_trials_of_an_environment(wrap):
    task = tasks.FromTrials.from_environment(wrap(Environment()), 30, seed=3)
    assert (task.steps, task.inputs, task.outputs, task.step) == (5, 3, 4, 20)
    expected = Environment()
    expected.seed(3)
    for inputs, targets, mask in zip(*task.trials, strict=True):
        expected.new_trial()
        steps = len(expected.ob)
        np.testing.assert_array_equal(mask, np.arange(5) < steps)
        np.testing.assert_array_equal(inputs[:steps], expected.ob)
        np.testing.assert_array_equal(targets[:steps], np.eye(4)[expected.gt])
        assert not inputs[steps:].any()
        assert not targets[steps:].any()
    other = tasks.FromTrials.from_environment(Environment(), 30, seed=4)
    assert not np.array_equal(other.trials.inputs, task.trials.inputs)


@pytest.mark.filterwarnings("ignore")  # its own, of the libraries that it pins
def test_trials_of_neurogym_itself():
    neurogym = pytest.importorskip(
        "neurogym", reason="the extra neurogym is not installed", exc_type=ImportError
    )

    def made():
        return neurogym.make("PerceptualDecisionMaking-v0", dt=20)

    task = tasks.FromTrials.from_environment(made(), 12, seed=1)
    assert (task.inputs, task.outputs, task.step) == (3, 3, 20)  # to fixate, and two sides
    itself = made().unwrapped
    itself.seed(1)
    for inputs, targets, mask in zip(*task.trials, strict=True):
        itself.new_trial()
        steps = len(itself.gt)
        np.testing.assert_array_equal(inputs[:steps], itself.ob)
        np.testing.assert_array_equal(targets[:steps].argmax(-1), itself.gt)
        np.testing.assert_array_equal(targets.sum(-1), mask)


def test_an_environment_whose_ground_truth_is_a_number():
    class Graded(Environment):
        def new_trial(self):
            super().new_trial()
            self.gt = 0.5 * self.gt

    task = tasks.FromTrials.from_environment(Graded(), 10)
    assert task.outputs == 1
    assert set(np.unique(task.trials.targets)) == {0.0, 0.5, 1.0}


def test_environment_refusals():
    class Blind(Environment):
        def new_trial(self):
            self.ob = np.zeros((3, 2))

    with pytest.raises(ValueError, match=r"ground truth.*\(3, 2\) and \(\).*supervision"):
        tasks.FromTrials.from_environment(Blind(), 2)
    with pytest.raises(ValueError, match=r"expected a NeuroGym environment.*got dict"):
        tasks.FromTrials.from_environment({}, 2)
    with pytest.raises(ValueError, match=r"trials: expected a positive whole number, got 0"):
        tasks.FromTrials.from_environment(Environment(), 0)


def test_importing_tasks_loads_no_library_of_others():
    code = "import rnnjax.tasks, sys; print('neurogym' in sys.modules, 'gymnasium' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr


# --- refusals ------------------------------------------------------------------------------------

TIMES = {
    tasks.ContextIntegration: ("stimulus", "response"),
    tasks.DelayedMatchToSample: ("fixation", "presentation", "delay", "decision"),
    tasks.DelayedXOR: ("delay", "pulse"),
    tasks.EvidenceIntegration: ("cue", "gap", "delay", "response"),
    tasks.FlipFlop: ("duration", "pulse"),
    tasks.PerceptualDecision: ("fixation", "stimulus", "decision"),
    tasks.Reaching: ("fixation", "delay", "jitter", "movement", "hold"),
    tasks.RingPathIntegration: ("duration", "cue"),
    tasks.SineGeneration: ("duration",),
}


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls in TIMES for name in TIMES[cls]])
def test_times_are_multiples_of_the_step(cls, name):
    for bad in (0.3 * cls().step, -10 * cls().step, np.nan):
        with pytest.raises(
            ValueError, match=rf"{cls.__name__}\.{name}: expected a multiple of step"
        ):
            cls(**{name: bad})


@each(MEMBERS)
def test_steps_are_times(cls):
    for bad in (-1.0, np.inf):
        with pytest.raises(ValueError, match=rf"{cls.__name__}\.\w+: expected"):
            cls(step=bad)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: tasks.EvidenceIntegration(cues=6), r"cues: expected an odd.*at least 3.*got 6"),
        (lambda: tasks.EvidenceIntegration(cues=1), r"cues: expected an odd.*at least 3.*got 1"),
        (lambda: tasks.SineGeneration(shift=-90), r"shift: expected more than -90 ms.*got -90 ms"),
        (lambda: tasks.SineGeneration(shift=np.nan), r"shift: expected finite"),
        (lambda: tasks.FlipFlop(bits=0), r"FlipFlop\.bits: expected a positive whole.*got 0"),
        (lambda: tasks.FlipFlop(probability=1.5), r"probability: expected.*0 to 1, got 1\.5"),
        (lambda: tasks.ContextIntegration(coherence=0), r"coherence: expected a value above zero"),
        (lambda: tasks.PerceptualDecision(coherences=[]), r"coherences: expected a list.*\[\]"),
        (lambda: tasks.PerceptualDecision(coherences=[1.0, -2.0]), r"coherences: expected.*-2"),
        (lambda: tasks.DelayedMatchToSample(stimuli=1), r"stimuli: expected at least 2.*got 1"),
        (lambda: tasks.Reaching(distance=-1), r"distance: expected a value above zero"),
        (lambda: tasks.RingPathIntegration(cue=12500), r"cue: expected less than the duration"),
        (lambda: tasks.RingPathIntegration(correlation=0), r"correlation: expected.*above zero"),
    ],
)  # fmt: skip
def test_refusals(build, match):
    with pytest.raises(ValueError, match=match):
        build()
