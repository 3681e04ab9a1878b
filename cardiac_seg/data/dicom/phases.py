"""The phases of a DICOM cine, and its heart rate."""

from collections import Counter

import numpy as np

from cardiac_seg.data.dicom.header import (
    CARDIAC_TIMES,
    OF_SLICE,
    PHASE_ORDER,
    Frame,
    differing,
    read_number,
    refusal,
)


def sort_phases(slices: list[list[Frame]]) -> tuple[list[list[Frame]], np.ndarray | None]:
    """The images of each phase, slices in order, and the phases' times in ms if known."""
    for images in slices:
        for key in OF_SLICE:
            for frame in images:
                if frame.header.get(key) != images[0].header.get(key):
                    raise differing(frame, key, images[0], "give one kind of image alone")
    key, values = _phase_values(slices)
    timed = [
        sorted(zip(moments, images, strict=True), key=lambda pair: pair[0])
        for moments, images in zip(values, slices, strict=True)
    ]
    for pairs in timed:
        for (moment, frame), (following, other) in zip(pairs, pairs[1:], strict=False):
            if moment == following:
                raise refusal(
                    other,
                    key,
                    f"and position are also those of {frame.path}",
                    "an image is there twice, or of another kind; leave one out",
                )
    usual = Counter(map(len, timed)).most_common(1)[0][0]
    for pairs in timed:
        if len(pairs) != usual:
            raise refusal(
                pairs[0][1],
                "ImagePositionPatient",
                f"{len(pairs)} phases at this position, where others have {usual}",
                "complete the stack, or leave the slice out",
            )
    phases = [[pairs[k][1] for pairs in timed] for k in range(usual)]
    times = None
    if key in CARDIAC_TIMES:
        times = np.mean([[moment for moment, _ in pairs] for pairs in timed], axis=0)
    return phases, times


def _phase_values(slices: list[list[Frame]]) -> tuple[str, list[list[float]]]:
    """The first tag that tells phases apart, and its value for each image of each slice."""
    several = any(len(images) > 1 for images in slices)
    for key in PHASE_ORDER:
        read = [[read_number(frame, key) for frame in images] for images in slices]
        values = [[value for value in moments if value is not None] for moments in read]
        if list(map(len, values)) != list(map(len, read)):
            continue
        constant = all(len(set(moments)) == 1 for moments in values)
        # Some scanners write trigger time 0 everywhere; any other shared one is a moment.
        if not (several and constant) or (key in CARDIAC_TIMES and values[0][0] > 0):
            return key, values
    # No tag, or one that never differs: with one image per slice that does not matter.
    return "InstanceNumber", [[0.0] * len(images) for images in slices]


def read_heart_rate(frames: list[Frame]) -> float | None:
    """Beats per minute: HeartRate, or 60 s over the R-R interval; the median over the images."""
    rates = []
    for frame in frames:
        rate = read_number(frame, "HeartRate")
        interval = read_number(frame, "NominalInterval") or read_number(
            frame, "RRIntervalTimeNominal"
        )
        rate = rate or (60000 / interval if interval else 0.0)
        if rate > 0:  # 0 or less is how some headers say that there is none
            rates.append(rate)
    return float(np.median(rates)) if rates else None
