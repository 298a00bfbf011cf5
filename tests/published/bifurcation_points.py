"""Folds and Hopf points of the circuits, from 40-digit Newton iterations on their definitions.

Computed for this project; two-parameter continuation programs agree with them to 5e-8.
"""

import dataclasses
from typing import Any

from rnnjax.circuits import (
    AdaptiveQuadraticMeanField,
    HindmarshRose,
    HodgkinHuxley,
    JansenRit,
    MorrisLecar,
    QuadraticMeanField,
    TsodyksMarkram,
    WilsonCowan,
    WongWang,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Point:
    """One bifurcation of equilibria, and what it is like.

    Attributes:
        circuit: with every other parameter at its value.
        parameter: the name of the one that is followed.
        kind: "fold", "hopf" or "branch point".
        value: where it happens.
        omega: of a Hopf point, in rad per time unit.
        coefficient: of a fold a, of a Hopf point the first Lyapunov coefficient as Kuznetsov has
            it: the real part of the cubic coefficient over omega, the eigenvector of length 1.
        state: the equilibrium.
        unit: of time, in ms.
    """

    circuit: Any
    parameter: str
    kind: str
    value: float
    omega: float
    coefficient: float
    state: tuple[float, ...]
    unit: float = 1.0

    def at(self) -> Any:
        """The circuit at the bifurcation."""
        return dataclasses.replace(self.circuit, **{self.parameter: self.value})

    def __str__(self) -> str:
        """The circuit and the place."""
        return f"{type(self.circuit).__name__}-{self.kind}-{self.value:.6g}"


# fmt: off
POINTS = (
    Point(HodgkinHuxley(e_l=-54.4), "current", "hopf", 9.779337995393126, 0.5862338131302925,
          0.014793648131, (-59.654143602995, 0.097257349910879, 0.40622752018419,
          0.40178412805243)),
    Point(HodgkinHuxley(e_l=-54.4), "current", "hopf", 154.526333665808, 1.062921806760336,
          -0.00472850269507, (-43.058092012984, 0.4196774383373, 0.070355390839206,
          0.64324945074183)),
    Point(HodgkinHuxley(), "current", "hopf", 9.775437995393126, 0.5862338131302925,
          0.014793648131, (-59.654143602995, 0.097257349910879, 0.40622752018419,
          0.40178412805243)),
    Point(HodgkinHuxley(), "current", "hopf", 154.522433665808, 1.062921806760336,
          -0.00472850269507, (-43.058092012984, 0.4196774383373, 0.070355390839206,
          0.64324945074183)),
    Point(MorrisLecar.hopf(), "current", "hopf", 93.85761837372545, 0.07977978411459636,
          0.00654318672167, (-25.270104879583, 0.13967319001321)),
    Point(MorrisLecar.hopf(), "current", "hopf", 212.0188161003744, 0.148602170744454,
          0.00366829204648, (7.8006638669712, 0.59549067121499)),
    Point(MorrisLecar.snic(), "current", "fold", 39.96315309274535, 0.0, -0.00521247924937,
          (-29.389777405484, 0.0085143991378203)),
    Point(MorrisLecar.snic(), "current", "fold", -9.949039322623065, 0.0, -0.00477286314501,
          (-4.0485177879423, 0.13650142219342)),
    Point(MorrisLecar.snic(), "current", "hopf", 97.64616392152591, 0.2527480806336796,
          0.00210369255323, (8.334122714707, 0.39619011471649)),
    Point(MorrisLecar.homoclinic(), "current", "hopf", 36.31621749620345, 0.3788608047370792,
          0.000993918958587, (4.4107557168791, 0.29477034724779)),
    Point(WilsonCowan(), "p", "fold", 1.08733045617231, 0.0, -7.3602584374, (0.052602700280555,
          0.002295324820168)),
    Point(WilsonCowan(), "p", "fold", 0.9086834273018245, 0.0, -106.536583259, (0.13619342983384,
          0.028314266237597)),
    Point(WilsonCowan(), "p", "hopf", 1.87931319808418, 2.664313227396696, -10.1201039974,
          (0.24933825312494, 0.19822033655426)),
    Point(TsodyksMarkram(), "e_0", "fold", -1.348881771120112, 0.0, -1.13529541151,
          (1.2531745733553, 0.87838493677501, 0.55240922201027), unit=1000.0),
    Point(TsodyksMarkram(), "e_0", "fold", -1.841965600311233, 0.0, -3.09067100863,
          (4.1867431265149, 0.6119534985469, 0.75728444906289), unit=1000.0),
    Point(TsodyksMarkram(), "e_0", "hopf", -1.83150856825537, 1.839915018235636, 2.08925670683,
          (3.8332138167132, 0.63706314068077, 0.74311419597968), unit=1000.0),
    Point(TsodyksMarkram(), "e_0", "hopf", -1.134266832296339, 19.42075694372496,
          0.00254672318573, (7.3332831499988, 0.44885372005266, 0.83720844738597), unit=1000.0),
    Point(TsodyksMarkram(alpha=1.5), "e_0", "fold", -1.463027325542694, 0.0, -1.03085415996,
          (1.3495872147536, 0.86777990202951, 0.56449088816099), unit=1000.0),
    Point(TsodyksMarkram(alpha=1.5), "e_0", "fold", -1.865223910339047, 0.0, 2.63345093698,
          (4.1088954343521, 0.61733426257382, 0.7543000083184), unit=1000.0),
    Point(TsodyksMarkram(alpha=1.5), "e_0", "hopf", -1.850124594767565, 1.999847929478537,
          1.47228557947, (3.6753190472763, 0.64885310645903, 0.73623659683388), unit=1000.0),
    Point(TsodyksMarkram(alpha=1.5), "e_0", "hopf", -1.151059396918669, 19.36503540349816,
          0.0013455387128, (7.3018758882185, 0.45007448427376, 0.83667161577743), unit=1000.0),
    Point(JansenRit(), "p", "fold", 113.5862732127988, 0.0, -12.680001912, (0.020870232707117,
          6.2192875416641, 3.6387384502663, 0.0, 0.0, 0.0), unit=1000.0),
    Point(JansenRit(), "p", "fold", -41.30141048782859, 0.0, -27.5715370841, (0.066107732582268,
          13.351052203625, 8.0245169568112, 0.0, 0.0, 0.0), unit=1000.0),
    Point(JansenRit(), "p", "hopf", -12.14749234841866, 45.48700707948369, 1.82183129772e-5,
          (0.079895496115934, 16.029235325277, 10.088779474045, 0.0, 0.0, 0.0), unit=1000.0),
    Point(JansenRit(), "p", "hopf", 89.82910796964348, 65.20098196625965, -3.20707900883e-6,
          (0.097838700334567, 20.164937126211, 13.425370455453, 0.0, 0.0, 0.0), unit=1000.0),
    Point(JansenRit(), "p", "hopf", 315.6964280688197, 70.14278420402387, -4.19281644766e-6,
          (0.12384399368525, 27.766852032904, 19.687708296472, 0.0, 0.0, 0.0), unit=1000.0),
    Point(QuadraticMeanField(), "eta", "fold", -3.136134086195685, 0.0, 1.3454966435,
          (0.16256979681321, -0.97899453780309)),
    Point(QuadraticMeanField(), "eta", "fold", -5.743527161657816, 0.0, -16.5666071967,
          (0.75391972723879, -0.21110330097714)),
    Point(AdaptiveQuadraticMeanField(), "eta", "hopf", -5.137354675743877, 0.1358949777319676,
          29.2434091502, (0.2271373482928, -1.401398266627, 1.135686741464, 0.0)),
    Point(AdaptiveQuadraticMeanField(), "eta", "hopf", -6.056126589648229, 0.3550260214582118,
          334.405950376, (1.085469890285, -0.29324616834855, 5.4273494514249, 0.0)),
    Point(AdaptiveQuadraticMeanField(), "eta", "fold", -5.046172103524011, 0.0, -0.084596266879,
          (0.26410704555352, -1.2052305742797, 1.3205352277676, 0.0)),
    Point(AdaptiveQuadraticMeanField(), "eta", "fold", -6.812348865123835, 0.0, -0.0180053091571,
          (0.80142662142209, -0.39717907750427, 4.0071331071105, 0.0)),
    Point(HindmarshRose(mu=0.01), "current", "hopf", 1.428269205704081, 0.05280920167873864,
          0.0109353052955, (-1.2882349957716, -7.2977470216538, 1.2470600169134)),
    Point(HindmarshRose(mu=0.01), "current", "hopf", 5.388656925559107, 0.1970676090481308,
          -67.419502864, (-0.0028397951030002, 0.99995967781886, 6.388640819588)),
    Point(HindmarshRose(mu=0.01), "current", "hopf", 6.160760734601721, 0.9089505306385475,
          1.50119926434, (0.17377868164062, 0.84900484903623, 7.0951147265625)),
    Point(HindmarshRose(mu=0.01), "current", "hopf", 25.26906527168914, 4.148732876256799,
          -0.0105201349707, (1.8169660762307, -15.506828610866, 13.667864304923)),
    Point(WongWang(), "mu", "branch point", 10.67680576467845, 0.0, 0.0, (0.14401054211676,
          0.14401054211676), unit=1000.0),
    Point(WongWang(), "mu", "fold", -7.731826998201019, 0.0, -17.2237412919, (0.4624741530772,
          0.033488279464898), unit=1000.0),
    Point(WongWang(), "mu", "fold", 65.68198606519489, 0.0, -15.7092073739, (0.69634961927109,
          0.18865521337411), unit=1000.0),
)
# fmt: on
