"""How numbers are printed."""

import numpy as np


def in_brackets(row) -> str:
    """The interval of a row's `low` and `high`."""
    return f"[{row.low:+.4f} {row.high:+.4f}]" if not np.isnan(row.low) else "[no interval]"


def p_value(value: float) -> str:
    """A p value, not below what is worth telling."""
    return "undefined" if np.isnan(value) else "< .001" if value < 0.001 else f"{value:.3f}"
