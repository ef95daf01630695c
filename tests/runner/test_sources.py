"""The parts that read files which a training writes."""

import json
import math
import os
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runner.event_files import event, field, record, tensor_event, varint
from tuning_service.runner.merging import Merger, Point, Rank
from tuning_service.runner.scan import Scan
from tuning_service.runner.sources import MOST_FILES, Sources
from tuning_service.runner.tags import Tags
from tuning_service.runner.tail import Tail
from tuning_service.runner.tensorboard import EventReader, crc32c

EVENTS = Path(__file__).parent / "events"


def scalars(data, size=None):
    """What a reader finds in `data`, handed to it in parts of `size`."""
    reader = EventReader()
    size = size or max(1, len(data))
    found = [s for at in range(0, len(data), size) for s in reader.feed(data[at : at + size])]
    return found, reader.damage


def of(tag, found):
    return [(s.step, s.value) for s in found if s.tag == tag]


# -- event files


def test_check_sum_is_the_published_one():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720
    assert crc32c(b"\0" * 32) == 0x8A9136AA


def test_files_of_keras_tensorflow_torch_and_tensorboardx_are_read():
    def read(folder):
        found, damage = scalars((EVENTS / folder / "events.out.tfevents.1").read_bytes())
        assert damage == ""
        assert all(s.wall > 1.7e9 for s in found)
        return found

    assert [step for step, _ in of("epoch_loss", read("keras/train"))] == [0, 1, 2]
    assert of("epoch_loss", read("keras/validation"))[2] == (2, 0.9546987)
    assert of("val/loss", read("tf")) == [(0, 0.5), (1, 0.25), (2, 0.16666667)]
    assert of("Loss/val", read("torch")) == [(0, 1.0), (1, 0.5), (2, 0.33333334)]
    assert of("acc", read("torch")) == [(0, 0.5), (1, 0.6), (2, 0.7)]
    assert {s.tag for s in read("torch")} == {"Loss/val", "acc"}
    (five, nan), last = of("val_loss", read("x"))
    assert five == 5
    assert math.isnan(nan)
    assert last == (6, 0.25)


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        (field(1, 1) + field(4, struct.pack("<f", 0.5)), 0.5),
        (field(1, 1) + field(2, b"") + field(5, struct.pack("<f", 0.5)), 0.5),
        (field(1, 2) + field(4, struct.pack("<d", 0.1)), 0.1),
        (field(1, 2) + field(6, 0.1), 0.1),
        (field(1, 3) + field(7, -3), -3.0),
        (field(1, 9) + field(10, varint(-4)), -4.0),
        (field(1, 19) + field(4, struct.pack("<e", 1.5)), 1.5),
        (field(1, 19) + field(13, varint(struct.unpack("<H", struct.pack("<e", 1.5))[0])), 1.5),
        (field(1, 14) + field(4, struct.pack("<f", -2.0)[2:]), -2.0),
        (field(1, 1), 0.0),
        (field(1, 1) + field(4, struct.pack("<f", math.inf)), math.inf),
        (field(1, 1) + field(2, field(2, field(1, 2))) + field(4, struct.pack("<ff", 1, 2)), None),  # a vector
        (field(1, 7) + field(8, b"text"), None),
    ],
)
def test_scalar_tensors_of_every_type_are_read(tensor, value):
    found, damage = scalars(tensor_event(3, "loss", tensor))
    assert [s.value for s in found] == ([] if value is None else [value])
    assert damage == ""


def test_pictures_of_a_plugin_are_no_scalars():
    assert scalars(tensor_event(3, "image", field(1, 1) + field(4, struct.pack("<f", 0.5)), b"images"))[0] == []


@pytest.mark.parametrize("size", [1, 7, 13, 64])
def test_parts_of_any_size_give_the_same(size):
    data = (EVENTS / "keras/validation/events.out.tfevents.1").read_bytes()
    assert scalars(data, size) == scalars(data)


def test_a_file_cut_off_anywhere_gives_what_is_complete():
    data = event(1, loss=0.5) + event(2, loss=0.25)
    first = len(event(1, loss=0.5))
    for size in range(len(data)):
        found, damage = scalars(data[:size])
        assert of("loss", found) == [(1, 0.5)] * (size >= first)
        assert damage == ""


def test_a_long_record_is_passed_over():
    data = event(1, loss=0.5) + record(b"\x0a" * 3_000_000) + event(2, loss=0.25)
    assert of("loss", scalars(data, 500_000)[0]) == [(1, 0.5), (2, 0.25)]
    assert of("loss", scalars(data)[0]) == [(1, 0.5), (2, 0.25)]


def test_damage_is_told_and_what_can_be_read_is():
    good = event(1, loss=0.5)
    bad = bytearray(event(2, loss=0.25))
    bad[20] ^= 1
    found, damage = scalars(good + bad + event(3, loss=0.1))
    assert of("loss", found) == [(1, 0.5), (3, 0.1)]
    assert damage == f"the record at byte {len(good)} is damaged, and was left out"
    bad = bytearray(event(2, loss=0.25))
    bad[0] ^= 1
    found, damage = scalars(good + bad + event(3, loss=0.1))
    assert of("loss", found) == [(1, 0.5)]
    assert f"damaged at byte {len(good)}" in damage


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_make_the_reader_of_events_raise(data, size):
    scalars(data, size)
    scalars(record(data), size)


# -- names


@pytest.mark.parametrize(
    ("folder", "tag", "wanted", "metric"),
    [
        ("logs/train", "epoch_loss", "loss", "loss"),
        ("logs/train", "epoch_loss", "train_loss", "train_loss"),
        ("logs/validation", "epoch_loss", "val_loss", "val_loss"),
        ("logs/validation", "epoch_loss", "loss", "val_loss"),
        ("logs/validation", "epoch_accuracy", "Val Accuracy", "Val Accuracy"),
        ("", "val/loss", "val_loss", "val_loss"),
        ("runs/x", "Loss/val", "val_loss", "val_loss"),
        ("", "validation/epoch_loss", "val_loss", "val_loss"),
        ("", "val_loss", "val_loss", "val_loss"),
        ("", "loss", "val_loss", "loss"),
        ("", "train/loss", "val_loss", "train/loss"),
        ("lightning_logs/version_0", "train_loss_epoch", "train_loss", "train_loss"),
        ("lightning_logs/version_0", "train_loss_step", "train_loss", "train_loss_step"),
        ("lightning_logs/version_0", "epoch", "val_loss", "epoch"),
        ("model/eval", "loss", "eval_loss", "eval_loss"),
        ("torch/both_val", "both", "acc", "both/val"),
        ("Loss_val", "Loss", "val_loss", "val_loss"),
        ("", "eval/loss", "eval_loss", "eval_loss"),
    ],
)
def test_tags_are_named_as_the_job_names_them(folder, tag, wanted, metric):
    assert Tags([wanted]).metric(folder, tag)[0] == metric


def test_the_tag_that_is_spelled_as_the_metric_goes_before_one_that_is_like_it():
    tags = Tags(["val_loss"])
    likeness = [tags.metric("", tag)[1] for tag in ("val_loss", "Val-Loss", "loss/val")]
    assert likeness == sorted(set(likeness))


# -- merging


def merged(found, wanted=("loss",)):
    points = {}

    def withdraw(metric):
        for key in [key for key in points if key[0] == metric]:
            del points[key]

    merger = Merger(wanted, lambda p: points.__setitem__((p.metric, p.step), p.value), withdraw)
    for rank, point in found:
        merger.take(rank, point)
    return points


def test_the_end_does_not_depend_on_which_source_was_read_first():
    found = [(Rank(0), Point(s, "loss", s / 10)) for s in range(3)]
    found += [(Rank(1), Point(s, "loss", 9.0)) for s in range(5)]
    found += [(Rank(1, path=p), Point(1, "acc", v)) for p, v in (("b", 0.1), ("a", 0.2))]
    expected = {("loss", 0): 0.0, ("loss", 1): 0.1, ("loss", 2): 0.2, ("acc", 1): 0.2}
    for seed in range(50):
        shuffled = found[:]
        random.Random(seed).shuffle(shuffled)
        assert merged(shuffled) == expected


def test_names_without_end_are_bounded_and_wanted_ones_always_taken():
    found = [(Rank(0), Point(0, f"m{i}", 1.0)) for i in range(3000)] + [(Rank(0), Point(0, "loss", 1.0))]
    points = merged(found)
    assert len(points) == 1001
    assert ("loss", 0) in points


# -- following a file


def news(tail):
    """All that is new, and whether it begins anew."""
    pieces = []
    while (piece := tail.read(4)).data:
        pieces.append(piece)
    return b"".join(p.data for p in pieces), any(p.fresh for p in pieces)


def test_a_growing_file_that_comes_late(tmp_path):
    path = tmp_path / "log"
    tail = Tail(path)
    assert news(tail) == (b"", False)
    path.write_bytes(b"one")
    assert news(tail) == (b"one", False)
    with path.open("ab") as file:
        file.write(b" two")
    assert news(tail) == (b" two", False)
    assert news(tail) == (b"", False)


def test_what_was_there_before_is_passed_over(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * 200)
    tail = Tail(path, old=True)
    assert news(tail) == (b"", False)
    with path.open("ab") as file:
        file.write(b"new")
    assert news(tail) == (b"new", False)


@pytest.mark.parametrize("content", [b"", b"ab", b"other", b"anotherone"])
def test_a_file_that_is_written_anew_begins_anew(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(b"first")
    tail = Tail(path)
    assert news(tail)[0] == b"first"
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))  # the clock of the file system may be coarse
    assert news(tail) == (content, bool(content))


def test_a_rotated_file_is_read_to_its_end_first(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"one")
    tail = Tail(path)
    assert news(tail)[0] == b"one"
    with path.open("ab") as file:
        file.write(b" more")
        file.flush()
        path.rename(tmp_path / "log.1")
        assert news(tail) == (b" more", False)
        file.write(b" last")
        file.flush()
        path.write_bytes(b"two")
    assert news(tail) == (b" lasttwo", True)
    assert len(tail.identities) == 2
    path.unlink()
    assert news(tail) == (b"", False)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "folder", "absent"):
        assert news(Tail(tmp_path / name)) == (b"", False)


# -- finding files


def found_by(folder, *patterns):
    return {(match.pattern, match.name) for match in Scan([folder], patterns).matches()}


def test_patterns_match_as_shells_match(tmp_path):
    for name in ("a.log", "logs/b.log", "logs/deep/c.log", ".git/d.log", "logs/[x].txt", "logs/e.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert found_by(tmp_path, "*.log") == {(0, "a.log")}
    assert found_by(tmp_path, "*/*.log") == {(0, "logs/b.log")}
    assert found_by(tmp_path, "**/*.log") == {(0, "a.log"), (0, "logs/b.log"), (0, "logs/deep/c.log")}
    assert found_by(tmp_path, "logs/**") == {
        *((0, f"logs/{name}") for name in ("b.log", "deep/c.log", "[x].txt", "e.txt"))
    }
    assert found_by(tmp_path, "logs/?.log", "./logs/*.log") == {(0, "logs/b.log")}
    assert found_by(tmp_path, "logs/[[]x].txt", "a.log", "b.log") == {(0, "logs/[x].txt"), (1, "a.log")}
    assert found_by(tmp_path, "**/e.txt", "logs/e.txt") == {(0, "logs/e.txt")}
    assert found_by(tmp_path, "**/" * 60 + "*a*a*a*a*a*a*a*a*b") == set()


def test_links_in_circles_do_no_harm_and_a_plain_path_leads_through_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.log").write_text("")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to("real")
    assert found_by(tmp_path, "**/*.log") == {(0, "real/a.log")}
    assert found_by(tmp_path, "link/a.log") == {(0, "link/a.log")}


def test_a_pass_over_very_many_files_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("tuning_service.runner.scan.MOST_ENTRIES", 50)
    (tmp_path / "data").mkdir()
    for index in range(100):
        (tmp_path / "data" / f"{index}").write_text("")
    (tmp_path / "a.log").write_text("")
    scan = Scan([tmp_path], ["**/*.log"])
    assert [match.name for match in scan.matches()] == ["a.log"]
    assert not scan.complete


# -- all together

ALL = [
    {"kind": "val_dict_list", "path": "**/val_dict_list.json"},
    {"kind": "evaluation_metrics", "path": "**/evaluation-metrics.txt"},
    {"kind": "text", "path": "logs/*"},
    {"kind": "output"},
    {"kind": "tensorboard", "path": "**/*tfevents*"},
]


@pytest.fixture
def opened(tmp_path):
    """Makes `Sources` over a folder, and reads all that is left."""

    class Opened:
        folder = tmp_path

        def __init__(self):
            self.sources = None

        def start(self, *metrics, entries=ALL):
            parser = {"formats": ["json", "pairs"], "patterns": [], "metrics": list(metrics), "sources": entries}
            self.sources = Sources(parser, [("", tmp_path)])
            self.sources.start()
            return self.sources

        def write(self, name, data):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())

        def rest(self, *, ended=True):
            """(metric, step): value, of the series that count."""
            return merged([pair for found in self.sources.rest(ended=ended) for pair in found], ())

    return Opened()


def test_each_kind_of_file_gives_its_values(opened):
    opened.start("loss", "val_acc")
    opened.write("logs/a.log", "epoch 1 loss=0.5\nepoch 2 loss=0.4")
    opened.write("runs/1/events.out.tfevents.1", event(1, **{"val.acc": 0.75}))
    opened.write("val_dict_list.json", '[{"step": 1, "top5": 0.9}, {"steps": 2, "top5": "0.95", "name": "x"}]')
    lines = [
        {
            "meta": {"training_id": "x", "time": 1e12, "rindex": 1, "subid": None},
            "grouplabel": group,
            "etimes": {"iteration": {"type": 2, "value": "7"}, "time_stamp": {"value": 1e12}},
            "values": {"recall": {"type": 3, "value": value}},
        }
        for group, value in (("test", "0.1"), ("train", "0.2"))
    ]
    opened.write("sub/evaluation-metrics.txt", "\n".join(map(json.dumps, lines)))
    assert opened.rest() == {
        ("loss", 1): 0.5,
        ("loss", 2): 0.4,
        ("val_acc", 1): 0.75,
        ("top5", 1): 0.9,
        ("top5", 2): 0.95,
        ("recall", 7): 0.1,
        ("train_recall", 7): 0.2,
    }


def test_the_order_of_sources_decides_who_gives_a_metric(opened):
    opened.start("loss")
    opened.write("runs/events.out.tfevents.1", event(1, loss=5.0))
    assert opened.rest() == {("loss", 1): 5.0}
    opened.start("loss")
    opened.write("logs/a.log", "step 1 loss=3\nstep 2 loss=2\n")
    opened.write("runs/events.out.tfevents.2", event(9, loss=5.0))
    opened.write("val_dict_list.json", '[{"loss": 1}, {"loss": 0.5}]')
    assert opened.rest() == {("loss", 0): 1.0, ("loss", 1): 0.5}


def test_what_the_program_brought_along_does_not_count(opened):
    opened.write("logs/a.log", "step 1 loss=9\n")
    opened.write("runs/events.out.tfevents.1", event(1, acc=9.0))
    opened.write("val_dict_list.json", '[{"step": 1, "top5": 9}]')
    opened.start("loss")
    assert opened.rest() == {}
    opened.start("loss")
    with (opened.folder / "logs/a.log").open("a") as file:
        file.write("step 2 loss=1\n")
    with (opened.folder / "runs/events.out.tfevents.1").open("ab") as file:
        file.write(event(2, acc=0.5))
    opened.write("val_dict_list.json", '[{"step": 2, "top5": 0.25}]')
    assert opened.rest() == {("loss", 2): 1.0, ("acc", 2): 0.5, ("top5", 2): 0.25}


@pytest.mark.parametrize(("ended", "last"), [(True, {("loss", 2): 0.25}), (False, {})])
def test_a_line_without_an_end_counts_when_nothing_was_cut_off(opened, ended, last):
    opened.start("loss")
    opened.write("logs/a.log", "step 1 loss=0.5\nstep 2 loss=0.25")
    assert opened.rest(ended=ended) == {("loss", 1): 0.5} | last


def test_of_an_array_that_was_cut_off_the_complete_objects_count(opened):
    whole = json.dumps([{"step": s, "loss": s / 10} for s in range(3)], indent=1)
    for size in range(len(whole)):
        opened.start("loss")
        opened.write("val_dict_list.json", whole[:size])
        assert len(opened.rest(ended=False)) == whole[:size].count("}")


@pytest.mark.parametrize("replace", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("name", ["val_dict_list.json", "evaluation-metrics.txt", "logs/a", "tfevents"])
def test_a_file_in_whose_place_comes_something_without_an_end_is_not_waited_for(opened, name, replace):
    sources = opened.start("loss")
    opened.write(name, '[{"step": 1, "loss": 0.5}]' if name.endswith(".json") else "loss=0.5\n")
    before = merged(sources.poll(), ())
    assert len(before) == (name in {"val_dict_list.json", "logs/a"})
    (opened.folder / name).unlink()
    replace(opened.folder / name)
    assert opened.rest() == {}


def test_each_file_of_a_rotated_log_is_read_once(opened):
    sources = opened.start("loss")
    points = []
    for number in range(5):
        opened.write("logs/train.log", f"step {number} loss={number}\n")
        sources._poll_at = sources._scan_at = 0
        points += [point.step for _, point in sources.poll()]
        for old in range(number, 0, -1):
            (opened.folder / f"logs/train.log.{old}").rename(opened.folder / f"logs/train.log.{old + 1}")
        (opened.folder / "logs/train.log").rename(opened.folder / "logs/train.log.1")
    assert points == [0, 1, 2, 3, 4]
    assert opened.rest() == {}


def test_the_first_of_several_files_that_give_a_metric_counts(opened):
    opened.start("loss")
    for rank in (1, 0, 2):
        opened.write(f"logs/rank{rank}.log", f"step 1 loss={rank}\n")
    assert opened.rest() == {("loss", 1): 0.0}


def test_binary_files_and_too_many_files_are_told(opened):
    sources = opened.start("loss")
    opened.write("logs/0.bin", b"\x80\0loss=3\n")
    for index in range(MOST_FILES):
        opened.write(f"logs/{index:03}.log", f"m{index}={index}\n")
    assert len(opened.rest()) == MOST_FILES - 1
    told = sources.explain("loss")
    assert "logs/0.bin: gave no metric; is no text" in told
    assert f"more files than the {MOST_FILES} that are read" in told
    assert "logs/000.log: gave m0" in told
    assert len(told) < 4000


def test_explanation_names_what_was_looked_for_and_seen(opened):
    sources = opened.start("val_loss")
    opened.rest()
    assert "**/val_dict_list.json" in sources.explain("val_loss")
    assert "None was written." in sources.explain("val_loss")
    sources = opened.start("val_loss")
    opened.write("runs/validation/events.out.tfevents.1", event(1, epoch_mae=0.5))
    opened.write("logs/a.log", "the val loss is about 3\n")
    opened.rest()
    told = sources.explain("val_loss")
    assert "runs/validation/events.out.tfevents.1: gave val_mae (epoch_mae)" in told
    assert "the val loss is about 3" in told


def test_a_file_that_nobody_named_and_that_has_the_metric_is_named(opened):
    opened.write("notes.log", "val_loss=9\n")
    os.utime(opened.folder / "notes.log", (1, 1))  # brought along
    sources = opened.start("val_loss")
    opened.write("a.log", "epoch 1 loss=3\n")
    opened.write("run/train.txt", "step 1 val_loss=0.5")
    opened.write("run/later.log", b"\0\1")
    opened.rest()
    told = sources.explain("val_loss")
    assert "run/train.txt was written and not read, and has val_loss." in told
    assert '\n  log_files: ["run/train.txt"]' in told
    assert "was written and not read" not in sources.explain("val_accuracy")
    named = opened.start("val_loss", entries=[*ALL, {"kind": "text", "path": "run/*"}])
    opened.rest()
    assert "notes.log" not in named.explain("val_loss")


def test_without_sources_nothing_is_looked_for(opened):
    sources = opened.start("loss", entries=[])
    opened.write("val_dict_list.json", '[{"loss": 1}]')
    assert opened.rest() == {}
    assert sources.explain("loss") == ""
    assert sources.poll() == []


@given(st.binary(max_size=400))
def test_no_content_makes_a_source_raise(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    parser = {"formats": ["json", "pairs"], "patterns": [], "metrics": ["loss"], "sources": ALL}
    sources = Sources(parser, [("", folder)])
    sources.start()
    (folder / "logs").mkdir()
    for name in ("val_dict_list.json", "evaluation-metrics.txt", "logs/a", "x.tfevents.1"):
        (folder / name).write_bytes(data)
    for ended in (True, False):
        list(sources.rest(ended=ended))
    sources.explain("loss")


KEYS = st.sampled_from(["values", "etimes", "meta", "time", "step", "steps", "grouplabel", "loss", "value"])
PLAIN = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)))
def test_no_json_makes_a_source_raise(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("fuzz")
    parser = {"formats": ["json", "pairs"], "patterns": [], "metrics": ["loss"], "sources": ALL}
    sources = Sources(parser, [("", folder)])
    sources.start()
    (folder / "val_dict_list.json").write_text(json.dumps([value]))
    (folder / "evaluation-metrics.txt").write_text(json.dumps(value) + "\n")
    list(sources.rest(ended=True))
