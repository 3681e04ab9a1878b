"""Memory and time of the three-dimensional network at its full size, on a volume of any size.

    PYTHONPATH=. python docs/experiments/volume_memory.py [--volume 40 512 512] [--overlap 0.5]

Random weights and values: neither depends on what the network was trained on. Prints the patches,
the seconds of each, and the largest memory that the process has used.
"""

import argparse
import resource
import time

import numpy as np

from cardiac_seg.config.sections import Unet3D
from cardiac_seg.members.networks.unet_3d import unet_3d
from cardiac_seg.members.sliding_window import patch_starts, predict_stack
from cardiac_seg.system import backend


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--volume", type=int, nargs=3, default=(40, 512, 512))
    parser.add_argument("--overlap", type=float, default=0.5)
    args = parser.parse_args()
    settings = Unet3D()
    precision = backend.set_precision("auto")
    model = unet_3d(settings.input_shape, 4, **settings.architecture)
    volume = np.random.default_rng(0).normal(size=args.volume).astype(np.float32)
    axes = zip(args.volume, settings.patch, strict=True)
    patches = np.prod([len(patch_starts(max(n, s), s, args.overlap)) for n, s in axes])
    began = time.perf_counter()
    maps = predict_stack(model, volume, settings.patch, args.overlap)
    seconds = time.perf_counter() - began
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{model.count_params():,} parameters, {precision}, maps of {maps.shape}")
    print(f"{patches} patches, {seconds / patches:.1f} s each, at most {gib:.2f} GiB")


if __name__ == "__main__":
    main()
