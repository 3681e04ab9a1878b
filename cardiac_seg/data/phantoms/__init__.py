"""Synthetic patients in the layouts of the real datasets."""
