"""From a finished run to the figures, tables and report of a paper; no network is run.

measure.py (per patient, kept) -> tables.py -> figures.py, samples.py, published.py -> report.py.
"""
