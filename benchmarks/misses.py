"""Which programs find every fold and Hopf point of a branch, and none that is not there?

Eleven branches of eleven circuits with 28 points, known to many digits (`tests/published`). Every
tool gets the same equations, starts and bounds in float64. A point counts as found within 1e-4 of
the bounds' distance under its own name; whatever else is reported counts as invented, repeats and
neutral saddles among it. rnnjax is run with its longest step at 0.0125, 0.05 and 0.2 of the bounds,
the worst counts; JaxCont with the longest step of its defaults, 0.1 in the units of the equations,
and with 1/100 and 1/1000 of the bounds, and as many steps as it needs. Seconds are those of all
branches. AUTO is not among them: bifpy, which brings it, is built by pip with a Fortran compiler.
"""

import importlib.metadata

import numpy as np

from benchmarks._harness import Tool, Workload

STEPS = (0.0125, 0.05, 0.2)
NEAR = 1e-4


def versions():
    """Those of what is installed where this runs."""
    found = {}
    for name in ("jax", "rnnjax", "jaxcont"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def neuron(g_ca, phi, v_3, v_4):
    """Morris and Lecar (1981), in the sets of Rinzel and Ermentrout (1998)."""
    import jax.numpy as jnp

    def field(u, p):
        v, w = u
        m_inf = (1 + jnp.tanh((v + 1.2) / 18)) / 2
        w_inf = (1 + jnp.tanh((v - v_3) / v_4)) / 2
        current = p - g_ca * m_inf * (v - 120) - 8 * w * (v + 84) - 2 * (v + 60)
        return jnp.stack([current / 20, phi * jnp.cosh((v - v_3) / (2 * v_4)) * (w_inf - w)])

    return field


def axon(u, p):
    """Hodgkin and Huxley (1952)."""
    import jax.numpy as jnp

    v, m, h, n = u
    current = p - 120 * m**3 * h * (v - 50) - 36 * n**4 * (v + 77) - 0.3 * (v + 54.4)
    open_m = 0.1 * (v + 40) / (1 - jnp.exp(-(v + 40) / 10))
    open_n = 0.01 * (v + 55) / (1 - jnp.exp(-(v + 55) / 10))
    slope_h = 0.07 * jnp.exp(-(v + 65) / 20) * (1 - h) - h / (1 + jnp.exp(-(v + 35) / 10))
    return jnp.stack([
        current, open_m * (1 - m) - 4 * jnp.exp(-(v + 65) / 18) * m, slope_h,
        open_n * (1 - n) - 0.125 * jnp.exp(-(v + 65) / 80) * n,
    ])  # fmt: skip


def populations(u, p):
    """Wilson and Cowan (1972)."""
    import jax.numpy as jnp

    def response(x, slope, middle):
        return 1 / (1 + jnp.exp(-slope * (x - middle))) - 1 / (1 + np.exp(slope * middle))

    e, i = u
    excited = response(16 * e - 12 * i + p, 1.3, 4.0)
    inhibited = response(15 * e - 3 * i, 2.0, 3.7)
    top_e, top_i = (1 - 1 / (1 + np.exp(x)) for x in (1.3 * 4.0, 2.0 * 3.7))
    return jnp.stack([-e + (top_e - e) * excited, -i + (top_i - i) * inhibited])


def burster(u, p):
    """The fast Morris-Lecar equations of MatCont's manual."""
    import jax.numpy as jnp

    v, w = u
    m = (1 + jnp.tanh((v + 0.01) / 0.15)) / 2
    opened = (1 + jnp.tanh((v - 0.1) / 0.145)) / 2
    return jnp.stack([
        p - (v + 0.5) / 2 - 2 * w * (v + 0.7) - m * (v - 1),
        1.15 * (opened - w) * jnp.cosh((v - 0.1) / 0.29),
    ])  # fmt: skip


def control(u, p):
    """The feedback system of Kuznetsov's book."""
    import jax.numpy as jnp

    x, y, z = u
    return jnp.stack([y, z, -p * z - y - x + x**2])


def oscillator(u, p):
    """MatCont's torBPC1."""
    import jax.numpy as jnp

    x, y, z = u
    between = 0.5 * (y - x) + 0.93358 * (y - x) ** 3
    return jnp.stack([(between - p * x - 0.32858 * x**3) / 0.6, -between + 0.6 * y - z, y + 0.001])


def oxidation(u, p):
    """Carbon monoxide on platinum."""
    import jax.numpy as jnp

    x, y, s = u
    z = 1 - x - y - s
    return jnp.stack([
        5 * z**2 - 2 * x**2 - 10 * x * y, p * z - 0.1 * y - 10 * x * y, 0.0675 * (z - 0.4 * s),
    ])  # fmt: skip


def units(u, p):
    """Three tanh units."""
    import jax.numpy as jnp

    weights = np.array([[0.9, -1.2, 0.4], [1.2, 0.7, -0.5], [-0.6, 0.8, 1.1]])
    drive = np.array([0.1, 0.03, -0.02])
    return -u + p * (weights * jnp.tanh(u)).sum(1) + drive


def atmosphere(u, p):
    """Lorenz (1984) with the temperature of the sea."""
    import jax.numpy as jnp

    x, y, z, s = u
    return jnp.stack([
        -(y**2) - z**2 - 0.25 * (x - p) - 0.987 * s**2, x * y - x * z - y + 0.25,
        x * y + x * z - z, -1.04 * s + 0.987 * s * x + 0.04,
    ])  # fmt: skip


def branches():
    """Of each: the equations, the bounds, the start (near enough), folds and Hopf points."""
    snic, hom = neuron(4.0, 0.067, 12.0, 17.4), neuron(4.0, 0.23, 12.0, 17.4)
    folds = (-9.949039322623, 39.963153092745)
    rest = (-74.6, 5e-5)
    return {
        "Wilson-Cowan": (populations, (-3, 6), (-3, (0.0, 0.0)),
                         (0.908683427302, 1.087330456172), (1.879313198084,)),
        "Morris-Lecar, Hopf": (neuron(4.4, 0.04, 2.0, 30.0), (-30, 250), (-30, (-73.0, 0.007)),
                               (), (93.857618373725, 212.018816100374)),
        "Morris-Lecar, SNIC": (snic, (-30, 250), (-30, rest), folds, (97.646163921526,)),
        "Morris-Lecar, homoclinic": (hom, (-30, 250), (-30, rest), folds, (36.316217496203,)),
        "Hodgkin-Huxley": (axon, (0, 200), (0, (-65.0, 0.053, 0.596, 0.318)), (),
                           (9.779337995393, 154.526333665808)),
        "fast Morris-Lecar": (burster, (-0.2, 0.3), (-0.2, (-0.9, 0.0)),
                              (-0.020727165255, 0.083256568943), (0.07565878645,)),
        "adaptive control": (control, (-2, 3), (3, (0.0, 0.0, 0.0)), (), (1.0,)),
        "torBPC1": (oscillator, (-1, 0), (-1, (0.001, -0.001, 0.0004)),
                    (-0.513031833800,), (-0.589285581002,)),
        "CO oxidation": (oxidation, (0.5, 2), (0.5, (0.2379, 0.0415, 0.5147)),
                         (1.042048505379, 1.052200287870), (1.040991569533, 1.051557462458)),
        "tanh units": (units, (0, 4), (0, (0.1, 0.03, -0.02)), (), (1.523416748908,)),
        "Lorenz-84": (atmosphere, (0, 4), (4, (1.1028, -0.0209, 0.2248, -0.826)),
                      (1.546648372598,), (1.619657820943, 2.467222123113, 2.859875412748)),
    }  # fmt: skip


def polished(field, start):
    """The start, made an equilibrium."""
    import jax
    import jax.numpy as jnp

    p, u = start
    u = jnp.asarray(u, float)
    for _ in range(30):
        u = u - jnp.linalg.solve(jax.jacfwd(field)(u, float(p)), field(u, float(p)))
    return u


def counted(found, known, bounds):
    """How many of the known points are missing among the found ones, and how many are too many."""
    left, missed = list(found), 0
    for kind, value in known:
        near = [f for f in left if f[0] == kind and abs(f[1] - value) < NEAR * np.ptp(bounds)]
        missed += not near
        if near:
            left.remove(near[0])
    return missed, len(left)


def judged(follow):
    """A call that follows every branch, and what it missed and invented."""
    every = branches()

    def call():
        missed = invented = 0
        for name, (_, bounds, _, folds, hopf_points) in every.items():
            known = [("fold", p) for p in folds] + [("hopf", p) for p in hopf_points]
            one = counted(follow(name), known, bounds)
            call.noted[f"{name}, missed"], call.noted[f"{name}, invented"] = one
            missed, invented = missed + one[0], invented + one[1]
        call.noted |= {"missed": missed, "invented": invented}
        return [missed, invented]

    call.noted = {}
    return call


def ours(spec):
    """Through `rnnjax.continue_equilibria`; the worst of three longest steps."""
    import typing

    import rnnjax

    class System(rnnjax.AbstractCircuit):
        """The equations, with the parameter that is followed."""

        p: typing.Any = rnnjax.parameter(0.0, "1")
        field: typing.ClassVar[typing.Any]

        def __call__(self, state, input):
            return type(self).field(state, self.p)

        def rest(self):
            return np.zeros(self.size)

    every = branches()
    kinds = {
        name: type("Of", (System,), {"field": staticmethod(b[0]), "size": len(b[2][1])})
        for name, b in every.items()
    }

    def follow(name, step):
        _, bounds, (p, u), _, _ = every[name]
        found = rnnjax.continue_equilibria(
            kinds[name](p=float(p)), lambda c: c.p, np.array(u, float), bounds, max_step=step,
            throw=False,
        )  # fmt: skip
        names = {"LP": "fold", "H": "hopf"}
        return [(names.get(b.label, b.label), float(b.parameter)) for b in found.bifurcations]

    calls = [judged(lambda name, step=step: follow(name, step)) for step in STEPS]

    def call():
        worst = max((sum(each()), k) for k, each in enumerate(calls))[1]
        call.noted = calls[worst].noted
        return [call.noted["missed"], call.noted["invented"]]

    return call


def jaxcont(spec):
    """Through `jaxcont.continuation` with its events of folds and Hopf points."""
    import jax
    import jaxcont as peer

    jax.config.update("jax_enable_x64", True)
    every = branches()
    starts = {name: polished(b[0], b[2]) for name, b in every.items()}

    def follow(name):
        field, bounds, (p, _), _, _ = every[name]
        longest = spec["share"] * float(np.ptp(bounds)) if spec["share"] else 0.1
        settings = peer.ContinuationPar(
            ds=min(0.01, longest), ds_max=longest, max_steps=spec["most"]
        )
        result = peer.continuation(
            peer.bif_problem(lambda u, p, args: field(u, p), u0=starts[name], p0=float(p)),
            p_span=(float(p), float(bounds[1] if p == bounds[0] else bounds[0])),
            settings=settings, events=[peer.Fold(), peer.Hopf()],
        )  # fmt: skip
        found = [(event.kind, float(event.p)) for event in result.events]
        return [f for f in found if bounds[0] <= f[1] <= bounds[1]]

    return judged(follow)


HERE = "misses.py"
WORKLOAD = Workload(
    name="misses",
    question="28 folds and Hopf points of eleven branches: how many are missed, how many invented?",
    spec={"share": 0.0, "most": 4000},
    small={},
    tools=(
        Tool("rnnjax, the worst of three longest steps", HERE, "ours"),
        Tool("JaxCont, its defaults", HERE, "jaxcont", "jaxcont", compare=False),
        Tool("JaxCont, steps of 1/100", HERE, "jaxcont", "jaxcont", {"share": 0.01}, compare=False),
        Tool("JaxCont, steps of 1/1000", HERE, "jaxcont", "jaxcont", {"share": 0.001}, compare=False),
    ),
    bars=(),
    tolerance=0.0,
    repeats=1,
    limits=(
        ("rnnjax, the worst of three longest steps", "missed", 0),
        ("rnnjax, the worst of three longest steps", "invented", 0),
    ),
)  # fmt: skip
