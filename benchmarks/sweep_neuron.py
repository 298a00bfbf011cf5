"""How fast is a sweep of a neuron with ion channels, written as a user writes it?"""

from typing import Any, NamedTuple

import numpy as np

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {"points": 10_000, "duration": 50.0, "step": 0.02, "tolerance": 1e-6}
SMALL = {"points": 1024, "duration": 10.0}
COMPARED = 9
START = (-65.0, 0.053, 0.596, 0.318)


def currents(spec):
    """Currents (uA/cm2) and sodium conductances (mS/cm2): nine that are compared, then a grid."""
    count = spec.get("share", spec["points"])
    k = np.linspace(0, spec["points"] - 1, count).astype(int)
    side = int(np.ceil(np.sqrt(spec["points"])))
    current, conductance = 2.0 + 18.0 * (k % side) / side, 100.0 + 40.0 * (k // side) / side
    current[:COMPARED] = np.repeat([3.0, 8.0, 15.0], 3)
    conductance[:COMPARED] = np.tile([105.0, 120.0, 135.0], 3)
    return current, conductance


def checked(v):
    """The final potentials of those that are compared."""
    return [float(x) for x in np.asarray(v)[:COMPARED]]


class Neuron(NamedTuple):
    """Membrane potential, mV, and the gates of the channels."""

    v: Any
    m: Any
    h: Any
    n: Any


def slopes(v, m, h, n, current, g_na, exp):
    """Hodgkin and Huxley (1952), rest at -65 mV."""
    a_m, b_m = 0.1 * (v + 40) / (1 - exp(-(v + 40) / 10)), 4 * exp(-(v + 65) / 18)
    a_h, b_h = 0.07 * exp(-(v + 65) / 20), 1 / (1 + exp(-(v + 35) / 10))
    a_n, b_n = 0.01 * (v + 55) / (1 - exp(-(v + 55) / 10)), 0.125 * exp(-(v + 65) / 80)
    ionic = g_na * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
    return (
        current - ionic,
        a_m * (1 - m) - b_m * m,
        a_h * (1 - h) - b_h * h,
        a_n * (1 - n) - b_n * n,
    )


def current_of(circuit):
    return circuit.current


def conductance_of(circuit):
    return circuit.g_na


def potential(state):
    return state.v


def sweep(spec):
    """Through `rnnjax.sweep`, with a user's class."""
    import rnnjax

    if not spec.get("gpu"):
        rnnjax.tune_cpu()
    import jax.numpy as jnp

    from rnnjax.measures import Final
    from rnnjax.solvers import RK4

    class Cell(rnnjax.AbstractCircuit):
        current: Any = rnnjax.parameter(10.0, "uA/cm2")
        g_na: Any = rnnjax.parameter(120.0, "mS/cm2")

        def __call__(self, state, input):
            return Neuron(*slopes(*state, self.current, self.g_na, jnp.exp))

        def rest(self):
            return Neuron(*(jnp.full_like(self.current, x) for x in START))

        def no_input(self):
            return 0.0

    circuit = Cell()
    current, conductance = currents(spec)
    over = rnnjax.points(rnnjax.axis(current_of, current), rnnjax.axis(conductance_of, conductance))
    fixed = {"step": spec["step"], "solver": RK4(), "dtype": "float32"}
    free = {"rtol": spec["tolerance"], "atol": spec["tolerance"], "dtype": "float64"}

    def call():
        data = rnnjax.sweep(
            circuit, {"end": Final(of=potential)}, over, duration=spec["duration"],
            progress=False, **(free if spec["adaptive"] else fixed),
        )  # fmt: skip
        return checked(data.end.values)

    return call


def diffrax_vmap(spec):
    """diffrax under vmap."""
    import jax

    jax.config.update("jax_enable_x64", spec["adaptive"])
    import diffrax
    import jax.numpy as jnp

    dtype = jnp.float64 if spec["adaptive"] else jnp.float32
    current, conductance = (jnp.asarray(x, dtype) for x in currents(spec))
    control, first = diffrax.ConstantStepSize(), spec["step"]
    if spec["adaptive"]:
        control = diffrax.PIDController(
            rtol=spec["tolerance"], atol=spec["tolerance"], pcoeff=0.4, icoeff=0.3
        )
        first = None

    @jax.jit
    @jax.vmap
    def solve(current, conductance):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, p: slopes(*y, *p, jnp.exp)), diffrax.Tsit5(), 0.0,
            spec["duration"], first, tuple(jnp.asarray(x, dtype) for x in START),
            args=(current, conductance), stepsize_controller=control, max_steps=100_000,
        ).ys[0]  # fmt: skip

    def call():
        return checked(solve(current, conductance)[:, 0])

    return call


HERE = "sweep_neuron.py"
FIXED, ADAPTIVE = {"adaptive": False}, {"adaptive": True}
WORKLOAD = Workload(
    name="sweep_neuron",
    question="10 000 Hodgkin-Huxley neurons: 2500 fixed steps, float32; or tolerance 1e-6, float64",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax RK4", HERE, "sweep", spec=FIXED),
        Tool("numba prange RK4", "peers/numba.py", "neurons", "numba", {"share": 1000}, 0.1),
        Tool("diffrax Tsit5, vmap", HERE, "diffrax_vmap", spec=FIXED | {"share": 1000}, share=0.1),
        Tool("rnnjax adaptive", HERE, "sweep", spec=ADAPTIVE),
        Tool("diffrax adaptive, vmap", HERE, "diffrax_vmap", spec=ADAPTIVE),
    ),
    bars=(
        Bar("rnnjax RK4", "numba prange RK4", "faster", 5),
        Bar("rnnjax RK4", "diffrax Tsit5, vmap", "faster", 5),
        Bar("rnnjax adaptive", "diffrax adaptive, vmap", "faster", 5),
    ),
    tolerance=5e-2,
)  # fmt: skip
