"""Bifurcations in two parameters, and whole diagrams: `continue_bifurcation` and `diagram`."""
