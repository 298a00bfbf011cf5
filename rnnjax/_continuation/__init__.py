"""Along a parameter, whatever is followed."""
