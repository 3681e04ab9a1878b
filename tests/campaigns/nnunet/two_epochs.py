"""nnU-Net's own commands with a trainer that needs seconds: `two_epochs.py train|predict ...`.

Runs in nnU-Net's environment. The trainer is put where its commands look first: on their way to
another place they import trainers whose packages a training needs for nothing else.
"""

import sys

import torch
from nnunetv2.inference.predict_from_raw_data import predict_entry_point
from nnunetv2.run.run_training import run_training_entry
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as its_file

COMMANDS = {"train": run_training_entry, "predict": predict_entry_point}


class TwoEpochs(its_file.nnUNetTrainer):
    """Its trainer as it is, but for how long it trains."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cpu"),  # noqa: B008  as in its own class
    ):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 2
        self.num_iterations_per_epoch = 3
        self.num_val_iterations_per_epoch = 1


if __name__ == "__main__":
    its_file.TwoEpochs = TwoEpochs
    command = COMMANDS[sys.argv.pop(1)]
    sys.argv += ["-tr", TwoEpochs.__name__, "-device", "cpu"]
    command()
