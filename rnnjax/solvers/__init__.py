"""Solvers that diffrax lacks, written as diffrax solvers."""

from rnnjax.solvers.classical_rk4 import RK4 as RK4
