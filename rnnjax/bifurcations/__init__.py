"""Bifurcations of equilibria: one type each."""

from rnnjax.bifurcations._base import AbstractBifurcation as AbstractBifurcation
from rnnjax.bifurcations.branch_point import BranchPoint as BranchPoint
from rnnjax.bifurcations.fold import Fold as Fold
from rnnjax.bifurcations.hopf import Hopf as Hopf
