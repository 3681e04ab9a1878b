"""A trained run in use: images in, masks out."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from cardiac_seg import backend, preprocessing
from cardiac_seg.combination import Combiner, native_mask
from cardiac_seg.data.cases import Case, CaseFile, read_case, write_mask
from cardiac_seg.data.datasets import find_inputs
from cardiac_seg.data.split import deployed_parts
from cardiac_seg.errors import UserError
from cardiac_seg.maps import CaseMaps
from cardiac_seg.meta import final_model, read_combiner, read_steps
from cardiac_seg.prediction import predict_cases
from cardiac_seg.progress import bar, log
from cardiac_seg.run import Run, open_run


@dataclass(frozen=True)
class Prediction:
    """What a run says about one image.

    Attributes:
        mask: (slices, height, width) uint8 label values of the dataset on the native grid.
        case: The image it belongs to, with spacing and affine.
        maps: The members' maps and the image on the network grid.
        probabilities: (slices, height, width, classes) float32 of the model in use, there.
    """

    mask: np.ndarray
    case: Case
    maps: CaseMaps
    probabilities: np.ndarray


class Ensemble:
    """The networks of a run and what combines them, loaded once.

    Example:
        >>> ensemble = Ensemble.load("outputs/acdc")                  # doctest: +SKIP
        >>> mask = ensemble.predict("patient101_frame01.nii.gz").mask  # doctest: +SKIP
    """

    def __init__(
        self,
        run: Run,
        networks: dict[str, list[keras.Model]],
        combiner: Combiner,
        model: str,
        steps: dict[str, list[int]],
    ):
        self.run = run
        self.networks = networks
        self.combiner = combiner
        self.model = model
        self.steps = steps

    @classmethod
    def load(cls, folder: str | Path) -> "Ensemble":
        """Loads a run directory.

        Raises:
            UserError: If the run has not reached the end of its `stack` stage, or is damaged.
        """
        run = open_run(Path(folder))
        if not (run.meta / "choice.json").is_file():  # written last
            raise UserError(
                f"{run.folder}: the run is not finished; continue it with "
                f"train_ensemble.py --resume {run.folder}"
            )
        networks = {
            member: [load_network(run, member, part) for part in deployed_parts(run.config)]
            for member in run.config.members
        }
        model = final_model(run)
        combiner = read_combiner(run, [model])
        return cls(run, networks, combiner, model, read_steps(run))

    def predict(self, image: str | Path | CaseFile) -> Prediction:
        """Segments one NIfTI file.

        Args:
            image: A 2D image or a 3D stack of the kind the run was trained on.

        Raises:
            UserError: If the file cannot be read or is no usable image.
        """
        file = image if isinstance(image, CaseFile) else find_inputs(Path(image))[0]
        settings, labels = self.run.config.preprocess, self.run.dataset.labels
        case = read_case(file, labels, with_label=False)
        on_grid = preprocessing.to_grid(case.image, case.spacing[1:], settings)
        slices = preprocessing.normalize(
            on_grid.pixels, on_grid.mean, on_grid.std, settings.normalize
        )
        members = {member: self._member_map(member, slices) for member in self.networks}
        maps = CaseMaps(members, on_grid, "+".join(deployed_parts(self.run.config)))
        ((_, probabilities, _),) = self.combiner.combine(maps, [self.model])
        mask = native_mask(probabilities, on_grid.grid, self.steps)
        return Prediction(mask, case, maps, probabilities)

    def _member_map(self, member: str, slices: np.ndarray) -> np.ndarray:
        size = self.run.config.predict.batch_size
        with backend.memory_advice(size, "predict.batch_size"):
            maps = [
                next(predict_cases(network, [(None, slices)], size))[1]
                for network in self.networks[member]
            ]
        return maps[0] if len(maps) == 1 else np.mean(maps, 0, np.float32).astype(np.float16)


def load_network(run: Run, member: str, part: str) -> keras.Model:
    """Loads a trained network of a run for prediction.

    Raises:
        UserError: If the file is missing, damaged or of another architecture.
    """
    path = run.models(member, part) / f"{run.config.predict.checkpoint}.keras"
    precision = backend.set_precision(run.config.train.precision)
    if not path.is_file():
        raise UserError(f"{path}: missing; train it with train_ensemble.py --resume {run.folder}")
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras passes on what zip, HDF5 and JSON readers raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: cannot be loaded ({reason}); it may be damaged") from None
    expected = (None, *run.config.preprocess.size, run.dataset.labels)
    shape = network.output_shape[0] if len(network.outputs) > 1 else network.output_shape
    if network.name != member or tuple(shape) != expected:
        raise UserError(
            f"{path}: holds {network.name} with output {shape}, expected {member} with {expected}; "
            "the file belongs to another run"
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


def predict_folder(run_folder: Path, source: Path, output: Path) -> int:
    """Writes a mask for every image under a file, folder or dataset root.

    Each mask has its image's shape, affine, relative path and name. A file that fails is
    reported in one line and the rest goes on.

    Returns:
        The number of files that failed.
    """
    files = find_inputs(source)
    if output.resolve() == files[0].root.resolve():
        raise UserError(f"--output {output}: would overwrite the images; choose another folder")
    if files[0].root.resolve() in output.resolve().parents:
        # Masks of an earlier call, inside the input folder, are no images.
        files = [f for f in files if output.resolve() not in f.image_path.resolve().parents]
    ensemble = Ensemble.load(run_folder)
    failed = 0
    for file in bar(files, "predict", unit="image"):
        target = output / file.relative_path
        try:
            prediction = ensemble.predict(file)
        except UserError as error:
            log.error("%s", error)
            failed += 1
            continue
        write_mask(target, prediction.mask, prediction.case)
    log.info("%d masks in %s, %d failed", len(files) - failed, output, failed)
    return failed
