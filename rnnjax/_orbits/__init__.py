"""Rhythms: `find_orbit`, `continue_orbits` and `phase_response`."""
