"""Synthetic short-axis MRI patients: a closed-form heart in a thorax that imitates real ones."""

from typing import Any

import cv2
import numpy as np

from cardiac_seg.data.phantoms.heart import GROUPS, Heart, draw_hearts, heart_between
from cardiac_seg.data.phantoms.painting import (
    PhantomPatient,
    contraction,
    ellipse,
    paint,
    smooth_noise,
    window,
)


def mri_patient(index: int, rng: np.random.Generator, cine: bool = False) -> PhantomPatient:
    """Draw patient `index` (from 1) for the ACDC layout; groups take turns.

    Images are int16 and labels uint8 (0 background, 1 RV, 2 MYO, 3 LV), both (x, y, slice). With
    `cine` there is the whole beat as well, int16 (x, y, slice, phase), its LV volumes (mL) and the
    heart rate (beats/min); the rest stays the same to the bit.
    """
    name = f"patient{index:03d}"
    group = list(GROUPS)[(index - 1) % len(GROUPS)]
    ed, es, z, thickness = draw_hearts(rng, group)
    field = rng.uniform(225, 265)
    spacing = round(rng.uniform(max(1.25, field / 180), min(1.8, field / 128)), 4)
    width, depth = (int(np.clip(field * s / spacing, 128, 180)) for s in rng.uniform(0.85, 1, 2))
    shape = width, depth
    # Of the LV; the RV on its other side balances it, but not quite.
    centre = rng.uniform(-12, 12, 2) + (0.4 * ed.rv_thickness, 0)
    body_turn, heart_turn = rng.uniform(-0.25, 0.25), rng.uniform(-0.2, 0.2)
    stretch = rng.uniform(0.95, 1.05)
    thorax = _draw_thorax(rng, shape)

    x, y, bias = _plane(rng, shape, spacing, centre)
    x, y = _turn(x, y, body_turn)
    u, v = _turn(x, y, heart_turn)
    u, v = u * np.float32(stretch), v / np.float32(stretch)  # oval, areas unchanged

    first = int(rng.choice([1, 1, 1, 2, 4]))
    last = first + int(rng.integers(7, 12))
    gain = float(np.exp(rng.uniform(np.log(200), np.log(2000))))
    soft = 1.2 * spacing
    chests = [_paint_chest(thorax, x, y, at, soft) for at in z]

    def picture(heart, noise_rng, grain):
        cuts = [
            _paint_slice(chest, thorax, heart, u, v, at, thickness, soft)
            for chest, at in zip(chests, z, strict=True)
        ]
        return _render_mri(noise_rng, np.stack(cuts, -1), gain, bias, *grain.tolist())

    images, frames, grains = {}, {}, []
    for frame, heart in ((first, ed), (last, es)):
        grains.append(rng.uniform([0.012, 0.45], [0.03, 0.7]))  # noise, blur
        stem = f"{name}_frame{frame:02d}"
        images[stem] = frames[frame] = picture(heart, rng, grains[-1])
        images[f"{stem}_gt"] = np.stack([heart.labels(u, v, at) for at in z], -1)
    cfg = _info(rng, group, first, last)
    truth = _true_volumes(ed, es, z, thickness)
    spacings: dict[str, tuple[float, ...]] = dict.fromkeys(images, (spacing, spacing, thickness))
    if cine:
        cine_rng = rng.spawn(1)[0]  # leaves the draws of `rng` as they are
        rate = cine_rng.uniform(55, 85)
        beat = contraction(cfg["NbFrame"], first, last)
        hearts = [heart_between(ed, es, share, z, thickness) for share in beat]
        for frame, (share, heart) in enumerate(zip(beat, hearts, strict=True), 1):
            if frame not in frames:
                grain = (1 - share) * grains[0] + share * grains[1]
                frames[frame] = picture(heart, cine_rng, grain)
        images[f"{name}_4d"] = np.stack([frames[frame] for frame in sorted(frames)], -1)
        spacings[f"{name}_4d"] = (spacing, spacing, thickness, 60 / rate / len(beat))
        truth |= {"cine_lv_ml": [h.volumes(z, thickness)[0] for h in hearts], "heart_rate": rate}
    return PhantomPatient(f"training/{name}", images, spacings, {"Info.cfg": cfg}, truth)


def _info(rng, group: str, first: int, last: int) -> dict[str, Any]:
    """What `Info.cfg` holds."""
    return {
        "ED": first,
        "ES": last,
        "Group": group,
        "Height": f"{rng.normal(170, 9):.1f}",
        "NbFrame": last + int(rng.integers(8, 16)),
        "Weight": f"{rng.normal(76, 12):.1f}",
    }


def _plane(rng, shape: tuple[int, int], spacing: float, centre) -> tuple:
    """Coordinates (mm) from the heart's centre, and the coil's bias field; (x, y) each."""
    x, y = (((np.arange(n) - (n - 1) / 2) * spacing).astype(np.float32) for n in shape)
    x, y = np.meshgrid(x - float(centre[0]), y - float(centre[1]), indexing="ij")
    bias_x, bias_y, bias_r = rng.uniform([-0.35, -0.35, -0.25], [0.35, 0.35, 0.1])
    bias = np.exp((bias_x * x + bias_y * y + bias_r * np.hypot(x, y)) / 100).astype(np.float32)
    return x, y, bias


def _true_volumes(ed, es, z, thickness: float) -> dict:
    """Volumes (mL) and EF (percent) of the shapes themselves, not of pixels."""
    (edv, myo, rv_edv), (esv, _, rv_esv) = (heart.volumes(z, thickness) for heart in (ed, es))
    return {
        "edv_ml": edv,
        "esv_ml": esv,
        "ef_percent": 100 * (1 - esv / edv),
        "rv_edv_ml": rv_edv,
        "rv_esv_ml": rv_esv,
        "myo_ed_ml": myo,
    }


def _turn(x, y, angle: float):
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y, cos * y - sin * x


def _draw_thorax(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, Any]:
    """Draw what surrounds the heart: places and sizes in mm, grey values in 0..1.

    The texture, of the image's `shape`, mottles fat and the trabeculated RV alike in both frames.
    """

    def near(*mean, sd=5.0):
        return np.asarray(mean) + rng.normal(0, sd, len(mean))

    return {
        "body": (near(15, 22), near(118, 108, sd=7)),
        "fat": rng.uniform(10, 24),
        "liver": (near(-42, 98, sd=7), near(82, 52, sd=6)),
        "stomach": (near(52, 92, sd=8), near(42, 34, sd=6)),
        "stomach_grey": rng.choice([0.22, 0.38, 0.75]),
        "aorta": (near(48, 46, sd=6), rng.uniform(8, 12)),
        "mediastinum": (near(-34, 20, sd=6), near(50, 36)),
        "mediastinum_grey": rng.uniform(0.25, 0.6),
        # Centre, radii and grey value of fat pads, then of vessels in lungs and liver.
        "blobs": [
            *(
                (near(*at, sd=6), (20, 9), 0.65)
                for at in ((-58, -34), (-62, 34), (8, -50), (25, 54))
            ),
            *(
                (
                    rng.uniform([-95, -75], [105, 125]),
                    rng.uniform(1.5, 4.5, 2),
                    rng.uniform(0.3, 0.8),
                )
                for _ in range(18)
            ),
        ],
        "papillary": [
            (rng.uniform(*turn), rng.uniform(0.5, 0.8), rng.uniform(3.0, 5.5))
            for turn in ((0.2, 1.5), (-1.8, -0.5))
        ],
        "phase": [float(turn) for turn in rng.uniform(0, 2 * np.pi, 8)],
        "blood": float(rng.uniform(0.78, 0.92)),
        "muscle": float(rng.uniform(0.2, 0.34)),
        "lung": float(rng.uniform(0.03, 0.09)),
        "skin": float(rng.uniform(0.75, 1.0)),
        "texture": smooth_noise(rng, shape, 2.2),
    }


def _paint_chest(thorax: dict[str, Any], x, y, z: float, soft: float) -> np.ndarray:
    """Grey values (float32, about 0..1) of everything but the heart in the cut at z (mm).

    Args:
        thorax: From `_draw_thorax`.
        x: Pixel coordinates (mm), to the right, LV centre at 0.
        y: Pixel coordinates (mm), downwards.
        z: Position of the cut (mm), 0 at the first slice.
        soft: Width of the edges (mm).
    """
    t, phase, texture = thorax, thorax["phase"], thorax["texture"]
    image = np.full(x.shape, 0.01, np.float32)
    sink = 0.25 * (z - 40)  # the diaphragm rises and the chest narrows towards the apex
    body = ellipse(x, y, t["body"][0], t["body"][1] - 0.3 * sink, 0.025, phase[0])
    paint(image, body, t["skin"], soft)
    inner = body - t["fat"] * (1 + 0.35 * np.sin(2 * np.arctan2(y, x) + phase[1]))
    ribs = 0.22 + 0.2 * np.sin(18 * np.arctan2(y - 22, x) + phase[2])
    paint(image, inner, ribs, soft)
    paint(image, inner - 8, t["lung"], soft)
    below = np.minimum(inner - 8, y - (58 - 0.3 * sink) + 0.12 * x)
    paint(image, below, 0.45 + 0.12 * texture, 2 * soft)
    for centre, radii, grey, turn in (
        (t["liver"][0] - (0, sink), t["liver"][1], 0.30, phase[3]),
        (t["stomach"][0] - (0, sink), t["stomach"][1], t["stomach_grey"], phase[4]),
    ):
        paint(image, np.minimum(ellipse(x, y, centre, radii, 0.05, turn), inner - 4), grey, soft)
    aorta = ellipse(x, y, t["aorta"][0] + (0.1 * z, 0.1 * z), (t["aorta"][1],) * 2)
    paint(image, aorta + 2, 0.2, soft)
    paint(image, aorta, t["blood"], soft)
    centre, radii = t["mediastinum"]
    mediastinum = np.minimum(ellipse(x, y, centre, radii, 0.06, phase[0]), inner - 4)
    paint(image, mediastinum, t["mediastinum_grey"] + 0.08 * texture, 2 * soft)
    for k, (centre, radii, grey) in enumerate(t["blobs"]):
        centre = centre + 0.12 * (z - 40) * np.array([np.sin(k), np.cos(k)])
        near = window(x, y, centre, 1.2 * max(radii) + 2)
        depth = ellipse(x[near], y[near], centre, radii, 0.1, phase[k % 8])
        depth = np.minimum(depth, inner[near] - 5)
        paint(image[near], depth, grey + 0.08 * texture[near], soft)
    return image


def _paint_heart(image: np.ndarray, thorax: dict, heart: Heart, u, v, z: float, soft: float):
    """Paint the cut of `heart` at z (mm) on a copy of `image`; u and v are heart coordinates."""
    image = image.copy()
    phase, texture = thorax["phase"], thorax["texture"]
    muscle, blood = thorax["muscle"], thorax["blood"]
    if z < heart.base:  # atria and great vessels: blood that is not to be segmented
        for centre, radii in (((14, 10), (30, 22)), ((-44, 8), (27, 24)), ((-12, -17), (15, 15))):
            chamber = ellipse(u, v, centre, radii, 0.04, phase[5])
            paint(image, chamber + 3, 0.3, soft)
            paint(image, chamber, 0.95 * blood, soft)
        return image
    cavity, epi, rv = heart.depths(u, v, z)
    lv_radius, _, rv_thickness, _ = (float(value) for value in heart.radii(z))
    if epi.max() < 0:  # beyond the apex
        paint(image, ellipse(u, v, (0, 0), (16, 12), 0.1, phase[5]), 0.5, 2 * soft)
        return image
    angle = np.arctan2(v, -u)
    paint(image, epi + 2.5, 0.35 + 0.3 * np.sin(angle + phase[6]) ** 3, soft)
    if rv_thickness > 0:
        paint(image, rv + 5, 0.6, soft)
        paint(image, rv + 3, muscle + 0.08, soft)
        paint(image, rv, 0.88 * blood + 0.06 * np.minimum(texture, 0.5), soft)
    paint(image, epi, muscle, soft)
    # Towards the apex the cavity's rim is a mesh of muscle and blood.
    depth = min((z - heart.base) / heart.lv_length, 1)
    mesh = np.sin(9 * angle + phase[7]) * np.sin(5 * angle + phase[3])
    rim = np.exp(-np.clip(cavity, 0, None) / 4)
    paint(image, cavity, blood - 0.28 * depth * rim * (1 + mesh), soft)
    for turn, reach, size in thorax["papillary"]:
        if 0.3 < depth < 0.85:
            centre = (reach * lv_radius * np.cos(turn), reach * lv_radius * np.sin(turn))
            size = min(size, 0.3 * lv_radius)
            pillar = np.minimum(ellipse(u, v, centre, (size, 0.75 * size), 0.1), cavity)
            paint(image, pillar, muscle + 0.08, soft)
    return image


def _paint_slice(chest, thorax, heart, u, v, z, thickness, soft) -> np.ndarray:
    """Mean of two cuts: a slice's thickness blurs what slants through it, above all the apex.

    They stay on one side of the base, where the valves part ventricles from atria sharply.
    """
    sides = [z - 0.2 * thickness, z + 0.2 * thickness]
    if z >= heart.base:
        sides = [max(side, heart.base) for side in sides]
    else:
        sides = [min(side, heart.base - 1e-3) for side in sides]
    return sum(_paint_heart(chest, thorax, heart, u, v, at, soft) for at in sides) / 2


def _render_mri(rng, cuts, gain: float, bias, noise: float, blur: float) -> np.ndarray:
    """Add texture, blur (pixels), bias field and Rician noise to (x, y, slice) cuts; int16."""
    out = np.empty(cuts.shape, np.int16)
    for k in range(cuts.shape[2]):
        image = cuts[..., k]
        image = image * (1 + 0.07 * smooth_noise(rng, image.shape, 2.0))
        image = image * (1 + 0.06 * smooth_noise(rng, image.shape, 6.0))
        image = cv2.GaussianBlur(image, (0, 0), blur) * bias
        real, imaginary = noise * rng.standard_normal((2, *image.shape), dtype=np.float32)
        out[..., k] = np.round(gain * np.hypot(image + real, imaginary))
    return out
