"""Configurations that are none."""

from collections.abc import Iterator

from tests.support.bad_input.case import BadInput
from tests.support.paths import REPO

ALIASES = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"]
    + [
        f"{one}: &{one} [{', '.join([f'*{other}'] * 9)}]"
        for one, other in zip("bcdefghij", "abcdefghi", strict=True)
    ]
)
CONFIG = "data: {dataset: acdc, root: %s}\n"
YAML = {
    "empty": "",
    "a list": "- 1\n- 2\n",
    "a number": "7\n",
    "a text": "text\n",
    "tabs": "data:\n\tdataset: acdc\n",
    "an open quote": 'data: {dataset: "acdc}\n',
    "an open bracket": "data: {dataset: acdc\n",
    "an alias bomb": ALIASES,
    "an alias to itself": "data: &a {root: *a}\n",
    "a merge": "x: &a {dataset: acdc}\ndata: {<<: *a, root: x}\n",
    "a python object": "data: !!python/object/apply:os.getcwd []\n",
    "a python name": "data: !!python/name:os.system\n",
    "an unknown tag": "data: !foo {dataset: acdc}\n",
    "deep lists": "a: " + "[" * 40_000,
    "deep sections": "{a: " * 20_000,
    "deep and closed": "a: " + "[" * 3000 + "]" * 3000,
    "too long": "a: " + "x" * 200_000,
    "binary": bytes(range(256)),
    "zeros": bytes(300),
    "UTF-16": CONFIG.encode("utf-16"),
    "a control character": "data: \x07\n",
    "a key that is a list": "? [a, b]\n: 1\n",
    "a key that is a section": "? {a: 1}\n: 1\n",
    "two documents": CONFIG + "---\n" + CONFIG,
    "a set": "data: !!set {a, b}\n",
    "a date": "data: 2020-01-01\n",
    "a date that is none": "data: 2020-13-45\n",
    "binary that is none": "data: !!binary '@@@'\n",
    "a base that is itself": "extends: config.yaml\n",
    "a base that is missing": "extends: nothing.yaml\n",
    "a base that is a folder": "extends: .\n",
    "a base that is a list": "extends: [a]\n",
    "an unknown section": CONFIG + "trains: {epochs: 3}\n",
    "an unknown key": CONFIG + "train: {epoch: 3}\n",
    "a section that is a list": CONFIG + "train: [1]\n",
    "a section that is nothing": CONFIG + "train:\n",
    "NaN": CONFIG + "train: {learning_rate: .nan}\n",
    "infinity": CONFIG + "train: {learning_rate: .inf}\n",
    "a negative number": CONFIG + "train: {epochs: -1}\n",
    "a fraction of an epoch": CONFIG + "train: {epochs: 1.5}\n",
    "true for a number": CONFIG + "train: {epochs: true}\n",
    "a number of a thousand digits": CONFIG + f"train: {{epochs: {'9' * 1000}}}\n",
    "a number of ten thousand digits": CONFIG + f"train: {{epochs: {'9' * 10_000}}}\n",
    "a network grid of nothing": CONFIG + "preprocess: {size: [0, 0]}\n",
    "a network grid as large as the moon": CONFIG + "preprocess: {size: [320000000, 32]}\n",
    "as many filters as pixels": CONFIG + "networks: {unet_advanced: {filters: 100000}}\n",
    "a member twice": CONFIG + "members: [unet_advanced, unet_advanced]\n",
    "no member": CONFIG + "members: []\n",
    "shares that leave nothing": CONFIG + "split: {test: .6, validation: .6}\n",
}


def bad_yaml() -> Iterator[BadInput]:
    """Configurations that are none."""

    def bad(name, text):
        def write(folder, run):
            path = folder / "config.yaml"
            if isinstance(text, bytes):
                path.write_bytes(text)
            else:
                data = str(run.parent / "phantoms")  # nothing is wrong with these
                path.write_text(text.replace("%s", data), encoding="utf-8")
            return ["train", "--config", str(path), "--run-dir", str(folder / "run")]

        return BadInput("YAML", name, write)

    for name, text in YAML.items():
        yield bad(name, text)

    def a_folder(folder, run):
        (folder / "config.yaml").mkdir()
        return ["train", "--config", str(folder / "config.yaml")]

    yield BadInput("YAML", "a folder", a_folder)
    yield BadInput("YAML", "missing", lambda f, run: ["train", "--config", str(f / "config.yaml")])
    demo = ["train", "--config", str(REPO / "configs" / "demo.yaml"), "--set"]
    for name, text in (("no value", "train.epochs"), ("no YAML", "train.epochs=[")):
        yield BadInput("YAML", f"--set with {name}", lambda f, run, text=text: [*demo, text])
