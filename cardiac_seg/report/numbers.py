"""How numbers are printed."""

import numpy as np


def in_brackets(row) -> str:
    return f"[{row.low:+.4f} {row.high:+.4f}]" if not np.isnan(row.low) else "[no interval]"


def p_value(value: float) -> str:
    return "undefined" if np.isnan(value) else "< .001" if value < 0.001 else f"{value:.3f}"
