"""Noise: callables of the state that give the diffusion (Ito)."""

from rnnjax.noise._base import AbstractNoise as AbstractNoise
from rnnjax.noise.additive import Additive as Additive
from rnnjax.noise.multiplicative import Multiplicative as Multiplicative
