"""Detections against ground truth: average precision, what goes wrong, and the files that say it."""
