"""Where can it rest, and is that stable? `find_equilibria` and its relatives."""
