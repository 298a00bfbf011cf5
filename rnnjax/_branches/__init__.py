"""When does that change? `continue_equilibria` and `continue_large`."""
