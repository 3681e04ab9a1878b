"""The heart of an MRI phantom in closed form, so that its volumes are known without pixels."""

from dataclasses import asdict, dataclass

import numpy as np

# Per group, ranges to draw from: LV volume at ED (mL), EF (fraction), wall at ED (mm),
# RV volume at ED (mL), RV EF (fraction).
GROUPS = {
    "NOR": ((110, 150), (0.55, 0.68), (8.0, 10.0), (120, 160), (0.50, 0.60)),
    "DCM": ((200, 270), (0.14, 0.32), (7.5, 9.0), (130, 180), (0.35, 0.50)),
    "HCM": ((95, 130), (0.65, 0.76), (14.0, 18.0), (95, 130), (0.52, 0.64)),
    "MINF": ((140, 190), (0.24, 0.39), (8.0, 10.0), (115, 155), (0.45, 0.55)),
    "RV": ((100, 135), (0.52, 0.64), (7.5, 9.5), (200, 250), (0.22, 0.40)),
}
_PROFILE_POWER = 2.6  # above 2: fuller than an ellipsoid below the base, as ventricles are


@dataclass(frozen=True)
class Heart:
    """One frame of a heart in mm: u points to the lateral wall, v down, z from base to apex.

    At each z the epicardium is a disc, the LV cavity a disc with three shallow lobes, and the RV
    a crescent on the epicardium, centred on the -u direction.
    """

    base: float
    lv_length: float
    lv_radius: float
    epi_length: float
    epi_radius: float
    rv_length: float
    rv_thickness: float
    rv_angle: float  # half opening of the crescent at the base, rad
    lobe: float  # relative height of the cavity's lobes
    lobe_phase: float
    shift: float  # of the cavity towards the lateral wall: a septum thicker than the rest

    def radii(self, z):
        """Cavity radius, epicardial radius, RV thickness (mm) and RV half opening (rad) at z."""
        z = np.asarray(z, float)
        lv = self.lv_radius * _profile(z, self.base, self.lv_length)
        epi = self.epi_radius * _profile(z, self.base, self.epi_length)
        rv = self.rv_thickness * _profile(z, self.base, self.rv_length)
        return lv, epi, rv, _rv_opening(z, self.base, self.rv_length, self.rv_angle)

    def areas(self, z):
        """Exact LV, MYO and RV areas (mm^2) of the cuts at z (mm)."""
        lv, epi, rv, opening = self.radii(z)
        cavity = np.pi * lv**2 * (1 + self.lobe**2 / 2)
        crescent = epi * rv * 4 * opening / np.pi + rv**2 * opening / 2
        return cavity, np.pi * epi**2 - cavity, crescent

    def volumes(self, z, thickness: float):
        """Exact LV, MYO and RV volumes (mL) of the cuts at z (mm), `thickness` mm apart."""
        return [np.sum(area) * thickness / 1000 for area in self.areas(z)]

    def depths(self, u, v, z: float):
        """Depth (mm, positive inside) of points (u, v) in LV cavity, epicardium and RV."""
        lv, epi, rv, opening = (float(value) for value in self.radii(z))
        radius, angle = np.sqrt(u * u + v * v), np.arctan2(v, -u)  # angle 0 at the septum
        du = u - float(self.shift * lv / self.lv_radius)
        outline = 1 + self.lobe * np.cos(3 * np.arctan2(v, du) + self.lobe_phase)
        cavity = lv * outline - np.sqrt(du * du + v * v)
        outer = epi + rv * np.cos(np.clip(angle / opening, -1, 1) * np.pi / 2)
        # No structure at all where its radius is zero, not even its centre point.
        return [
            depth if size > 0 else np.full_like(depth, -1e3)
            for size, depth in (
                (lv, cavity),
                (epi, epi - radius),
                (rv, np.minimum(radius - epi, outer - radius)),
            )
        ]

    def labels(self, u, v, z: float) -> np.ndarray:
        """Uint8 labels: 0 background, 1 RV, 2 MYO, 3 LV."""
        cavity, epi, rv = self.depths(u, v, z)
        return np.select([cavity > 0, epi > 0, rv > 0], [3, 2, 1], 0).astype(np.uint8)


def _profile(z, base: float, length: float):
    """Radius at z relative to the base: 1 at the base, 0 at and beyond the apex and above base."""
    depth = (np.asarray(z, float) - base) / length
    inside = (depth >= 0) & (depth < 1)
    return np.where(inside, np.sqrt(1 - np.clip(depth, 0, 1) ** _PROFILE_POWER), 0.0)


def _rv_opening(z, base: float, length: float, at_base: float):
    return at_base * (1 - 0.35 * np.clip((np.asarray(z, float) - base) / length, 0, 1))


def _build_heart(z, thickness, lv_ml, epi_ml, rv_ml, **shape) -> Heart:
    """Solve the radii so that the cuts at `z` (mm), `thickness` mm apart, hold these volumes."""
    per_cut = 1000 / thickness
    lv = _profile(z, shape["base"], shape["lv_length"])
    epi = _profile(z, shape["base"], shape["epi_length"])
    rv = _profile(z, shape["base"], shape["rv_length"])
    opening = _rv_opening(z, shape["base"], shape["rv_length"], shape["rv_angle"])
    lobes = 1 + shape["lobe"] ** 2 / 2
    lv_radius = np.sqrt(lv_ml * per_cut / (np.pi * lobes * np.sum(lv**2)))
    epi_radius = np.sqrt(epi_ml * per_cut / (np.pi * np.sum(epi**2)))
    # Crescent areas are quadratic in the thickness: a t^2 + b t = volume.
    a = np.sum(rv**2 * opening) / 2
    b = np.sum(epi_radius * epi * rv * opening) * 4 / np.pi
    rv_thickness = (np.sqrt(b**2 + 4 * a * rv_ml * per_cut) - b) / (2 * a)
    return Heart(lv_radius=lv_radius, epi_radius=epi_radius, rv_thickness=rv_thickness, **shape)


def heart_between(ed: Heart, es: Heart, share: float, z, thickness: float) -> Heart:
    """The heart `share` of the way from ED (0) to ES (1), solved for the volumes on that way.

    So each volume of the cuts at `z` (mm), `thickness` mm apart, is (1 - share) times that at ED
    plus share times that at ES, although a cut may leave the ventricles as the base descends.
    """

    def mix(start, end):
        return (1 - share) * start + share * end

    lv, muscle, rv = map(mix, ed.volumes(z, thickness), es.volumes(z, thickness))
    end = asdict(es)
    shape = {name: mix(value, end[name]) for name, value in asdict(ed).items()}
    for solved in ("lv_radius", "epi_radius", "rv_thickness"):
        del shape[solved]
    return _build_heart(z, thickness, lv, lv + muscle, rv, **shape)


def draw_hearts(rng, group: str) -> tuple[Heart, Heart, np.ndarray, float]:
    """Draw ED and ES hearts, the slice positions (mm) and the slice thickness (mm)."""
    edv, ef, wall, rv_edv, rv_ef = (rng.uniform(*limits) for limits in GROUPS[group])
    length = rng.uniform(76, 82) if group == "DCM" else rng.uniform(70, 80)
    epi_length = length + 0.8 * wall
    # Thick enough for ten slices to hold the heart, as far as 10 mm allow.
    needed = np.ceil(epi_length / 9 * 10) / 10
    thickness = float(min(max(rng.choice([8.0, 9.0, 10.0]), needed), 10.0))
    above = int(rng.random() < 0.35)
    base = (above - rng.uniform(0.1, 0.4)) * thickness
    slices = int((base + epi_length) / thickness) + 1
    slices = min(slices + int(rng.random() < 0.4), 10)
    z = np.arange(slices) * thickness

    shape = {
        "rv_angle": rng.uniform(1.15, 1.4) + 0.2 * (group == "RV"),
        "lobe": rng.uniform(0.015, 0.045),
        "lobe_phase": rng.uniform(0, 2 * np.pi),
        "shift": wall * (rng.uniform(0.15, 0.3) if group == "HCM" else rng.uniform(-0.12, 0.12)),
    }
    # The ED wall is `wall` mm thick at the base; its volume follows and is kept at ES.
    radius = np.sqrt(edv * 1000 / thickness / np.pi / np.sum(_profile(z, base, length) ** 2))
    epi_area = np.pi * np.sum(((radius + wall) * _profile(z, base, epi_length)) ** 2)
    muscle = epi_area * thickness / 1000 - edv
    ed = _build_heart(
        z, thickness, edv, edv + muscle, rv_edv,
        base=base, lv_length=length, epi_length=epi_length, rv_length=0.82 * epi_length, **shape,
    )  # fmt: skip
    # The base descends towards the apex; a slice at the base may leave the ventricles.
    shortening = 0.24 * ef * length
    length, epi_length = length - shortening, epi_length - shortening
    esv, rv_esv = edv * (1 - ef), rv_edv * (1 - rv_ef)
    es = _build_heart(
        z, thickness, esv, esv + muscle, rv_esv,
        base=base + 0.8 * shortening, lv_length=length, epi_length=epi_length,
        rv_length=0.82 * epi_length, **shape,
    )  # fmt: skip
    return ed, es, z, thickness
