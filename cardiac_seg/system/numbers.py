"""How numbers are written: one way on the page and in figures, one in plain text and logs.

A leading zero everywhere; undefined is never 0. Sentences are written once, as the page shows them;
`plain_text` makes them plain.
"""

import numpy as np
import pandas as pd

UNDEFINED, MINUS, THIN_SPACE = "–", "−", "\u202f"
SMALLEST_P = 0.001


def plain_number(value: float | None, digits: int, sign: str = "", undefined: str = "") -> str:
    """Rounded, in ASCII; no negative zero.

    Args:
        value: The number; None or NaN where undefined.
        digits: Decimals.
        sign: `+` to write the sign of positive numbers too.
        undefined: What stands for an undefined number.
    """
    if value is None or pd.isna(value):
        return undefined
    return f"{value:{sign}z.{digits}f}"


def plain_interval(low: float | None, high: float | None, digits: int, sign: str = "") -> str:
    """`[0.684, 0.775]`, or that there is no interval."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return "[no interval]"
    return f"[{plain_number(low, digits, sign)}, {plain_number(high, digits, sign)}]"


def plain_with_interval(
    value: float | None, low: float | None, high: float | None, *, digits: int, sign: str = ""
) -> str:
    """`0.904 [0.888, 0.918]`; the value alone where it has no interval; empty where undefined."""
    text = plain_number(value, digits, sign)
    if not text or low is None or high is None or pd.isna(low) or pd.isna(high):
        return text
    return f"{text} {plain_interval(low, high, digits, sign)}"


def plain_text(sentence: str) -> str:
    """A sentence of the page as plain text: its numbers in ASCII, as those above write them."""
    return sentence.replace(f"[{UNDEFINED}]", "[no interval]").replace(MINUS, "-")


def number_text(
    value: float | None, digits: int, sign: str = "", undefined: str = UNDEFINED
) -> str:
    """Rounded, with a true minus; a dash, or another word, where undefined."""
    return plain_number(value, digits, sign, undefined).replace("-", MINUS)


def interval_text(low: float, high: float, digits: int, sign: str = "") -> str:
    """`[0.684, 0.775]`, or a dash in brackets."""
    if pd.isna(low) or pd.isna(high):
        return f"[{UNDEFINED}]"
    return f"[{number_text(low, digits, sign)}, {number_text(high, digits, sign)}]"


def p_text(p: float) -> str:
    """`0.012`, `< 0.001`, or a dash where undefined."""
    if pd.isna(p):
        return UNDEFINED
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.3f}"


def p_equation(p: float) -> str:
    """`p = 0.012`, `p < 0.001`, or that it is undefined."""
    if pd.isna(p):
        return "p undefined"
    return f"p {p_text(p)}" if p < SMALLEST_P else f"p = {p_text(p)}"


def shared_digits(values: list[float]) -> int:
    """Decimals for numbers that stand under each other: about three digits for most of them.

    At least three decimals below 1.
    """
    sizes = np.abs([v for v in values if np.isfinite(v) and v != 0])
    if not len(sizes) or all(size.is_integer() for size in sizes.astype(float)):
        return 0
    if sizes.max() <= 0.1:
        return 4
    small = np.quantile(sizes, 0.25)
    return 3 if small <= 1 else 2 if small <= 10 else 1 if small <= 1000 else 0


def table_number(value: float, digits: int) -> str:
    """As `number_text`, thousands apart; what would be shown as 0 but is not, as `< 0.001`."""
    if np.isinf(value):
        text = "∞"
    elif value != 0 and round(abs(value), digits) == 0:
        smallest = f"{10.0**-digits:.{digits}f}"
        return f"< {smallest}" if value > 0 else f"> {MINUS}{smallest}"
    else:
        text = f"{abs(value):,.{digits}f}".replace(",", THIN_SPACE)
    return f"{MINUS}{text}" if value < 0 else text
