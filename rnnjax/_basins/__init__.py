"""Where does each start end? `basins`."""
