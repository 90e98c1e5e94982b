"""A trained detector on one's own pictures: what to look at (sources, shots), and what is kept of it (outputs)."""
