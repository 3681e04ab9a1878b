"""A report of made-up results, of everything that a report can show."""

import cv2
import numpy as np
import pandas as pd

from cardiac_seg.report.page.page import (
    CaseRow,
    Figure,
    Report,
    Section,
    Table,
    Verdict,
)

HEADLINE = pd.DataFrame(
    {
        "measure": ["Dice", "HD95 (mm)", "EF, bias (points)"],
        "structure": ["mean", "mean", "LV"],
        "value": [0.912, 4.31, -0.7],
        "low": [0.897, 3.52, -2.1],
        "high": [0.926, 5.18, 0.6],
        "patients": [12, 12, 12],
    }
)
AWKWARD = '<b>&"'


SCORES = pd.DataFrame(
    {
        "method": ["unet_advanced", "deep_unet_improved", "mean", AWKWARD],
        "Dice": [0.912, 0.0895, 0.93, np.nan],
        "difference": [-0.012, 0.3, -0.0002, 0.004],
        "p (Holm)": [0.00001, 0.04, 0.7, np.nan],
        "pixels": [1234567, 20, 3, 100],
        "verdict": ["worse", "better", "not shown", "not shown"],
    }
)
VERDICTS = [
    Verdict(
        "Is the meta-learner better than the mean of the members?",
        "Not shown: +.004 Dice (95 % interval -.002 to .010)",
        "open",
        "Wilcoxon p = .21 over 12 patients; Holm-adjusted over four comparisons.",
    ),
    Verdict("Are its probabilities better calibrated?", "Yes, near the boundary", "good"),
    Verdict("Are distances smaller?", "No: HD95 is larger by 0.4 mm", "bad", AWKWARD),
]


def ring(size, rng):
    """A bright ring in speckle, like a ventricle's short axis; (size, size, 3) uint8."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    radius = np.hypot(x - rng.uniform(-0.1, 0.1), y)
    grey = 40 + 60 * (radius < 0.28) + 90 * (radius < 0.17) + rng.normal(0, 12, (size, size))
    picture = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    inside = (radius > 0.17) & (radius < 0.28)
    picture[inside] = picture[inside] // 2 + np.array([57, 79, 0], np.uint8)
    return picture


def write_figure(stem, picture):
    cv2.imwrite(str(stem.with_suffix(".png")), picture)
    stem.with_suffix(".pdf").write_bytes(b"%PDF-1.4\n")
    return Figure(
        f"Drawing {stem.name}", "What it shows.", stem.with_suffix(".png"), stem.with_suffix(".pdf")
    )


def example_cases(cases, rng):
    """Rows of the table of cases, one of them undefined and one failed."""
    names = [f"patient{i:03d}_ED" for i in range(cases - 1)] + [AWKWARD]
    return [
        CaseRow(
            case=name,
            patient=name[:10],
            group=("healthy", "abnormal RV", "dilated")[i % 3],
            columns={
                "mean Dice": 0.5 + i / (2 * cases) if i != 3 else np.nan,
                "volume difference (mL)": (-1) ** i * (2.5 + 13 * i),
                "review rank": i + 1,
                "image quality": ("good", "poor")[i % 2],
            },
            thumbnail=cv2.imencode(".jpg", ring(110, rng), [cv2.IMWRITE_JPEG_QUALITY, 97])[
                1
            ].tobytes(),
            page=f"cases/{name}.png",
            failure="no component of RV in the mask" if i == 5 else "",
        )
        for i, name in enumerate(names)
    ]


def example_report(folder, cases=12, figures=2):
    """A report with its figures in `folder/figures`, and awkward contents.

    Every other figure has speckle, which compresses badly.
    """
    rng = np.random.default_rng(0)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    lines = np.full((900, 1950, 3), 255, np.uint8)
    for column in range(8):
        top = int(rng.integers(100, 500))
        cv2.rectangle(
            lines, (120 + 220 * column, top), (280 + 220 * column, 800), (178, 114, 0), -1
        )
        cv2.putText(lines, f"{1 - top / 900:.3f}", (130 + 220 * column, top - 20), 0, 1.4, 0, 2)
    speckle = np.hstack([cv2.resize(ring(160, rng), (650, 650)) for _ in range(3)])
    drawn = [
        write_figure(folder / "figures" / f"figure_{i}", (lines, speckle)[i % 2])
        for i in range(figures)
    ]
    rows = example_cases(cases, rng)
    wide = pd.DataFrame(rng.random((30, 16)), columns=[f"feature {i}" for i in range(16)])
    return Report(
        title="Ensemble on phantoms",
        subtitle="ACDC layout, 12 test patients, one split, one seed",
        headline=HEADLINE,
        picture=drawn[0] if drawn else None,
        verdicts=VERDICTS,
        targets=pd.DataFrame(
            {
                "target": ["mean Dice > .85", "LV > .90", "background > .95"],
                "this run": [0.873, 0.891, np.nan],
                "result": ["met", "missed", "–"],
            }
        ),
        missing=["HD95 of RV: undefined in 1 case (empty mask)", f"No history of {AWKWARD}"],
        sections=[
            Section("Accuracy", "First paragraph.\n\nSecond, with <i>.", drawn[:1], []),
            Section(
                "Failures & review",
                "",
                drawn[1:],
                [
                    Table("Scores of each method", SCORES, folder / "tables" / "scores.csv"),
                    Table("Many columns", wide),
                ],
            ),
        ],
        cases=rows,
        methods="Dice is per patient on the native grid.\n\nIntervals resample patients.",
        provenance={
            "command": "train_ensemble.py --config configs/demo.yaml " + "--set a.b=c " * 12,
            "fingerprint": "4f20cf866334600a" * 6,
            AWKWARD: "1",
        },
    )
