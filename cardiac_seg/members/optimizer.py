"""The optimizer, its schedule, and how a network is compiled."""

import keras

from cardiac_seg.config.sections import Train
from cardiac_seg.members.losses import make_loss
from cardiac_seg.system import backend

SUPERVISION_DECAY = 0.5  # weight of each coarser output relative to the finer one


def compile_network(model: keras.Model, settings: Train, steps: int, pixels: list[int]) -> None:
    """Compiles a network with its loss, optimizer and schedule.

    Args:
        model: With one output, or several of which each is coarser than the one before.
        settings: The `train` section.
        steps: Per epoch.
        pixels: Label pixels of each class in the training cases, for class weights.
    """
    outputs = len(model.outputs)
    loss = make_loss(settings.loss, pixels)
    weights = [SUPERVISION_DECAY**i for i in range(outputs)]
    model.compile(
        optimizer=build_optimizer(settings, steps),
        loss=loss if outputs == 1 else [loss] * outputs,
        loss_weights=None if outputs == 1 else [w / sum(weights) for w in weights],
        # XLA pays on a GPU; on a CPU it made these networks slower.
        jit_compile="auto" if backend.GPUS or backend.BACKEND == "jax" else False,
    )
    model.optimizer.build(model.trainable_variables)


def build_optimizer(settings: Train, steps: int) -> keras.optimizers.Optimizer:
    """The configured optimizer with its schedule over all epochs of so many steps."""
    rate, total = settings.learning_rate, settings.epochs * steps
    warmup = round(settings.warmup * steps)
    if settings.schedule == "cosine" and warmup:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, total - warmup, warmup_target=rate, warmup_steps=warmup
        )
    elif settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, total)
    elif settings.schedule == "polynomial":
        rate = keras.optimizers.schedules.PolynomialDecay(rate, total, 0.0, power=0.9)
    average = {"use_ema": True, "ema_momentum": settings.ema} if settings.ema else {}
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(rate, **average)
    if settings.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, **average)
    # nnU-Net's recipe, its gradient clipping included.
    return keras.optimizers.SGD(
        rate,
        momentum=0.99,
        nesterov=True,
        weight_decay=settings.weight_decay,
        global_clipnorm=12.0,
        **average,
    )
