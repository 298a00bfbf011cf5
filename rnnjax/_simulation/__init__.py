"""How does it move? `simulate` and `measure`."""
