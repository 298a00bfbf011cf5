"""Measures: what is folded in while stepping."""

from rnnjax.measures._base import AbstractMeasure as AbstractMeasure
from rnnjax.measures.amplitude import Amplitude as Amplitude
from rnnjax.measures.extremes import MinMax as MinMax
from rnnjax.measures.extremes import Range as Range
from rnnjax.measures.final import Final as Final
from rnnjax.measures.frequency import Frequency as Frequency
from rnnjax.measures.growth import Growth as Growth
from rnnjax.measures.mean import Mean as Mean
from rnnjax.measures.period import Period as Period
from rnnjax.measures.spectrum import Spectrum as Spectrum
