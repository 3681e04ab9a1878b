"""nnU-Net v2's 2D network for ACDC, by its own predictor, preprocessing and export.

This module runs in the environment of `requirements.txt`, which has no `cardiac_seg`. Started as a
program it answers like `benchmarks.worker`.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from nnunetv2.experiment_planning.experiment_planners.network_topology import (
    get_pool_and_conv_props,
)
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.data_iterators import PreprocessAdapterFromNpy
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape as to_native_mask,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch.utils.flop_counter import FlopCounterMode

# ACDC's target spacing in mm and the median image at it in pixels. From them and what follows its
# planner makes a patch of 256 x 224 and 32, 64, 128, 256, 512, 512 features.
SPACING = [1.5625, 1.5625]
MEDIAN_SHAPE = [237, 208]
FIRST_FEATURES, MOST_FEATURES = 32, 512  # the planner's for 2D
SMALLEST_MAP = 4  # pixels of an edge
MIRRORING_AXES = (0, 1)  # what its trainer stores for 2D networks
CLASSES = {"background": 0, "RV": 1, "MYO": 2, "LV": 3}
DATASET = {"channel_names": {"0": "cineMRI"}, "labels": CLASSES, "file_ending": ".nii.gz"}
PARTS = ("to_grid", "network", "to_native")


def acdc_plans() -> dict:
    """The plans of its 2D configuration, topology from its planner's own function."""
    _, strides, kernels, patch, _ = get_pool_and_conv_props(
        SPACING, MEDIAN_SHAPE, SMALLEST_MAP, 999999
    )
    stages = len(strides)
    network = {
        "n_stages": stages,
        "features_per_stage": [min(FIRST_FEATURES * 2**i, MOST_FEATURES) for i in range(stages)],
        "conv_op": "torch.nn.modules.conv.Conv2d",
        "kernel_sizes": kernels,
        "strides": strides,
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    resample = "resample_data_or_seg_to_shape"
    orders = {"data": (False, 3), "seg": (True, 1), "probabilities": (False, 1)}
    resampling = {}
    for what, (is_seg, order) in orders.items():
        resampling[f"resampling_fn_{what}"] = resample
        resampling[f"resampling_fn_{what}_kwargs"] = {
            "is_seg": is_seg,
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    configuration = {
        "data_identifier": "nnUNetPlans_2d",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,  # of training; its predictor takes one patch at a time
        "patch_size": [int(edge) for edge in patch],
        "median_image_size_in_voxels": MEDIAN_SHAPE,
        "spacing": SPACING,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        **resampling,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    return {
        "dataset_name": "Dataset027_ACDC",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"2d": configuration},
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}},
    }


def build_predictor() -> nnUNetPredictor:
    """Its predictor as it is by default, on the CPU, with one network of random weights."""
    torch.manual_seed(0)
    plans = PlansManager(acdc_plans())
    configuration = plans.get_configuration("2d")
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        input_channels=1,
        output_channels=len(CLASSES),
        deep_supervision=False,
    ).eval()
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        network,
        plans,
        configuration,
        [network.state_dict()],
        DATASET,
        "nnUNetTrainer",
        MIRRORING_AXES,
    )
    return predictor


def segment(predictor: nnUNetPredictor, path: Path) -> dict:
    """One image from file to mask, as `predict_single_npy_array` does it.

    Args:
        predictor: From `build_predictor`.
        path: A NIfTI stack.

    Returns:
        `slices`, `patches` a pass of the network, and the seconds of each of `PARTS`.
    """
    manager = predictor.configuration_manager
    began = time.perf_counter()
    image, properties = SimpleITKIO().read_images([str(path)])
    case = next(
        PreprocessAdapterFromNpy(
            [image], None, [properties], None, predictor.plans_manager, DATASET, manager
        )
    )
    on_grid = time.perf_counter()
    logits = predictor.predict_logits_from_preprocessed_data(case["data"]).cpu()
    predicted = time.perf_counter()
    mask = to_native_mask(
        logits,
        predictor.plans_manager,
        manager,
        predictor.label_manager,
        case["data_properties"],
    )
    done = time.perf_counter()
    if mask.shape != image.shape[1:]:
        raise RuntimeError(f"{path}: mask of {mask.shape} for an image of {image.shape[1:]}")
    padded = [max(edges) for edges in zip(case["data"].shape[2:], manager.patch_size, strict=True)]
    patches = predictor._internal_get_sliding_window_slicers((len(mask), *padded))
    seconds = (on_grid - began, predicted - on_grid, done - predicted)
    return {"slices": len(mask), "patches": len(patches), **dict(zip(PARTS, seconds, strict=True))}


def prepare(images: list[str]) -> Callable[[], dict]:
    """Prepares segmenting the images with mirroring, the predictor's default, and without.

    Args:
        images: NIfTI stacks, in the order of measuring.
    """
    predictor = build_predictor()
    patch = predictor.configuration_manager.patch_size
    network = predictor.configuration_manager.network_arch_init_kwargs
    about = {
        "parameters": sum(p.numel() for p in predictor.network.parameters()),
        "patch": patch,
        "features": network["features_per_stage"],
        "gflop": patch_operations(predictor.network, patch) / 1e9,
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("nnunetv2", "torch")},
    }

    def measure() -> dict:
        measured = {}
        for name, mirroring in (("mirroring", True), ("no_mirroring", False)):
            predictor.use_mirroring = mirroring
            cases = [segment(predictor, Path(path)) for path in images]
            measured[name] = {key: sum(case[key] for case in cases) for key in cases[0]}
        return about | measured

    predictor.use_mirroring = False
    segment(predictor, Path(images[0]))  # warm
    return measure


def patch_operations(network: torch.nn.Module, patch: list[int]) -> int:
    """Floating-point operations of a pass; a multiplication with its addition is two."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, *patch))
    return counter.get_total_flops()


def peak_memory_mib() -> int:
    """Largest resident memory of this process so far, in MiB; Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 2**10)
    return 0


def serve(images: list[str]) -> None:
    """Answers once when prepared, then each line of standard input with a measurement, in JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    measure = prepare(images)
    print(json.dumps({}), file=answers, flush=True)
    for _ in sys.stdin:
        answer = measure() | {"peak_memory_mib": peak_memory_mib()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1:])
