"""Is it chaotic? `lyapunov_exponents`."""
