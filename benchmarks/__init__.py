"""Measurements of speed, memory and start-up: `make bench`, or `python -m benchmarks`.

Each topic is a module with a `run(bench)` that compares things side by side, A, B, A, B, ..., and
returns tables. What is measured runs in processes of its own, see `worker.py`.
"""
