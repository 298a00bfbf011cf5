"""Mathematics that knows no circuit."""
