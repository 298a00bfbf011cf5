"""How fast is a sweep whose points choose their own steps, beside diffrax under vmap?"""

import os

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import m_ee, tau_i, versions  # noqa: F401

SPEC = {"points": 100_000, "duration": 1000.0, "tolerance": 1e-6}
SMALL = {"points": 4096, "duration": 200.0}


def hold(spec):
    """Keep this process to so many cores, before JAX counts them."""
    if "cores" in spec and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["cores"]])


def sweep(spec):
    """Through `rnnjax.sweep` without a step."""
    hold(spec)
    import rnnjax

    if not spec.get("gpu"):
        rnnjax.tune_cpu(spec["devices"])
    from benchmarks._points import checked, grid
    from rnnjax.circuits import ExcitatoryInhibitory, ExcitatoryInhibitoryState
    from rnnjax.measures import Final

    tau, weight = grid(spec["points"])
    over = rnnjax.points(rnnjax.axis(tau_i, tau), rnnjax.axis(m_ee, weight))

    def call():
        data = rnnjax.sweep(
            ExcitatoryInhibitory(), {"end": Final()}, over, duration=spec["duration"],
            start=ExcitatoryInhibitoryState(50.0, 20.0), rtol=spec["tolerance"],
            atol=spec["tolerance"], dtype="float64", progress=False,
        )  # fmt: skip
        call.noted = {"waste": data.attempts_done / data.attempts_needed}
        return checked(data.end_e.values, data.end_i.values)

    return call


def diffrax_vmap(spec):
    """diffrax with a PI controller under vmap, over one device or several."""
    hold(spec)
    import jax

    jax.config.update("jax_num_cpu_devices", spec["devices"])
    jax.config.update("jax_enable_x64", True)
    import diffrax
    import jax.numpy as jnp

    from benchmarks._points import checked, grid

    tau, weight = (jnp.asarray(x) for x in grid(spec["points"]))
    control = diffrax.PIDController(
        rtol=spec["tolerance"], atol=spec["tolerance"], pcoeff=0.4, icoeff=0.3
    )

    def field(t, y, p):
        return (jnp.maximum(p[1] * y[0] - y[1] + 10, 0) - y[0]) / 10, (
            jnp.maximum(y[0] - 10, 0) - y[1]
        ) / p[0]

    @jax.vmap
    def solve(tau, weight):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Tsit5(), 0.0, spec["duration"], None, (50.0, 20.0),
            args=(tau, weight), stepsize_controller=control, max_steps=100_000,
        ).ys  # fmt: skip

    if spec["devices"] > 1:
        auto = (jax.sharding.AxisType.Auto,)
        mesh = jax.make_mesh((spec["devices"],), ("lanes",), axis_types=auto)
        own = jax.sharding.PartitionSpec("lanes")
        placed = jax.sharding.NamedSharding(mesh, own)
        tau, weight = jax.device_put(tau, placed), jax.device_put(weight, placed)
        solve = jax.shard_map(solve, mesh=mesh, in_specs=(own, own), out_specs=own, check_vma=False)
    solve = jax.jit(solve)

    def call():
        e, i = solve(tau, weight)
        return checked(e[:, 0], i[:, 0])

    return call


HERE = "sweep_adaptive.py"
WORKLOAD = Workload(
    name="sweep_adaptive",
    question="100 000 E-I circuits, adaptive Tsit5, tolerance 1e-6, float64",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax, one core", HERE, "sweep", spec={"devices": 1, "cores": 1}),
        Tool("diffrax vmap, one core", HERE, "diffrax_vmap", spec={"devices": 1, "cores": 1}),
        Tool("rnnjax, one device", HERE, "sweep", spec={"devices": 1}),
        Tool("diffrax vmap, one device", HERE, "diffrax_vmap", spec={"devices": 1}),
        Tool("rnnjax, two devices", HERE, "sweep", spec={"devices": 2}),
        Tool("diffrax vmap, two devices", HERE, "diffrax_vmap", spec={"devices": 2}),
    ),
    bars=(
        Bar("rnnjax, one core", "diffrax vmap, one core", "faster", 12),
        Bar("rnnjax, one device", "diffrax vmap, one device", "faster", 12),
        Bar("rnnjax, two devices", "diffrax vmap, two devices", "faster", 6),
    ),
    tolerance=1e-3,
    limits=(("rnnjax, one device", "waste", 1.1), ("rnnjax, two devices", "waste", 1.1)),
)
