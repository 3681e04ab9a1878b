"""Copies of whole runs."""
