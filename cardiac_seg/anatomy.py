"""The structures of the heart that are segmented: names and colours."""

# Okabe-Ito: told apart with any colour vision; one colour a structure in every figure.
COLOURS = {"RV": "#0072B2", "MYO": "#009E73", "LV": "#D55E00", "LA": "#CC79A7"}
