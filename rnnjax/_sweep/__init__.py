"""And over a million parameter settings? `sweep`."""
