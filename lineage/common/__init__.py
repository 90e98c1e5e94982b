"""What every generation shares; imports nothing else of lineage."""
