"""How fast is a sweep with fixed steps, beside the peers and beside hand-written C++?"""

from typing import Any, NamedTuple

from benchmarks._harness import Bar, Tool, Workload

SPEC = {"points": 100_000, "steps": 10_000, "step": 0.1, "method": "RK4"}
SMALL = {"points": 4096, "steps": 1000}


def versions():
    """Those of what is measured."""
    import diffrax
    import jax

    import rnnjax

    return {"jax": jax.__version__, "rnnjax": rnnjax.__version__, "diffrax": diffrax.__version__}


def tau_i(circuit):
    return circuit.tau_i


def m_ee(circuit):
    return circuit.m_ee


def e(state):
    return state.e


def sweep(spec):
    """Through `rnnjax.sweep`; with `own` the circuit is a user's class, with `drive` (Hz) it is driven."""
    import rnnjax

    if not spec.get("gpu"):
        rnnjax.tune_cpu(spec.get("devices"))
    import diffrax

    from benchmarks._points import checked, grid
    from rnnjax.circuits import ExcitatoryInhibitory, ExcitatoryInhibitoryState
    from rnnjax.inputs import Sinusoid
    from rnnjax.measures import Amplitude, Final, Mean
    from rnnjax.solvers import RK4

    tau, weight = grid(spec["points"])
    over = rnnjax.points(rnnjax.axis(tau_i, tau), rnnjax.axis(m_ee, weight))
    duration = spec["steps"] * spec["step"]
    solver = RK4() if spec["method"] == "RK4" else diffrax.Tsit5()
    circuit = own_circuit() if spec.get("own") else ExcitatoryInhibitory()
    drive = None
    if spec.get("drive"):
        drive = Sinusoid(1.0, spec["drive"]) * ExcitatoryInhibitoryState(1.0, 0.5)
    seen = Mean(of=e) if spec.get("mean") else Amplitude(of=e)
    start = Rates(50.0, 20.0) if spec.get("own") else ExcitatoryInhibitoryState(50.0, 20.0)

    def call():
        data = rnnjax.sweep(
            circuit, {"seen": seen, "end": Final()}, over, duration=duration, input=drive,
            step=spec["step"], transient=duration / 2, start=start, solver=solver,
            dtype="float32", progress=False,
        )  # fmt: skip
        return checked(data.end_e.values, data.end_i.values)

    return call


class Rates(NamedTuple):
    """Of a user's circuit, Hz."""

    e: Any
    i: Any


def own_circuit():
    """The circuit as a user writes it."""
    import jax.numpy as jnp

    import rnnjax

    class Pair(rnnjax.AbstractCircuit):
        m_ee: Any = rnnjax.parameter(1.25, "1")
        tau_e: Any = rnnjax.parameter(10.0, "ms")
        tau_i: Any = rnnjax.parameter(50.0, "ms")

        def __call__(self, rates, input):
            return Rates(
                (-rates.e + jnp.maximum(self.m_ee * rates.e - rates.i + 10, 0)) / self.tau_e,
                (-rates.i + jnp.maximum(rates.e - 10, 0)) / self.tau_i,
            )

        def rest(self):
            return Rates(jnp.zeros_like(self.tau_e), jnp.zeros_like(self.tau_e))

        def no_input(self):
            return 0.0

    return Pair()


def diffrax_vmap(spec):
    """diffrax with constant steps under vmap, on an even share of the points."""
    import diffrax
    import jax
    import jax.numpy as jnp

    from benchmarks._points import checked, grid

    tau, weight = (jnp.asarray(x, jnp.float32) for x in grid(spec["share"], spec["points"]))
    duration = jnp.float32(spec["steps"] * spec["step"])

    def field(t, y, p):
        return (jnp.maximum(p[1] * y[0] - y[1] + 10, 0) - y[0]) / 10, (
            jnp.maximum(y[0] - 10, 0) - y[1]
        ) / p[0]

    @jax.jit
    @jax.vmap
    def solve(tau, weight):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Tsit5(), jnp.float32(0), duration,
            jnp.float32(spec["step"]), (jnp.float32(50), jnp.float32(20)), args=(tau, weight),
            stepsize_controller=diffrax.ConstantStepSize(), max_steps=spec["steps"] + 10,
        ).ys  # fmt: skip

    def call():
        e, i = solve(tau, weight)
        return checked(e[:, 0], i[:, 0])

    return call


HERE = "sweep_fixed.py"
WORKLOAD = Workload(
    name="sweep_fixed",
    question="100 000 E-I circuits, 10 000 fixed steps, float32",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax RK4", HERE, "sweep"),
        Tool("rnnjax RK4, a user's class", HERE, "sweep", spec={"own": True}),
        Tool("rnnjax RK4, Mean", HERE, "sweep", spec={"mean": True}),
        Tool("rnnjax RK4, 40 Hz, Mean", HERE, "sweep", spec={"drive": 40.0, "mean": True},
             compare=False),
        Tool("C++ RK4", "limits/limit.py", "sweep"),
        Tool("rnnjax Tsit5", HERE, "sweep", spec={"method": "Tsit5"}),
        Tool("C++ Tsit5", "limits/limit.py", "sweep", spec={"method": "Tsit5"}),
        Tool("diffrax Tsit5, vmap", HERE, "diffrax_vmap", spec={"share": 4096}, share=0.04096),
        Tool("BrainPy RK4", "peers/brainpy.py", "sweep", "brainpy", {"share": 10_000}, 0.1),
        Tool("numba prange RK4", "peers/numba.py", "sweep", "numba", {"share": 20_000}, 0.2),
        Tool("torchdiffeq rk4", "peers/torch.py", "sweep", "torch",
             {"share": 10_000, "part": 20}, 0.005),
        Tool("scipy solve_ivp RK45", "peers/scipy.py", "sweep", "scipy", {"share": 25}, 0.00025),
    ),
    bars=(
        Bar("rnnjax RK4", "C++ RK4", "slower", 1.8),
        Bar("rnnjax RK4, a user's class", "C++ RK4", "slower", 1.8),
        Bar("rnnjax RK4, Mean", "rnnjax RK4", "slower", 1.1),
        Bar("rnnjax RK4, 40 Hz, Mean", "rnnjax RK4", "slower", 1.1),
        Bar("rnnjax Tsit5", "C++ Tsit5", "slower", 1.5),
        Bar("rnnjax RK4", "BrainPy RK4", "faster", 5),
        Bar("rnnjax RK4", "numba prange RK4", "faster", 15),
        Bar("rnnjax RK4", "torchdiffeq rk4", "faster", 75),
        Bar("rnnjax RK4", "scipy solve_ivp RK45", "faster", 1500),
        Bar("rnnjax Tsit5", "diffrax Tsit5, vmap", "faster", 30),
    ),
    tolerance=5e-3,
)  # fmt: skip
