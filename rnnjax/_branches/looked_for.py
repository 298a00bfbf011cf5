"""The bifurcations that are looked for on a branch of equilibria."""

from typing import Any

from rnnjax._continuation.arguments import each_of
from rnnjax.bifurcations._base import AbstractOnBranch
from rnnjax.circuits._base import AbstractCircuit


def looked_for(
    given: tuple[AbstractOnBranch, ...] | None, circuit: AbstractCircuit[Any], variables: int
) -> tuple[AbstractOnBranch, ...]:
    """The bifurcations that are looked for."""
    if given is None:
        from rnnjax import bifurcations

        given = (bifurcations.Fold(), bifurcations.Hopf(), bifurcations.BranchPoint())
        if circuit.switching_functions(circuit.rest(), circuit.no_input()) is not None:
            given += (bifurcations.BoundaryEquilibrium(),)
    see = "see rnnjax.bifurcations, and for those of curves: continue_bifurcation"
    given = each_of(given, AbstractOnBranch, "Hopf()", see)
    return tuple(each for each in given if each.variables <= variables)
