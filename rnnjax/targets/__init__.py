"""Targets: objectives for `fit` that are properties of the dynamics, one each."""

from rnnjax.targets._base import AbstractAtEquilibrium as AbstractAtEquilibrium
from rnnjax.targets._base import AbstractTarget as AbstractTarget
from rnnjax.targets.amplifies import Amplifies as Amplifies
from rnnjax.targets.has_eigenvalues import HasEigenvalues as HasEigenvalues
from rnnjax.targets.oscillates_at import OscillatesAt as OscillatesAt
from rnnjax.targets.rests_at import RestsAt as RestsAt
from rnnjax.targets.time_constant import TimeConstant as TimeConstant
