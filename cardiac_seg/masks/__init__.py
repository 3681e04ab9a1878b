"""Probabilities to masks on the native grid."""
