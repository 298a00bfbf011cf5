"""torch: eager, with as many threads as are fastest here; torchdiffeq for the sweep."""

import importlib.metadata
import os
import time

import numpy as np
import torch
from torchdiffeq import odeint

from benchmarks._points import checked, grid

torch.set_num_threads(os.cpu_count() or 1)


def _fastest_threads(call):
    """Set as many threads as a call is fastest with: one, or one per core."""
    took = {}
    for count in (1, os.cpu_count() or 1):
        torch.set_num_threads(count)
        call()
        begun = time.perf_counter()
        call()
        took[count] = time.perf_counter() - begun
    torch.set_num_threads(min(took, key=took.get))


def versions():
    """Those of the peers."""
    return {n: importlib.metadata.version(n) for n in ("torch", "torchdiffeq")}


def _field(tau, weight):
    def field(t, y):
        e, i = y
        return torch.stack(
            [(torch.relu(weight * e - i + 10) - e) / 10, (torch.relu(e - 10) - i) / tau]
        )

    return field


def _solve(tau, weight, steps, step):
    tau, weight = (torch.tensor(x, dtype=torch.float32) for x in (tau, weight))
    start = torch.tensor([50.0, 20.0])[:, None].repeat(1, len(tau))
    times = torch.linspace(0, steps * step, steps + 1)
    with torch.no_grad():
        return odeint(_field(tau, weight), start, times, method="rk4")[-1].numpy()


def sweep(spec):
    """An even share of the points, for a part of the steps; the compared ones for all steps."""
    tau, weight = grid(spec["share"], spec["points"])
    outcome = checked(*_solve(tau[:9], weight[:9], spec["steps"], spec["step"]))

    def call():
        _solve(tau, weight, spec["steps"] // spec["part"], spec["step"])
        return outcome

    return call


def _network(spec):
    from benchmarks._networks import network

    return (torch.tensor(x) for x in network(spec))


def network(spec):
    """A tanh network by Euler steps."""
    weights, starts = _network(spec)
    turned = weights.T.contiguous()

    def run(steps):
        x = starts
        with torch.no_grad():
            for _ in range(steps):
                x = x + spec["step"] * (torch.tanh(x) @ turned - x)
        return x

    outcome = run(spec["compared"])[0, :8].tolist()

    def call():
        run(spec["steps"])
        return outcome

    return call


def gradient(spec):
    """The gradient of a loss over all steps with respect to the weights."""
    weights, starts = _network(spec)
    weights.requires_grad_(True)

    def run(steps):
        weights.grad = None
        target = torch.tensor(np.sin(0.05 * np.arange(1, steps + 1)).astype(np.float32))
        x, loss, turned = starts, torch.zeros(()), weights.T
        for k in range(steps):
            x = x + spec["step"] * (torch.tanh(x) @ turned - x)
            loss = loss + ((x[:, 0] - target[k]) ** 2).mean()
        (loss / steps).backward()
        return weights.grad

    outcome = run(spec["compared"])[0, :8].tolist()

    def call():
        run(spec["steps"])
        return outcome

    _fastest_threads(lambda: run(spec["compared"]))
    return call


def training(spec):
    """Steps of training: the loss over all steps, its gradient, Adam."""
    from benchmarks.training import COMPARED, parameters, told, trials

    first, encoder = parameters(spec)[:-1], torch.tensor(parameters(spec)[-1])

    def run(steps, updates):
        given = [torch.tensor(x, requires_grad=True) for x in first]
        weights, bias, readout, readout_bias = given
        inputs, targets, mask = (torch.tensor(x) for x in made[steps])
        optimizer, losses = torch.optim.Adam(given, lr=spec["rate"]), []
        for _ in range(updates):
            optimizer.zero_grad()
            x, turned, states = torch.zeros(spec["batch"], spec["units"]), weights.T, []
            # in one piece: the gradient of a slice would be as large as all drives, at every step
            drives = (bias + inputs @ encoder.T).unbind(1)
            for k in range(steps):
                x = x + spec["leak"] * (torch.tanh(x) @ turned + drives[k] - x)
                states.append(x)
            errors = mask * (torch.stack(states, 1) @ readout.T + readout_bias - targets) ** 2
            loss = (errors.sum((1, 2)) / mask.sum((1, 2))).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return [x.detach().numpy() for x in given], losses

    made = {steps: trials(spec, steps) for steps in (spec["compared"], spec["steps"])}
    outcome = told(first, *run(spec["compared"], COMPARED), spec)

    def call():
        run(spec["steps"], spec["updates"])
        return outcome

    _fastest_threads(lambda: run(spec["compared"], 1))
    return call
