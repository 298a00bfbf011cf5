"""Drawings of what the verbs return; the only place that imports matplotlib.

Every function takes an `ax`, makes a figure if there is none, and returns the `Axes`.
"""

from rnnjax.plot.audit import audit as audit
from rnnjax.plot.basins import basins as basins
from rnnjax.plot.branches import branches as branches
from rnnjax.plot.curves import curves as curves
from rnnjax.plot.fit import fit as fit
from rnnjax.plot.lyapunov import lyapunov as lyapunov
from rnnjax.plot.multipliers import multipliers as multipliers
from rnnjax.plot.orbits import orbits as orbits
from rnnjax.plot.phase_plane import phase_plane as phase_plane
from rnnjax.plot.phase_response import phase_response as phase_response
from rnnjax.plot.ring_activity import ring_activity as ring_activity
from rnnjax.plot.spectrum import spectrum as spectrum
from rnnjax.plot.sweep_curve import sweep_curve as sweep_curve
from rnnjax.plot.sweep_map import sweep_map as sweep_map
from rnnjax.plot.trajectory import trajectory as trajectory
from rnnjax.plot.trial import trial as trial
