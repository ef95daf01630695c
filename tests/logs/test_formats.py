"""Formats beyond what the corpus shows: states that last over lines, names that stay apart, processes, time."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.corpus.samples import HERE, SAMPLES
from tuning_service.logs import FORMATS_FOR, LineSplitter, LogParser, build_parser

FRAMEWORKS = sorted(FORMATS_FOR)


def parser(metrics=("val_loss",), framework="command", patterns=()):
    return build_parser({"formats": FORMATS_FOR[framework], "patterns": list(patterns), "metrics": list(metrics)})


def read(*lines, **options):
    one = parser(**options)
    found = [reading for line in lines for reading in one.feed(line)]
    return [(r.metric, r.step, r.value) for r in [*found, *one.finish()]]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["train loss=0.3 val loss=0.4"], {"loss": 0.3, "val_loss": 0.4}),
        (["Train - loss: 0.3, acc: 0.9 | Validation - loss: 0.4, acc: 0.8"],
         {"loss": 0.3, "acc": 0.9, "val_loss": 0.4, "val_acc": 0.8}),
        (["[valid] loss: 0.4 lr: 0.01"], {"val_loss": 0.4, "lr": 0.01}),
        (["Test Epoch: 3 Loss: 0.4"], {"test_loss": 0.4}),
        (["validation loss: 0.4"], {"val_loss": 0.4}),
        (["eval | loss: 0.4"], {"eval_loss": 0.4}),
        (["validation_loss=0.4 valid/acc: 0.9"], {"val_loss": 0.4, "valid/acc": 0.9}),
        (["INFO:train:loss=0.5", "loss=0.4"], {"loss": 0.4}),
        (['{"validation": {"loss": 0.4}, "train": {"loss": 0.3}}'], {"val_loss": 0.4, "train/loss": 0.3}),
        (['{"val_loss": "0.4", "lr": "0.1", "run": "3"}'], {"val_loss": 0.4}),
        (['{"epoch": "3", "validation": {"loss": "4e-1"}}'], {"val_loss": 0.4}),
        (["Test set: Average loss: 0.05, Accuracy: 9870/10000 (99%)"], {"test_loss": 0.05, "test_accuracy": 0.987}),
        (["Test set: Accuracy: 0/0 (nan%)"], {}),
    ],
)  # fmt: skip
def test_training_and_validation_of_one_name_stay_apart(lines, expected):
    assert {metric: value for metric, _, value in read(*lines)} == expected


@pytest.mark.parametrize("number", ["0,5", "12,25", "100,5", "1,234.5", "1,234"])
def test_a_comma_within_a_number_is_not_taken_for_its_end(number):
    assert read(f"val_loss={number} acc: {number}") == []


@pytest.mark.parametrize(
    "line", ["val_loss=1,acc=2", "val_loss: 1, 2", "val_loss=1,", "val_loss=0.5,3", "(val_loss=1,)"]
)
def test_a_comma_behind_a_number_is_its_end(line):
    assert read(line)[0] in {("val_loss", 0, 1), ("val_loss", 0, 0.5)}


def test_what_launchers_and_libraries_say_of_themselves_is_no_metric():
    lines = [
        "To turn them off, set the environment variable `TF_ENABLE_ONEDNN_OPTS=0`.",
        "OMP_NUM_THREADS=1",
        "E1121 api.py:1002] failed (exitcode: 7) local_rank: 1 (pid: 9544) of binary: /usr/bin/python",
        "  rank      : 1 (local_rank: 1)",
        "  exitcode  : -9 (pid: 10287)",
    ]
    assert read(*lines) == []
    assert read("rank: 3", metrics=["rank"]) == [("rank", 0, 3)]


def test_a_validation_is_never_satisfied_by_the_training():
    for line in ("loss=0.5", "Train Epoch: 1 [0/9 (0%)]\tLoss: 0.5", "{'loss': 0.5}", '{"loss": 0.5}',
                 "I0102 12:30:01.123456  4242 solver.cpp:219] Iteration 3, loss = 0.5"):  # fmt: skip
        assert [metric for metric, _, _ in read(line)] == ["loss"], line


def test_train_is_part_of_the_name_where_the_job_asks_for_it():
    line = "Train Epoch: 1 [0/9 (0%)]\tLoss: 0.5"
    assert read(line, metrics=["train_loss"]) == [("train_loss", 1, 0.5)]
    assert read(line, metrics=["loss"]) == [("loss", 1, 0.5)]


BAR = "\rEpoch {}: {:3d}%|###| {}/2 [00:00<00:00, 30.1it/s{}]"


def test_bar_that_shows_the_last_epochs_validation_gives_each_epoch_its_own():
    text = "".join(
        [
            BAR.format(0, 0, 0, ""), BAR.format(0, 50, 1, ", loss=3"), BAR.format(0, 100, 2, ", loss=2"),
            "\n\rValidation: 100%|###| 2/2 [00:00<00:00, 9.1it/s]\n",
            BAR.format(0, 100, 2, ", loss=2, val_loss=7"),
            BAR.format(1, 0, 0, ", loss=2, val_loss=7"), BAR.format(1, 100, 2, ", loss=1, val_loss=7"),
            "\n\rValidation: 100%|###| 2/2 [00:00<00:00, 9.1it/s]\n",
            BAR.format(1, 100, 2, ", loss=1, val_loss=6"), "\n",
        ]
    )  # fmt: skip
    splitter = LineSplitter(LogParser.MAX_LINE)
    lines = [*splitter.feed(text.encode()), *splitter.finish()]
    assert read(*lines) == [("loss", 0, 2), ("val_loss", 0, 7), ("loss", 1, 1), ("val_loss", 1, 6)]


def test_bar_of_a_killed_training_gives_only_what_is_new_in_its_epoch():
    lines = [BAR.format(0, 100, 2, ", loss=2, val_loss=7") + "\r", BAR.format(1, 0, 0, ", loss=2, val_loss=7") + "\r",
             BAR.format(1, 50, 1, ", loss=1, val_loss=7") + "\r"]  # fmt: skip
    assert read(*lines) == [("loss", 0, 2), ("val_loss", 0, 7), ("loss", 1, 1)]


def test_states_of_a_keras_bar_count_once_however_they_arrive():
    states = ["\r1/2 ━━ 1s 9ms/step - loss: 0.9", "\r2/2 ━━ 1s 9ms/step - loss: 0.5 - val_loss: 0.4"]
    expected = [("loss", 3, 0.5), ("val_loss", 3, 0.4)]
    assert read("Epoch 3/9", "".join(states)) == expected
    assert read("Epoch 3/9", states[0] + "\r", states[1].strip("\r")) == expected
    assert read("Epoch 3/9", *(state.strip("\r") + "\r" for state in states)) == expected  # the log ends there


def test_an_evaluation_within_an_epoch_is_not_taken_for_the_epoch():
    lines = ["Epoch 1/2", "1/8 ━━ 1s 9ms/step - loss: 0.9\r", "2/2 ━━ 1s 9ms/step - loss: 0.7",
             "8/8 ━━ 1s 9ms/step - loss: 0.5"]  # fmt: skip
    assert read(*lines) == [("eval_loss", 1, 0.7), ("loss", 1, 0.5)]


def test_each_metric_is_taken_from_the_lowest_process_that_prints_it():
    lines = ["[default1]:epoch 4 loss=9", "[default0]:epoch 3 loss=1", "[rank1]: loss=9", "[default0]:loss=2",
             "[1,3]<stdout>:epoch 7 val_loss=5", "[default0]:loss=3"]  # fmt: skip
    assert read(*lines) == [("loss", 4, 9), ("loss", 3, 1), ("loss", 3, 2), ("val_loss", 7, 5), ("loss", 3, 3)]


@pytest.mark.parametrize(
    ("line", "time_s"),
    [
        ('{"loss": 1, "timestamp": 1767353401.5}', 1767353401.5),
        ('{"loss": 1, "timestamp": 1767353401500}', 1767353401.5),
        ("2026-01-02T11:30:01.5Z loss=1", 1767353401.5),
        ("[2026-01-02 12:30:01,500+01:00] loss=1", 1767353401.5),
        ("[2019-06-14 12:30:01] Train,\tTimestamp: 1767353401500,\tGlobal steps: 1,\tIteration: 1,\tLoss: 1",
         1767353401.5),
        ("loss=1", None),
        ("2026-13-45 99:99:99 loss=1", None),
    ],
)  # fmt: skip
def test_time_that_a_line_says_is_kept(line, time_s):
    [reading] = parser().feed(line)
    assert (reading.metric.lower(), reading.value, reading.time_s) == ("loss", 1, time_s)


def test_nan_and_inf_are_kept_in_every_format():
    lines = ["{'loss': nan, 'epoch': 1.0}", "{'loss': 'inf'}", "1/1 - 0s - loss: nan",
             "Train Epoch: 1 [0/9 (0%)]\tLoss: nan", "Epoch 1: 100%|#| 2/2 [00:00<00:00, 9.1it/s, loss=nan]",
             "INFO:tensorflow:Loss for final step: nan."]  # fmt: skip
    for line in lines:
        [(metric, _, value)] = read(line)
        assert metric == "loss"
        assert not math.isfinite(value), line


def test_names_of_several_nets_and_outputs_stay_apart():
    log = (HERE / "caffe.log").read_text().splitlines()
    found = {(metric, step): value for metric, step, value in read(*log, framework="caffe")}
    assert found["test_accuracy", 500] == 0.9734
    assert found["test1_accuracy", 500] == 0.9
    assert (found["test_per_class", 500], found["test_per_class_1", 500]) == (0.98, 0.91)
    assert found["test_loss1/loss", 500] == 0.301


def test_an_output_of_the_first_test_net_may_be_asked_for_as_the_net_file_names_it():
    log = (HERE / "caffe.log").read_text().splitlines()

    def of(*metrics):
        found = {}
        for metric, step, value in read(*log, framework="caffe", metrics=metrics):
            found.setdefault(metric, {})[step] = str(value)
        return found

    plain = of("accuracy")
    assert plain["accuracy"] == of("test_accuracy")["test_accuracy"]
    assert "test_accuracy" not in plain
    assert plain["test1_accuracy"][500] == "0.9"
    both = of("accuracy", "test_accuracy")
    assert both["accuracy"] == both["test_accuracy"]
    # The solver has a loss of its own, which a net's output does not take the place of.
    assert of("loss")["loss"] == of("accuracy")["loss"]
    assert of("loss")["test_loss"] != of("loss")["loss"]


PIECES = st.sampled_from(
    [piece for name in SAMPLES for piece in (HERE / f"{name}.log").read_bytes().split(b"\n")]
    + [b"\r", b"\n", b"\x1b[", b"%|#| 1/1 [0:0<0, 1it/s, a=1]", b"{'a': {'b': ", b"Epoch ", b"\xff\xfe", b"\0"]
)


@settings(max_examples=150, deadline=4000)
@given(st.lists(PIECES | st.binary(max_size=60), max_size=12), st.sampled_from(FRAMEWORKS), st.binary(max_size=1))
def test_no_bytes_make_any_parser_raise(pieces, framework, between):
    one = parser(framework=framework, patterns=["%{WORD:metric} is %{NUMBER:value}"])
    splitter = LineSplitter(LogParser.MAX_LINE)
    lines = [line for piece in pieces for line in splitter.feed(piece + between)] + list(splitter.finish())
    for reading in [r for line in lines for r in one.feed(line)] + list(one.finish()):
        assert reading.metric
        assert reading.metric.isprintable()
        assert 0 <= reading.step < 2**53
    assert one.explain("val_loss")
    assert len(one.found()) <= 1000


@settings(max_examples=60, deadline=4000)
@given(st.lists(PIECES, max_size=60), st.sampled_from(FRAMEWORKS), st.booleans())
def test_lines_at_once_are_read_as_one_by_one(pieces, framework, with_pattern):
    patterns = ["%{WORD:metric} is %{NUMBER:value}"] if with_pattern else []
    lines = list(LineSplitter(LogParser.MAX_LINE).feed(b"\n".join([*pieces, b""])))
    at_once, one_by_one = parser(framework=framework, patterns=patterns), parser(framework=framework, patterns=patterns)
    together = [*at_once.feed_lines(lines), *at_once.finish()]
    apart = [*(reading for line in lines for reading in one_by_one.feed(line)), *one_by_one.finish()]
    assert list(map(str, together)) == list(map(str, apart))
    assert str(at_once.found()) == str(one_by_one.found())
    assert at_once.explain("never_there") == one_by_one.explain("never_there")


@settings(max_examples=60, deadline=4000)
@given(st.data())
def test_readings_do_not_depend_on_how_the_bytes_arrive(data):
    name = data.draw(st.sampled_from(sorted(SAMPLES)))
    log = (HERE / f"{name}.log").read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=8)))

    def readings(parts):
        one, splitter = parser(), LineSplitter(LogParser.MAX_LINE)
        lines = [line for part in parts for line in splitter.feed(part)] + list(splitter.finish())
        return [(r.metric, r.step, str(r.value)) for line in lines for r in one.feed(line)] + [
            (r.metric, r.step, str(r.value)) for r in one.finish()
        ]

    assert readings([log[a:b] for a, b in zip([0, *cuts], [*cuts, len(log)], strict=True)]) == readings([log])


HOSTILE = [
    *("%|" + "|" * 9000, "| " * 8000 + "/s", "{'" * 8000, "{'a': " * 3000, "Epoch: [1][" + "1/" * 5000, "- a: " * 3000),
    *("I0102 12:30:01.123456  1 a:1] " * 500, "Test set: " * 1600, "a: 1/" * 3000, "(" * 16000 + "1 (1"),
    *(" " * 16000 + "a: 1", "[val] " * 2700 + "a=1", "Train Epoch: 1 " * 1000, "loss: " + "a" * 16000),
    "1/1 ━" + " " * 16000,
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_lines_take_little_time_in_any_format(number):
    import time

    one = parser()
    one.feed("Test metric | DataLoader 0")
    begun = time.process_time()
    one.feed(HOSTILE[number])
    one.feed(HOSTILE[number] + "\r")
    one.finish()
    one.feed_lines([HOSTILE[number]] * 5)
    assert time.process_time() - begun < 2
