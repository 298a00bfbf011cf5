"""Circuits: one vector field each."""

from rnnjax.circuits._base import AbstractCircuit as AbstractCircuit
from rnnjax.circuits._base import AbstractNetwork as AbstractNetwork
from rnnjax.circuits._base import Driven as Driven
from rnnjax.circuits._base import logistic as logistic
from rnnjax.circuits._base import rectified as rectified
from rnnjax.circuits._base import softplus as softplus
from rnnjax.circuits._base import tanh as tanh
from rnnjax.circuits.current_network import CurrentNetwork as CurrentNetwork
from rnnjax.circuits.excitatory_inhibitory import ExcitatoryInhibitory as ExcitatoryInhibitory
from rnnjax.circuits.excitatory_inhibitory import (
    ExcitatoryInhibitoryState as ExcitatoryInhibitoryState,
)
from rnnjax.circuits.linear_network import LinearNetwork as LinearNetwork
from rnnjax.circuits.linear_network import Modes as Modes
from rnnjax.circuits.rate_network import RateNetwork as RateNetwork
from rnnjax.circuits.wilson_cowan import WilsonCowan as WilsonCowan
from rnnjax.circuits.wilson_cowan import WilsonCowanState as WilsonCowanState
