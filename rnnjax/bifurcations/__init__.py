"""Bifurcations of equilibria and of periodic orbits: one type each."""

from rnnjax.bifurcations._base import AbstractBifurcation as AbstractBifurcation
from rnnjax.bifurcations._base import AbstractFollowed as AbstractFollowed
from rnnjax.bifurcations._base import AbstractOnBranch as AbstractOnBranch
from rnnjax.bifurcations._base import AbstractOnCurve as AbstractOnCurve
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles as AbstractOfCycles
from rnnjax.bifurcations.bogdanov_takens import BogdanovTakens as BogdanovTakens
from rnnjax.bifurcations.boundary_equilibrium import BoundaryEquilibrium as BoundaryEquilibrium
from rnnjax.bifurcations.branch_point import BranchPoint as BranchPoint
from rnnjax.bifurcations.cusp import Cusp as Cusp
from rnnjax.bifurcations.fold import Fold as Fold
from rnnjax.bifurcations.fold_of_cycles import FoldOfCycles as FoldOfCycles
from rnnjax.bifurcations.generalized_hopf import GeneralizedHopf as GeneralizedHopf
from rnnjax.bifurcations.grazing import Grazing as Grazing
from rnnjax.bifurcations.hopf import Hopf as Hopf
from rnnjax.bifurcations.hopf_hopf import HopfHopf as HopfHopf
from rnnjax.bifurcations.neimark_sacker import NeimarkSacker as NeimarkSacker
from rnnjax.bifurcations.period_doubling import PeriodDoubling as PeriodDoubling
from rnnjax.bifurcations.zero_hopf import ZeroHopf as ZeroHopf
