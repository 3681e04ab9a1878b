"""`train`: how each network is fitted."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cardiac_seg.config.sections.section import (
    Amount,
    BelowOne,
    Count,
    Number,
    Positive,
    Section,
    Switch,
    Whole,
)

LOSS_TITLES = {  # of the losses of members/losses.py, as reports print them
    "dice_ce": "Dice plus cross-entropy",
    "dice": "soft Dice loss",
    "tversky": "Tversky loss",
    "focal": "focal loss",
    "ce": "cross-entropy",
    "weighted_ce": "cross-entropy weighted by class",
}


class Train(Section):
    """How each network is fitted."""

    epochs: Whole = Field(
        150,
        description="number of epochs; with early stopping, at most; 0: the networks of "
        "`start_from` as they are",
    )
    batch_size: Count = Field(8, description="slices per step; of 3D networks patches")
    steps: Count | None = Field(
        None, description="per epoch; null: each slice, or for 3D networks each volume, once"
    )
    loss: Literal["dice_ce", "dice", "tversky", "focal", "ce", "weighted_ce"] = Field(
        "dice_ce",
        description="dice_ce: soft Dice plus cross-entropy; dice, tversky, focal and ce "
        "(cross-entropy): alone; weighted_ce: cross-entropy weighted by class",
    )
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adamw",
        description="nnU-Net's recipe: sgd, learning_rate 0.01, schedule polynomial, weight_decay "
        "3e-3 (here off the weights; its 3e-5 is a part of the gradient, with momentum 0.99)",
    )
    learning_rate: Positive = Field(1e-3, description="highest learning rate")
    weight_decay: Amount = Field(1e-4, description="adamw and sgd")
    schedule: Literal["cosine", "polynomial", "constant"] = Field(
        "cosine", description="course of the learning rate"
    )
    warmup: Amount = Field(2.0, description="epochs of linear warm-up (cosine)")
    ema: BelowOne = Field(0.0, description="momentum of averaged weights; 0: off")
    crop: tuple[Count, Count] | None = Field(
        None,
        description="height and width of crops about the heart that training sees; null: the "
        "whole grid; 3D networks have a `patch`",
    )
    sampling: Literal["uniform", "class_aware"] = Field(
        "class_aware", description="how the slices of an epoch are drawn; 3D networks: evenly"
    )
    monitor: Literal["val_dice", "val_accuracy"] = Field(
        "val_dice", description="chooses best.keras"
    )
    early_stopping: Whole = Field(0, description="patience in epochs; 0: off")
    reduce_lr: Whole = Field(0, description="patience of ReduceLROnPlateau in epochs; 0: off")
    reduce_lr_factor: Annotated[Number, Field(gt=0, lt=1)] = Field(
        0.5, description="factor of ReduceLROnPlateau"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 where the hardware has it, else float32"
    )
    workers: Count = Field(
        1, description="threads that prepare batches; the result does not depend on it"
    )
    tensorboard: Switch = Field(False, description="also write a TensorBoard log")
    start_from: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="folder of a finished run or of exported weights (`pretrained/acdc`) whose "
        "networks training starts from; null: random weights",
    )

    @model_validator(mode="after")
    def _check(self):
        if self.reduce_lr and self.schedule != "constant":
            raise ValueError(
                f"reduce_lr: ReduceLROnPlateau cannot work with schedule '{self.schedule}', "
                "which sets the learning rate itself; use schedule: constant or reduce_lr: 0"
            )
        if not self.epochs and self.start_from is None:
            raise ValueError("epochs: 0 trains nothing; set 1 at least, or a start_from to take")
        if self.schedule == "cosine" and self.warmup >= self.epochs > 0:
            raise ValueError(
                f"warmup: {self.warmup} epochs leave none of the {self.epochs} epochs to train; "
                "shorten it"
            )
        return self
