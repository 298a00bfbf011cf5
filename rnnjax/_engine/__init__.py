"""Through time: fixed steps and batches of adaptive lanes."""
