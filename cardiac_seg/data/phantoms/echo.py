"""Synthetic apical echo patients: truncated half-ellipsoids behind clutter, speckle, dropout."""

from dataclasses import dataclass

import cv2
import numpy as np

from cardiac_seg.data.phantoms.painting import (
    PhantomPatient,
    contraction,
    ellipse,
    paint,
    smooth_noise,
)

_SET_BACK = 0.25  # of the ellipse's centre above the mitral plane, in units of its apical radius


def echo_patient(index: int, rng: np.random.Generator, cine: bool = False) -> PhantomPatient:
    """Draw patient `index` (from 1) for the CAMUS layout.

    Images and labels (0 background, 1 LV cavity, 2 MYO, 3 LA) are uint8, (x, depth). With `cine`
    there are sequences from ED to ES as well, uint8 (x, depth, frame), and their LV volumes (mL);
    the rest stays the same to the bit.
    """
    name = f"patient{index:04d}"
    ef = float(np.clip(rng.normal(0.52, 0.12), 0.22, 0.72))
    edv = rng.uniform(75, 140) + 90 * max(0.45 - ef, 0) / 0.25
    length = rng.uniform(72, 84) * (edv / 110) ** 0.2
    ratio = rng.uniform(0.88, 1.12)
    wall = rng.uniform(8, 11)
    atrium = np.array([rng.uniform(17, 22), rng.uniform(22, 28)])
    beats, rate = int(rng.integers(14, 32)), rng.uniform(40, 75)
    sex, age = rng.choice(["F", "M"]), int(np.clip(rng.normal(65, 14), 20, 92))
    half = rng.uniform(0.62, 0.72)
    heart = _Heart(edv, ef, length, ratio, wall, atrium)
    # Contraction and generator of the speckle of each frame; ED and ES come first.
    frames = [(0.0, rng), (1.0, rng)]
    systole = contraction(beats, 1, beats)
    if cine:
        cine_rng = rng.spawn(1)[0]  # leaves the draws of `rng` as they are
        frames += [(share, cine_rng) for share in systole[1:-1]]

    images, spacings, cfgs = {}, {}, {}
    for chambers in (2, 4):
        quality, spacing, pictures, labels = _draw_view(rng, heart, chambers, half, frames)
        drawn = {"ED": pictures[0], "ED_gt": labels[0], "ES": pictures[1], "ES_gt": labels[1]}
        if cine:
            drawn["half_sequence"] = np.stack([pictures[0], *pictures[2:], pictures[1]], -1)
        for what, array in drawn.items():
            images[f"{name}_{chambers}CH_{what}"] = array
            spacings[f"{name}_{chambers}CH_{what}"] = spacing
        cfgs[f"Info_{chambers}CH.cfg"] = {
            "ED": 1,
            "ES": beats,
            "NbFrame": beats,
            "Sex": sex,
            "Age": age,
            "ImageQuality": ("Good", "Medium", "Poor")[quality],
            "EF": round(100 * ef),
            "FrameRate": f"{rate:.1f}",
        }
    truth: dict[str, float | list[float]] = {
        "edv_ml": edv,
        "esv_ml": edv * (1 - ef),
        "ef_percent": 100 * ef,
    }
    if cine:
        truth["cine_lv_ml"] = [edv * (1 - ef * share) for share in systole]
    return PhantomPatient(f"database_nifti/{name}", images, spacings, cfgs, truth)


@dataclass(frozen=True)
class _Heart:
    """A patient's heart: volumes in mL, lengths in mm at end-diastole."""

    edv: float
    ef: float
    length: float
    ratio: float  # of the radii seen from two and from four chambers
    wall: float
    atrium: np.ndarray


def _draw_view(rng, heart: _Heart, chambers: int, half: float, frames: list) -> tuple:
    """One view's quality, spacing, picture of each frame, and labels of the first two."""
    quality = int(rng.choice(3, p=[0.45, 0.4, 0.15]))
    top = rng.uniform(30, 36)
    reach = top + heart.length + 1.6 * 1.15 * heart.atrium[1] + rng.uniform(-6, 8)
    shape = rng.integers(164, 221, 2)
    spacing = (2 * reach * np.sin(half) / shape[0], reach / shape[1])
    x = (np.arange(shape[0]) + 0.5) * spacing[0] - reach * np.sin(half)
    y = (np.arange(shape[1]) + 0.5) * spacing[1]
    x, y = np.meshgrid(x.astype(np.float32), y.astype(np.float32), indexing="ij")
    look = int(rng.integers(2**32))
    tilt, aside, bend = rng.uniform(-0.16, 0.16), rng.uniform(-3, 3), rng.uniform(-6, 6)
    pictures: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for share, speckle_rng in frames:
        view = _contracted(heart, share, chambers, (aside, top), tilt, bend)
        fixed = np.random.default_rng(look)  # tissue, gain and dropout, alike in all frames
        levels = _paint_view(fixed, view, chambers, x, y, quality)
        pictures.append(_render_echo(fixed, speckle_rng, levels, x, y, reach, half, quality))
        if len(labels) < 2:
            # A structure is labelled as far as the sector shows it, which the atrium may leave.
            labels.append(view.labels(x, y) * (np.hypot(x, y) <= reach))
    return quality, spacing, pictures, labels


def _contracted(
    heart: _Heart,
    share: float,
    chambers: int,
    apex: tuple[float, float],
    tilt: float,
    bend: float,
) -> "_Apical":
    """The heart as a view cuts it, at a share (0 ED, 1 ES) of its contraction."""
    volume, long = heart.edv * (1 - heart.ef * share), heart.length * (1 - 0.28 * heart.ef * share)
    thick = 1 + 0.5 * heart.ef * share
    radius = np.sqrt(volume / _cavity_ml(long, 1, 1))  # of a round ventricle
    aside, top = apex
    return _Apical(
        apex=(aside, top + (heart.wall * (thick - 1))),
        tilt=tilt,
        bend=bend,
        length=long,
        radius=radius * (heart.ratio if chambers == 2 else 1 / heart.ratio),
        wall=heart.wall * thick,
        atrium=tuple((1 + 0.15 * share) * heart.atrium),
    )


@dataclass(frozen=True)
class _Apical:
    """One frame of one view in mm: probe at (0, 0), x to the right, y away from the probe.

    The cavity is an ellipse cut off by the mitral plane below its centre. Sliding its cross
    sections sideways (`bend`) makes it less regular and leaves every one of them as wide as it was.
    """

    apex: tuple[float, float]
    tilt: float  # of the long axis against the beam, rad
    bend: float
    length: float  # from the endocardial apex to the mitral plane
    radius: float  # half width of the cavity at its widest
    wall: float
    atrium: tuple[float, float]  # half width, half length

    def axes(self, x, y):
        """Distance across the long axis and along it from the apex (mm)."""
        dx, dy = x - self.apex[0], y - self.apex[1]
        sin, cos = np.sin(self.tilt), np.cos(self.tilt)
        along = dx * sin + dy * cos
        return dx * cos - dy * sin - self.bend * (along / self.length) ** 2, along

    def depths(self, x, y):
        """Depth (mm, positive inside) in the LV cavity, the epicardium and the LA."""
        across, along = self.axes(x, y)
        apical = self.length / (1 + _SET_BACK)
        wide, long = self.atrium
        cavity = ellipse(across, along, (0, apical), (self.radius, apical))
        outer = (self.radius + self.wall, apical + self.wall)
        epi = ellipse(across, along, (0, apical), outer)
        atrium = ellipse(across, along, (0, self.length + 0.6 * long), (wide, long))
        above = self.length - along
        return np.minimum(cavity, above), np.minimum(epi, above), np.minimum(atrium, -above)

    def labels(self, x, y) -> np.ndarray:
        """Uint8 labels: 0 background, 1 LV cavity, 2 MYO, 3 LA."""
        cavity, epi, atrium = self.depths(x, y)
        return np.select([cavity > 0, epi > 0, atrium > 0], [1, 2, 3], 0).astype(np.uint8)


def _cavity_ml(length: float, radius_2ch: float, radius_4ch: float) -> float:
    """Volume (mL) of the ellipsoid that both views cut, up to the mitral plane."""
    apical = length / (1 + _SET_BACK)
    return np.pi * radius_2ch * radius_4ch * apical * (2 / 3 + _SET_BACK - _SET_BACK**3 / 3) / 1000


def _paint_view(rng, view: _Apical, chambers: int, x, y, quality: int) -> np.ndarray:
    """Echo level (float32, about 0..1, before speckle) of each pixel.

    Args:
        rng: Generator.
        view: The frame to show.
        chambers: 2 or 4; four show the right heart beside the septum, which is no label.
        x: Pixel coordinates (mm); `y` likewise.
        y: See `x`.
        quality: 0 good, 1 medium, 2 poor.
    """
    cavity, epi, atrium = view.depths(x, y)
    across, along = view.axes(x, y)
    outer, length = view.radius + view.wall, view.length
    blood = rng.uniform(0.14, 0.22) + 0.06 * quality
    muscle = rng.uniform(0.5, 0.68) - 0.06 * quality
    field = smooth_noise(rng, x.shape, 16)
    image = np.clip(0.34 + 0.13 * field, 0.08, 0.9).astype(np.float32)

    if chambers == 4:
        for centre, radii in (
            ((-outer - 17, 0.62 * length), (14, 0.40 * length)),
            ((-outer - 9, length + 24), (17, 20)),
        ):
            paint(image, ellipse(across, along, centre, radii, 0.05), blood, 6)
    else:
        paint(image, across - outer - rng.uniform(12, 22), 0.15, 15)  # lung shadow
    # Pericardium: the brightest line, on the outside of the wall, not everywhere.
    rim = np.exp(-(((epi + 1.5) / 2.2) ** 2)) * np.clip(0.5 + 0.6 * field, 0, 1) * (across > 0)
    image += 0.5 * rim * (along < length + 4)
    patches = 1 + 0.16 * smooth_noise(rng, x.shape, 6)
    paint(image, epi, muscle * patches * (1.1 - 0.25 * (across > 0)), 3)
    paint(image, atrium + 4 * (along > length), 0.55 * patches, 3)  # its wall is 4 mm
    paint(image, atrium, blood, 2.5)
    paint(image, cavity, blood * (1 + 0.15 * smooth_noise(rng, x.shape, 9)), 2.5)
    # Mitral leaflets, a shallow tent into the cavity, and the annulus on either side.
    sag = rng.uniform(-1, 6) * (1 - np.abs(across) / view.radius)
    leaflet = np.minimum(1.3 - np.abs(along - length + sag), view.radius - np.abs(across))
    paint(image, leaflet, rng.uniform(0.55, 0.8) - 0.1 * quality, 2)
    for side in (-1, 1):
        spot = ellipse(across, along, (side * (view.radius + 2), length), (5, 3.5))
        paint(image, spot, rng.uniform(0.7, 0.95), 3)
    chordae = ellipse(across, along, (rng.uniform(-8, 8), 0.72 * length), (1.5, 7))
    paint(image, chordae, blood + 0.18, 2)
    return image


def _render_echo(rng, speckle_rng, image, x, y, reach: float, half: float, quality: int):
    """Turn echo levels into a uint8 sector image: clutter, fading, dropout, speckle and gain.

    `reach` is the depth (mm) of the sector and `half` its half opening (rad).
    """
    radius, angle = np.hypot(x, y), np.arctan2(x, y)
    # Near-field clutter hides the apex; deep echoes fade; ribs and lung darken whole beams.
    image = image + rng.uniform(0.1, 0.35) * np.exp(-radius / rng.uniform(10, 18))
    image = image * np.exp(-(radius - 60) * rng.uniform(-0.001, 0.0035))
    for _ in range(2 + quality):
        beam = (angle - rng.uniform(-half, half)) / rng.uniform(0.05, 0.14)
        image = image * (1 - rng.uniform(0.2, 0.5 + 0.12 * quality) * np.exp(-(beam**2)))
    # And single pieces of wall are lost where the beam runs along them.
    for _ in range(2 + quality):
        turn, at = rng.uniform(-0.8, 0.8) * half, rng.uniform(0.3, 0.65) * reach
        hole = ((x - at * np.sin(turn)) / 9) ** 2 + ((y - at * np.cos(turn)) / 13) ** 2
        image = image * (1 - rng.uniform(0.3, 0.75) * np.exp(-hole))

    # Speckle lives in the scanner's polar grid: short along the beam, wider across it, and the
    # wider the deeper.
    rows, columns = 420, 150
    waves = speckle_rng.standard_normal((2, rows, columns), dtype=np.float32)
    real, imaginary = (cv2.GaussianBlur(w, (0, 0), sigmaX=1.0, sigmaY=1.3) for w in waves)
    speckle = np.hypot(real, imaginary)
    to_column = ((angle / half + 1) / 2 * (columns - 1)).astype(np.float32)
    to_row = (radius / reach * (rows - 1)).astype(np.float32)
    speckle = cv2.remap(speckle / speckle.mean(), to_column, to_row, cv2.INTER_LINEAR)
    image = np.clip(image, 0.01, None) * (0.25 + 0.75 * speckle) ** rng.uniform(0.7, 1.0)
    image = rng.uniform(1.1, 1.8) * image ** rng.uniform(0.9, 1.2) + rng.uniform(-0.03, 0.02)
    inside = (radius <= reach) & (np.abs(angle) <= half)
    return np.round(255 * np.clip(image, 0, 1) * inside).astype(np.uint8)
