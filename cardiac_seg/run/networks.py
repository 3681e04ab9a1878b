"""The trained networks of a run."""

import keras

from cardiac_seg.members.network_file import read_network
from cardiac_seg.run.folder import Run
from cardiac_seg.system import backend
from cardiac_seg.system.errors import UserError


def load_network(run: Run, member: str, part: str) -> keras.Model:
    """Loads a trained network of a run for prediction.

    Raises:
        UserError: If the file is missing, damaged or of another architecture.
    """
    path = run.models(member, part) / f"{run.config.predict.checkpoint}.keras"
    precision = backend.set_precision(run.config.train.precision)
    if not path.is_file():
        raise UserError(f"{path}: missing; train it with train_ensemble.py --resume {run.folder}")
    run.check_hash(path)
    network = read_network(path)
    size, classes = tuple(network.inputs[0].shape[1:3]), network.outputs[0].shape[-1]
    fits = size in ((None, None), tuple(run.config.preprocess.size))
    if (network.name, classes) != (member, run.dataset.num_classes) or not fits:
        raise UserError(
            f"{path}: holds {network.name} of {classes} classes for images of {size}, expected "
            f"{member} of {run.dataset.num_classes} classes; the file belongs to another run"
        )
    return _for_this_hardware(network, precision)


def _for_this_hardware(network: keras.Model, precision: str) -> keras.Model:
    """The same network, computing in `precision` where it was trained in a reduced one.

    A network keeps the precision it was saved with; bfloat16 from a GPU would be emulated on a
    CPU that lacks it.
    """
    if all(layer.compute_dtype in ("float32", precision) for layer in network.layers):
        return network
    policy = keras.config.dtype_policy().name

    def clone(layer):
        settings = layer.get_config()
        if layer.compute_dtype != "float32":
            settings["dtype"] = policy
        return type(layer).from_config(settings)

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    return copy
