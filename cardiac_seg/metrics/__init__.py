"""Masks and probabilities to numbers: pure functions of arrays."""
