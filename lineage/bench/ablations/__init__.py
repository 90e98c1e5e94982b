"""The papers' ablations: what each of their ideas is worth."""
