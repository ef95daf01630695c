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
        (["train: {'loss': 0.3}", "val metrics: {'loss': 0.4}"], {"loss": 0.3, "val_loss": 0.4}),
        (["train={'loss': 0.3} test={'loss': 0.4}"], {"loss": 0.3, "test_loss": 0.4}),
        (['INFO train {"loss": 0.3}', 'INFO [val] {"loss": 0.4}'], {"loss": 0.3, "val_loss": 0.4}),
        (['train {"loss": 0.3} | test {"loss": 0.4}'], {"loss": 0.3, "test_loss": 0.4}),
    ],
)  # fmt: skip
def test_training_and_validation_of_one_name_stay_apart(lines, expected):
    assert {metric: value for metric, _, value in read(*lines)} == expected


def test_the_split_of_a_lines_first_name_holds_for_what_the_job_asks_for():
    lines = ["Epoch 1/9", "train Loss: 0.5 Acc: 0.8", "val Loss: 0.4 Acc: 0.9", "Best val Acc: 0.99"]
    found = [("train_Loss", 1, 0.5), ("Acc", 1, 0.8), ("val_loss", 1, 0.4), ("val_acc", 1, 0.9)]
    assert read(*lines, metrics=["val_acc", "val_loss"])[:4] == found
    assert ("acc", 1, 0.9) in read(*lines, metrics=["acc"])
    line = "Train loss: 0.5, acc: 0.4 | Val loss: 0.4, acc: 0.9 | acc: 0.1"
    assert read(line, metrics=["val_acc"])[3:] == [("val_acc", 0, 0.9), ("acc", 1, 0.1)]


def test_a_metric_that_a_line_spells_out_is_taken_from_nothing_else():
    lines = ["val loss: 0.4 acc: 0.8 val acc: 0.9", "val loss: 0.3 acc: 0.8"]
    assert [value for metric, _, value in read(*lines, metrics=["val_acc"]) if metric == "val_acc"] == [0.9]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Epoch 3 - {'val_loss': 0.4}", 3),
        ("epoch 3 step 40/100: {'val_loss': 0.4}", 3),
        ("INFO step=3 {'val_loss': 0.4} lr=0.1", 3),
        ("{'val_loss': 0.4} after epoch 3", 3),
        ("epoch 9 {'epoch': 3, 'val_loss': 0.4}", 3),
        ('Epoch [3/10]: {"val_loss": 0.4}', 3),
        ('{"_step": 3, "_runtime": 9, "val_loss": 0.4}', 3),
        ('{"val_loss": 0.4} at step 3', 3),
        ('epoch 9 {"epoch": 3, "val_loss": 0.4}', 3),
        ("Epoch 3: Val set: Average loss: 0.4, Accuracy: 9/10", 3),
        ("Epoch 3/10 - 12s - loss: 0.5 - val_loss: 0.4", 3),
        ("2026-01-02 12:30:01,123 - INFO - Epoch [3/10], Step [100/600], val_loss: 0.4", 3),
        ("01/02/2026 12:30:01 - INFO - Epoch 3/10: loss: 0.5 - val_loss: 0.4", 3),
        ("Epoch 3/10 [=====>....] - 12s - val_loss: 0.4", 3),
        ("2026-01-02 12:30:01.123 | INFO | __main__:val_loss:33 - epoch=3 val_loss=0.4", 3),
        ("[train.py:val_loss:33] epoch 3 val_loss=0.4", 3),
        ("2026/01/02 12:30:01 - mmengine - INFO - Epoch(val) [3][20/20]    loss: 0.4  data_time: 0.02", 3),
        ("[3]: val_loss=0.4", 0),
        ("epoch 3, val_loss=0.4", 3),
        ("step: 1,000 val_loss=0.4", 0),
    ],
)
def test_the_step_that_a_line_names_is_the_values(line, step):
    assert [found for found in read(line) if found[0] == "val_loss"] == [("val_loss", step, 0.4)]


@pytest.mark.parametrize(
    "line",
    ["no improvement since epoch 3", "Best epoch: 3", "Resuming from epoch 3", "best: 0.3 at epoch 3",
     "val_acc=0.9 (best val_acc 0.95 @ epoch 3)", "Best val acc: 81.5% (epoch 3)", "best 1e-05 in step 3",
     "Total epoch: 3", "Namespace(batch_size=64, epoch=3, lr=0.1)"],
)  # fmt: skip
def test_another_epoch_of_which_a_line_speaks_is_no_step(line):
    assert ("val_loss", 7, 0.5) in read("Epoch 7", line, "val_loss=0.5")
    assert ("val_loss", 7, 0.5) in read("Epoch 6", "New best at epoch 7: val_loss=0.5", line)


def test_steps_that_begin_anew_in_each_epoch_overwrite_nothing():
    lines = ["Epoch 1/2", "step 50/100 loss: 0.9", "step 100/100 loss: 0.8", "val_loss: 0.7",
             "Epoch 2/2", "step 50/100 loss: 0.7", "step 100/100 loss: 0.6", "val_loss: 0.75"]  # fmt: skip
    found = read(*lines)
    assert [step for metric, step, _ in found if metric == "loss"] == [50, 100, 150, 200]
    assert [(step, value) for metric, step, value in found if metric == "val_loss"] == [(100, 0.7), (200, 0.75)]
    whole = ["Epoch 1", "Step 9/9 - loss: 0.9", "Epoch 2", "Step 9/9 - loss: 0.8", "Step 9/9 - acc: 1"]
    assert [step for _, step, _ in read(*whole)] == [9, 18, 18]
    assert [step for _, step, _ in read("step 2/9 loss=1", "step 3/9 loss=1", "step 1/4 loss=1")] == [2, 3, 1]


def test_tables_of_lightning_one_after_the_other_are_read():
    rule = "─" * 60
    tables = [[rule, f"      {word} metric           DataLoader 0", rule, f"      {name}            0.5", rule]
              for word, name in (("Validate", "val_loss"), ("Test", "test_loss"))]  # fmt: skip
    assert read(*tables[0], *tables[1]) == [("val_loss", 0, 0.5), ("test_loss", 0, 0.5)]


def test_sets_of_lightgbm_stay_apart():
    line = "[10]\ttraining's auc: 0.9\tvalid_1's auc: 0.8"
    assert read(line) == [("training_auc", 0, 0.9), ("valid_1_auc", 0, 0.8)]
    assert read(line, metrics=["train_auc"])[0] == ("train_auc", 0, 0.9)


def test_numbers_in_brackets_that_begin_lines_are_no_processes():
    assert [value for _, _, value in read("[1]: val_loss=0.4", "[2]: val_loss=0.3")] == [0.4, 0.3]


def test_processes_of_each_launcher_are_told_apart():
    for first, second in [("[default0]:", "[default1]:"), ("[1,0]<stderr>:", "[1,1]<stderr>:"),
                          ("[prterun-node-17@1,0]<stdout>:", "[prterun-node-17@1,1]<stdout>:")]:  # fmt: skip
        assert read(f"{second}loss=9", f"{first}loss=1", f"{second}loss=9") == [("loss", 0, 9), ("loss", 1, 1)]


def outer(done, values=""):
    return f"Epochs: 0%|# | {done}/2 [00:01<00:01, 5.0s/it{values}]"


def test_what_a_bar_of_epochs_shows_of_its_first_one_counts():
    inner = ["train 0: 0%|  | 0/9 [00:00<?, ?it/s]\r", "train 0: 100%|##| 9/9 [00:01<00:00, 5.0it/s, loss=0.9]\r"]
    lines = [outer(0) + "\r", *inner, outer(0, ", val_loss=0.3") + "\r", outer(1, ", val_loss=0.3") + "\r",
             *inner, outer(1, ", val_loss=0.4") + "\r", outer(2, ", val_loss=0.4")]  # fmt: skip
    assert [found for found in read(*lines) if found[0] == "val_loss"] == [("val_loss", 0, 0.3), ("val_loss", 1, 0.4)]


def test_the_epoch_among_a_bars_values_is_its_epoch():
    states = [outer(0), *(outer(n, f", epoch={e}, val_loss=0.{e + 3}") for n, e in [(0, 0), (1, 0), (1, 1), (2, 1)])]
    assert read("\r".join(states)) == [("val_loss", 0, 0.3), ("val_loss", 1, 0.4)]


def test_what_is_printed_while_a_bar_moves_is_of_its_epoch():
    bar = "Epoch {0}: 0%|# | 1/2 [00:01<00:01, 5.0it/s]\r"
    lines = [bar.format(1), "            \rval_loss: 0.5", bar.format(2), "            \rval_loss: 0.4"]
    assert read(*lines) == [("val_loss", 1, 0.5), ("val_loss", 2, 0.4)]


def test_what_a_bar_that_has_ended_says_before_it_is_read():
    states = [f"Epoch 2 val_loss: 0.{n}: {n}0%|#  | {n}/9 [00:01<00:01, 5.0it/s, acc=0.{n}]" for n in (1, 5, 9)]
    assert read("\r".join(states)) == [("acc", 2, 0.9), ("val_loss", 2, 0.9)]


@pytest.mark.parametrize(
    "value",
    ["tensor(0.5, device='cuda:0')", "np.float32(0.5)", "Array(0.5, dtype=float32)", "array(0.5)",
     "<tf.Tensor: shape=(), dtype=float32, numpy=0.5>"],
)  # fmt: skip
def test_numbers_as_libraries_print_them_are_read(value):
    assert ("val_loss", 0, 0.5) in read(f"val_loss={value}")
    assert ("val_loss", 0, 0.5) in read(f"{{'val_loss': {value}, 'note': 'x'}}")


@pytest.mark.parametrize(
    "line", ["val_loss=0.4 best val_loss=0.3", "val_loss: 0.4, best val_loss: 0.3", "val_loss=0.4 (best val_loss=0.3)"]
)
def test_the_best_value_so_far_is_not_the_lines_own(line):
    assert read(line) == [("val_loss", 0, 0.4), ("best_val_loss", 0, 0.3)]


@pytest.mark.parametrize("line", ["{' ': 0.5}", '{"metric": " ", "value": 0.5}'])
def test_a_name_of_spaces_is_a_name(line):
    assert read(line) == [("_", 0, 0.5)]


def test_colours_of_tput_are_no_part_of_a_name():
    assert read("\x1b[1m\x1b(Bval_loss\x1b(B\x1b[m=0.5") == [("val_loss", 0, 0.5)]


@pytest.mark.parametrize(
    "number",
    ["0,5", "12,25", "100,5", "1234,5", "1,234.5", "1,234", "1.234,5", "12.345.678,9", "1 234,5", "1\u00a0234",
     "1\u202f234,5", "1'234.5"],
)  # fmt: skip
def test_a_number_in_another_languages_form_is_not_read_in_part(number):
    assert read(f"val_loss={number} acc: {number}") == []
    assert read(f"Test set: Average loss: {number}") == []


@pytest.mark.parametrize(
    "line",
    ["val_loss=1,acc=2", "val_loss: 1, 2", "val_loss=1,", "val_loss=0.5,3", "(val_loss=1,)", "val_loss=1 100 items",
     "val_loss='1'", "val_loss=0.5,0.25", "val_loss=1, 234,5"],
)  # fmt: skip
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


@pytest.mark.parametrize(
    "begun",
    ["1/2 ━━ 1s 9ms/step - loss: 0.9", "1/2 [=>.] - ETA: 1s - loss: 0.9", "      1/Unknown 1s 9ms/step - loss: 0.9"],
)
def test_what_callbacks_print_beside_a_bar_does_not_end_its_epoch(begun):
    end = "2/2 ━━ 1s 9ms/step - loss: 0.5 - val_loss: 0.4"
    for printed in (["", "Epoch 3: val_loss improved from 0.7 to 0.4"], ["val_f1: 0.8"], [" — val_f1: 0.8"]):
        lines = ["Epoch 3/9", "\r" + begun + printed[0], *printed[1:], "\b\b\r" + end, "8/8 ━━ 1s 9ms/step - loss: 0.6"]
        found = read(*lines)
        assert found[-3:] == [("loss", 3, 0.5), ("val_loss", 3, 0.4), ("eval_loss", 3, 0.6)]
        assert found[:-3] == ([] if printed[1:] else [("val_f1", 3, 0.8)])


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
