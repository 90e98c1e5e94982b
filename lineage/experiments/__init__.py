"""From a data set's name to a trained detector. Everything that trains or evaluates by name stands on this room."""
