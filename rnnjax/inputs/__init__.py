"""Inputs: functions of time in ms."""

from rnnjax.inputs._base import AbstractInput as AbstractInput
from rnnjax.inputs._base import Profile as Profile
from rnnjax.inputs._base import Sum as Sum
from rnnjax.inputs.constant import Constant as Constant
from rnnjax.inputs.pulse import Pulse as Pulse
from rnnjax.inputs.ramp import Ramp as Ramp
from rnnjax.inputs.recording import Recording as Recording
from rnnjax.inputs.sinusoid import Sinusoid as Sinusoid
from rnnjax.inputs.step import Step as Step
