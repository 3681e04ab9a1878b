"""Scores of `metrics.json` as lines of text."""

from cardiac_seg.run.metrics_file import score_table

METRICS = {
    "dataset": "acdc",
    "phantom": False,
    "structures": ["RV", "LV"],
    "control": "mean",
    "final_method": "logistic",
    "chosen_by": "development",
}


def scores(dice, interval, **more):
    per_patient = {"RV": dice, "LV": None}
    mean = {"mean_foreground_dice": dice, "interval_95": {"mean_foreground_dice": interval}}
    return {"dice_native_per_patient": per_patient} | mean | more


def test_numbers_of_the_table_are_written_as_everywhere():
    gain = {"difference": -0.00001, "interval_95": [-0.0021, 0.0119]}
    methods = {
        "mean": scores(0.9, None),
        "logistic": scores(0.91234, [0.88, 0.93], against_mean=gain),
    }
    test = {"patients": 2, "methods": methods}
    table = score_table(METRICS | {"subsets": {"test": test}}, "test")
    _, head, mean, logistic, chosen = table.splitlines()
    assert mean.split(maxsplit=3)[1:] == ["0.900", "0.9000", "[no interval]"]  # no LV, no Dice
    said = ["0.912", "0.9123", "[0.880,", "0.930]", "+0.0000", "[-0.002,", "+0.012]"]
    assert logistic.split()[1:] == said
    assert logistic.index("+0.0000") == head.index("against mean")
    assert chosen == "chosen by cross-fitted development patients: logistic"
