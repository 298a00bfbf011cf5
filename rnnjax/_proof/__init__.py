"""Every equilibrium, with proof: `enumerate_equilibria`."""
