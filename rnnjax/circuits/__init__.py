"""Circuits: one vector field each."""

from rnnjax.circuits._base import AbstractCircuit as AbstractCircuit
from rnnjax.circuits._base import AbstractMap as AbstractMap
from rnnjax.circuits._base import AbstractNetwork as AbstractNetwork
from rnnjax.circuits._base import Driven as Driven
from rnnjax.circuits._base import ThresholdLinear as ThresholdLinear
from rnnjax.circuits._base import exp_linear as exp_linear
from rnnjax.circuits._base import logistic as logistic
from rnnjax.circuits._base import rectified as rectified
from rnnjax.circuits._base import softplus as softplus
from rnnjax.circuits._base import tanh as tanh
from rnnjax.circuits.adaptive_quadratic_mean_field import (
    AdaptiveQuadraticMeanField as AdaptiveQuadraticMeanField,
)
from rnnjax.circuits.adaptive_quadratic_mean_field import (
    AdaptiveQuadraticMeanFieldState as AdaptiveQuadraticMeanFieldState,
)
from rnnjax.circuits.current_network import CurrentNetwork as CurrentNetwork
from rnnjax.circuits.excitatory_inhibitory import ExcitatoryInhibitory as ExcitatoryInhibitory
from rnnjax.circuits.excitatory_inhibitory import (
    ExcitatoryInhibitoryState as ExcitatoryInhibitoryState,
)
from rnnjax.circuits.hindmarsh_rose import HindmarshRose as HindmarshRose
from rnnjax.circuits.hindmarsh_rose import HindmarshRoseState as HindmarshRoseState
from rnnjax.circuits.hodgkin_huxley import HodgkinHuxley as HodgkinHuxley
from rnnjax.circuits.hodgkin_huxley import HodgkinHuxleyState as HodgkinHuxleyState
from rnnjax.circuits.jansen_rit import JansenRit as JansenRit
from rnnjax.circuits.jansen_rit import JansenRitState as JansenRitState
from rnnjax.circuits.linear_network import LinearNetwork as LinearNetwork
from rnnjax.circuits.linear_network import Modes as Modes
from rnnjax.circuits.morris_lecar import MorrisLecar as MorrisLecar
from rnnjax.circuits.morris_lecar import MorrisLecarState as MorrisLecarState
from rnnjax.circuits.quadratic_mean_field import QuadraticMeanField as QuadraticMeanField
from rnnjax.circuits.quadratic_mean_field import QuadraticMeanFieldState as QuadraticMeanFieldState
from rnnjax.circuits.rate_network import RateNetwork as RateNetwork
from rnnjax.circuits.tsodyks_markram import TsodyksMarkram as TsodyksMarkram
from rnnjax.circuits.tsodyks_markram import TsodyksMarkramState as TsodyksMarkramState
from rnnjax.circuits.wilson_cowan import WilsonCowan as WilsonCowan
from rnnjax.circuits.wilson_cowan import WilsonCowanState as WilsonCowanState
from rnnjax.circuits.wong_wang import WongWang as WongWang
from rnnjax.circuits.wong_wang import WongWangState as WongWangState
