"""What the data layers read, transform and refuse."""

import numpy as np
import pytest
import torch
from PIL import Image

from tuning_service.caffe import wire
from tuning_service.caffe.checks import CheckFailed
from tuning_service.caffe.data import Feed, LabelRange, Origin, make_reader
from tuning_service.caffe.schema import Datum
from tuning_service.caffe.text import read_net

CPU = torch.device("cpu")


def reader(folder, text, *, training=True, seed=1):
    layer = read_net(f'layer {{ name: "d" top: "data" top: "label" {text} }}').layer[0]
    return make_reader(layer, "d", Origin(folder=folder, training=training, seed=seed))


def data_layer(source, batch=2, transform=""):
    return f'type: "Data" transform_param {{ {transform} }} data_param {{ source: "{source}" batch_size: {batch} }}'


def lmdb_of(folder, datums):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for index, datum in enumerate(datums):
            transaction.put(b"%08d" % index, datum.SerializeToString())


def png(path, colour, size=(4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_lmdb_is_read_in_order_and_round_and_round(tmp_path):
    pixels = np.arange(3 * 12, dtype=np.uint8).reshape(3, 1, 3, 4)
    lmdb_of(
        tmp_path / "db",
        [Datum(channels=1, height=3, width=4, data=p.tobytes(), label=i) for i, p in enumerate(pixels)],
    )
    made = reader(tmp_path, data_layer("db", transform="scale: 0.5"))
    assert made.shapes == ((2, 1, 3, 4), (2,))
    assert [made.batch(n)[1].tolist() for n in range(3)] == [[0, 1], [2, 0], [1, 2]]
    np.testing.assert_array_equal(made.batch(0)[0], pixels[:2] / 2)


def test_lmdb_of_floats_and_of_encoded_images(tmp_path):
    lmdb_of(tmp_path / "floats", [Datum(channels=2, height=1, width=1, float_data=[0.5, -1.5], label=4)])
    images, labels = reader(tmp_path, data_layer("floats", 1)).batch(0)
    assert (images.ravel().tolist(), labels.tolist()) == ([0.5, -1.5], [4])
    blue = png(tmp_path / "x.png", (1, 2, 250)).read_bytes()
    lmdb_of(tmp_path / "encoded", [Datum(data=blue, encoded=True, label=0)])
    images, _ = reader(tmp_path, data_layer("encoded", 1)).batch(0)
    assert images[0, :, 0, 0].tolist() == [250, 2, 1]  # blue first, as Caffe has it


def test_a_record_that_is_no_datum_is_named(tmp_path):
    lmdb_of(tmp_path / "db", [Datum(channels=1, height=2, width=2, data=b"abc", label=0)])
    with pytest.raises(CheckFailed, match=r"record '00000000' of .*db has 3 values, and says that its shape is"):
        reader(tmp_path, data_layer("db"))


def test_folders_of_classes_are_shuffled_anew_each_round(tmp_path):
    for label, name in enumerate(["ants", "bees"]):
        for i in range(5):
            png(tmp_path / "train" / name / f"{i}.png", (0, 0, 10 * label + i))
    made = reader(tmp_path, data_layer("train", 10))
    rounds = [made.batch(n) for n in range(2)]
    first, second = [[int(image[0, 0, 0]) for image in images] for images, _ in rounds]
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert first != second
    for images, labels in rounds:
        assert [int(image[0, 0, 0]) // 10 for image in images] == labels.tolist()
    np.testing.assert_array_equal(reader(tmp_path, data_layer("train", 10)).batch(1)[0], rounds[1][0])
    ordered = reader(tmp_path, data_layer("train", 10), training=False).batch(0)
    assert [int(image[0, 0, 0]) for image in ordered[0]] == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_numpy_files(tmp_path):
    data, label = np.arange(24.0).reshape(3, 2, 4), np.array([2, 0, 1])
    np.savez(tmp_path / "a.npz", data=data, label=label)
    images, labels = reader(tmp_path, data_layer("a.npz", 3), training=False).batch(0)
    np.testing.assert_array_equal(images, data[:, None])
    assert labels.tolist() == [2, 0, 1]
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "data.npy", data.reshape(3, 8))
    np.save(tmp_path / "folder" / "label.npy", label)
    rows, _ = reader(tmp_path, data_layer("folder", 3), training=False).batch(0)
    np.testing.assert_array_equal(rows, data.reshape(3, 8))


def test_image_lists(tmp_path):
    png(tmp_path / "images" / "a b.png", (255, 0, 0), size=(8, 8))
    png(tmp_path / "images" / "c.png", (0, 0, 255), size=(5, 9))
    (tmp_path / "list.txt").write_text("a b.png 1\nc.png 0\n")
    param = 'source: "list.txt" root_folder: "images/" batch_size: 2 new_height: 6 new_width: 4'
    images, labels = reader(tmp_path, f'type: "ImageData" image_data_param {{ {param} }}').batch(0)
    assert images.shape == (2, 3, 6, 4)
    assert images[:, :, 0, 0].tolist() == [[0, 0, 255], [255, 0, 0]]
    assert labels.tolist() == [1, 0]
    grey = reader(tmp_path, f'type: "ImageData" image_data_param {{ {param} is_color: false }}').batch(0)[0]
    assert grey.shape == (2, 1, 6, 4)
    assert grey[0, 0, 0, 0] == 76  # the eye's weights: 0.299 of red


def test_hdf5_files_give_data_sets_by_name(tmp_path):
    h5py = pytest.importorskip("h5py")
    for name, first in (("one.h5", 0), ("two.h5", 3)):
        with h5py.File(tmp_path / name, "w") as file:
            file["data"] = np.arange(first, first + 3)[:, None] * np.ones((3, 2))
            file["label"] = np.arange(first, first + 3)
    (tmp_path / "list.txt").write_text("one.h5\ntwo.h5\n")
    made = reader(tmp_path, 'type: "HDF5Data" hdf5_data_param { source: "list.txt" batch_size: 4 }')
    assert [made.batch(n)[1].tolist() for n in range(2)] == [[0, 1, 2, 3], [4, 5, 0, 1]]
    assert made.batch(0)[0].tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    mixed = reader(tmp_path, 'type: "HDF5Data" hdf5_data_param { source: "list.txt" batch_size: 6 shuffle: true }')
    assert sorted(mixed.batch(0)[1]) == [0, 1, 2, 3, 4, 5]
    assert mixed.batch(0)[1].tolist() != mixed.batch(1)[1].tolist()


def test_dummy_data_draws_anew_unless_constant(tmp_path):
    param = "shape { dim: 2 dim: 3 } shape { dim: 2 }"
    fixed = reader(tmp_path, f'type: "DummyData" dummy_data_param {{ {param} data_filler {{ value: 4 }} }}')
    assert fixed.batch(0)[0].tolist() == [[4, 4, 4], [4, 4, 4]]
    drawn = reader(tmp_path, f'type: "DummyData" dummy_data_param {{ {param} data_filler {{ type: "uniform" }} }}')
    assert drawn.batch(0)[0].tolist() == drawn.batch(0)[0].tolist() != drawn.batch(1)[0].tolist()


def numbered(tmp_path, size=6):
    """One image per item, each pixel telling its place."""
    data = np.arange(4 * size * size, dtype=np.float32).reshape(4, 1, size, size)
    np.savez(tmp_path / "n.npz", data=data, label=np.zeros(4))
    return data


def test_crops_are_central_in_tests_and_anywhere_in_training(tmp_path):
    data = numbered(tmp_path)
    made = reader(tmp_path, data_layer("n.npz", 4, "crop_size: 3"), training=False).batch(0)[0]
    np.testing.assert_array_equal(made, data[:, :, 1:4, 1:4])
    training = reader(tmp_path, data_layer("n.npz", 4, "crop_size: 3"))
    corners = {int(image[0, 0, 0]) % 36 for n in range(100) for image in training.batch(n)[0]}
    assert corners == {6 * row + column for row in range(4) for column in range(4)}


def test_means_go_with_their_places_and_mirrors_come_last(tmp_path):
    data = numbered(tmp_path)
    (tmp_path / "mean.binaryproto").write_bytes(wire.write_blob(data[0]))
    np.save(tmp_path / "mean.npy", data[0])
    for mean in ("mean.binaryproto", "mean.npy"):
        text = f'crop_size: 3 mirror: true scale: 2 mean_file: "{mean}"'
        batches = [reader(tmp_path, data_layer("n.npz", 4, text)).batch(n)[0] for n in range(5)]
        # Less its mean, every pixel of an item tells the item's number, wherever it was cut and turned.
        assert {float(v) for batch in batches for v in batch.ravel()} == {0.0, 72.0, 144.0, 216.0}
    turned = reader(tmp_path, data_layer("n.npz", 4, "mirror: true mean_value: 1"))
    steps = {float(image[0, 0, 1] - image[0, 0, 0]) for n in range(10) for image in turned.batch(n)[0]}
    assert steps == {1.0, -1.0}


@pytest.mark.parametrize(
    ("make", "text", "message"),
    [
        (lambda d: (d / "x").mkdir(), data_layer("x"), r"the data folder .*x is empty"),
        (lambda d: (d / "x" / "cats").mkdir(parents=True), data_layer("x"), "has no images"),
        (lambda d: None, data_layer("x"), r"the data source .*x does not exist"),
        (lambda d: (d / "x.npz").write_bytes(b"no zip"), data_layer("x.npz"), "cannot be read as a numpy file"),
        (lambda d: np.savez(d / "x.npz", data=np.zeros(3)), data_layer("x.npz"), "has no array named label"),
        (
            lambda d: np.savez(d / "x.npz", data=np.zeros((3, 1, 2, 2)), label=np.zeros(2)),
            data_layer("x.npz"),
            "must be as many",
        ),
        (numbered, data_layer("n.npz", 1, "crop_size: 7"), "crop_size 7 is larger than an image of 6 x 6"),
        (
            lambda d: (d / "l.txt").write_text("a.png one\n"),
            'type: "ImageData" image_data_param { source: "l.txt" }',
            'line 1 of .* is not "file label"',
        ),
        (
            lambda d: (d / "l.txt").write_text("a.h5\n"),
            'type: "HDF5Data" hdf5_data_param { source: "l.txt" batch_size: 1 }',
            "cannot be read as HDF5",
        ),
    ],
)
def test_data_that_cannot_be_read(tmp_path, make, text, message):
    make(tmp_path)
    with pytest.raises(CheckFailed, match=message) as caught:
        reader(tmp_path, text)
    assert str(caught.value).startswith('layer "d": ')


def test_a_broken_image_stops_the_training_and_is_named(tmp_path):
    for i in range(3):
        png(tmp_path / "x" / "a" / f"{i}.png", (i, i, i))
    broken = tmp_path / "x" / "a" / "1.png"
    broken.write_bytes(broken.read_bytes()[:40])
    made = reader(tmp_path, data_layer("x", 1), training=False)
    feed = Feed([(("data", "label"), made)], {}, CPU)
    assert float(feed.next()["data"][0, 0, 0, 0]) == 0
    with pytest.raises(CheckFailed, match=r"Could not load .*1\.png"):
        feed.next()
    feed.close()


def test_images_of_several_sizes_are_told_apart(tmp_path):
    png(tmp_path / "x" / "a" / "0.png", (0, 0, 0))
    png(tmp_path / "x" / "a" / "1.png", (0, 0, 0), size=(9, 9))
    made = reader(tmp_path, data_layer("x"), training=False)
    with pytest.raises(CheckFailed, match=r"1\.png has the shape \(3, 9, 9\).*crop_size"):
        made.batch(0)


@pytest.mark.parametrize(("label", "shown"), [(3, "3"), (-1, "-1"), (0.5, "0.5")])
def test_labels_out_of_range_are_named(tmp_path, label, shown):
    np.savez(tmp_path / "x.npz", data=np.zeros((2, 1, 2, 2)), label=np.array([0, label]))
    made = reader(tmp_path, data_layer("x.npz"), training=False)
    feed = Feed([(("data", "label"), made)], {"label": LabelRange(3, None, "loss")}, CPU)
    with pytest.raises(CheckFailed, match=rf'item 1 of .*x.npz has the label {shown}; layer "loss" has 3 classes'):
        feed.next()
    ignoring = Feed([(("data", "label"), made)], {"label": LabelRange(3, label, "loss")}, CPU)
    assert ignoring.next()["label"].tolist() == [0, label]
    ignoring.close()


def test_sources_are_looked_for_beside_the_net_then_under_data_dir(tmp_path, monkeypatch):
    (tmp_path / "net").mkdir()
    (tmp_path / "data").mkdir()
    numbered(tmp_path / "data")
    with pytest.raises(CheckFailed, match="does not exist"):
        reader(tmp_path / "net", data_layer("n.npz"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    assert reader(tmp_path / "net", data_layer("n.npz"), training=False).batch(0)[0][0, 0, 0, 1] == 1


def test_a_feed_goes_on_at_any_batch(tmp_path):
    np.savez(tmp_path / "x.npz", data=np.zeros((7, 1, 1, 1)), label=np.arange(7))
    feed = Feed([(("data", "label"), reader(tmp_path, data_layer("x.npz", 3)))], {}, CPU)
    seen = [feed.next()["label"].tolist() for _ in range(5)]
    feed.seek(2)
    assert [feed.next()["label"].tolist() for _ in range(3)] == seen[2:]
    assert feed.number == 5
    feed.close()
