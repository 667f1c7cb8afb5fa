"""Tagging recordings with a user's own model, and what the table is read back as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from click.testing import CliRunner
from onnx import TensorProto, helper

from listen_edge.cli.root import cli
from listen_edge.errors import AudioError, BackendError
from listen_edge.train.datasets.soft_tags import read_soft_tags
from listen_edge.train.tagging import Tagger, tag_folder

N = 1600  # samples of the made-up tagger's window


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tagger of two classes: how loud a window is at its loudest, and half of that."""
    nodes = [
        helper.make_node("Abs", ["x"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["loud"], keepdims=0),
        helper.make_node("Mul", ["loud", "scales"], ["scores"]),
    ]
    scales = helper.make_tensor("scales", TensorProto.FLOAT, [1, 2], [1.0, 0.5])
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, N])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2])],
        [scales],
    )
    path = tmp_path / "tagger.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, path)
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.csv"
    path.write_text('index,mid,display_name\n0,/m/1,"Bark, loud"\n1,/m/2,Dog\n')
    return path


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    (folder / "deep").mkdir(parents=True)
    samples = np.zeros(5 * N)
    samples[-10:] = 0.8  # in the last window alone
    soundfile.write(folder / "deep/late.wav", samples, 16_000, "FLOAT")
    soundfile.write(folder / "quiet.wav", np.full(2000, 0.012), 16_000, "FLOAT")
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


def test_a_class_has_its_highest_probability_of_all_windows(
    model: Path, classes: Path, recordings: Path, tmp_path: Path
) -> None:
    target = tmp_path / "tags.tsv.gz"
    tagged = {path.name: n for path, n in tag_folder(recordings, Tagger(model, classes), target)}
    assert tagged == {"late.wav": 2, "quiet.wav": 1, "broken.wav": None}
    assert read_soft_tags(target) == {
        "late.wav": {"Bark, loud": 0.8, "Dog": 0.4},
        "quiet.wav": {"Bark, loud": 0.012},
    }


def test_the_command_writes_the_table_into_the_folder(
    model: Path, classes: Path, recordings: Path
) -> None:
    arguments = ["tag", str(recordings), "--tagger", str(model), "--classes", str(classes)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "2 recordings tagged, 1 cannot be read: broken.wav" in done.stderr
    assert {*read_soft_tags(recordings / "tags.tsv.gz")} == {"late.wav", "quiet.wav"}


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("none.onnx", None, "no such tagger"),
        ("tagger.pt", b"x", "expected a .tflite or .onnx file"),
        ("bad.onnx", b"x", "not an ONNX model"),
    ],
)
def test_what_is_no_tagger_is_one_line(
    tmp_path: Path, classes: Path, name: str, content: bytes | None, error: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BackendError, match=error):
        Tagger(tmp_path / name, classes)


def test_a_list_of_other_classes_is_refused(model: Path, classes: Path) -> None:
    classes.write_text("display_name\nDog\n")
    with pytest.raises(BackendError, match=r"gives 2 probabilities, .* names 1 classes"):
        Tagger(model, classes)


def test_a_folder_without_recordings_is_refused(model: Path, classes: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no recordings in it"):
        list(tag_folder(tmp_path / "empty", Tagger(model, classes), tmp_path / "tags.tsv"))
    assert not (tmp_path / "tags.tsv").exists()
