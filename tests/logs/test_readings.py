import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning_service.logs import build_parser


def parser(metric="val_accuracy", patterns=(), formats=("json", "pairs")):
    return build_parser({"formats": list(formats), "patterns": list(patterns), "metrics": [metric]})


def read(*lines, **options):
    """(metric, step, value) of all lines, read by one parser."""
    one = parser(**options)
    return [(r.metric, r.step, r.value) for line in lines for r in one.feed(line)]


def values(line, **options):
    return {metric: value for metric, _, value in read(line, **options)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("loss=0.5", {"loss": 0.5}),
        ("loss = 0.5", {"loss": 0.5}),
        ("loss: 5e-3", {"loss": 0.005}),
        ("loss=-1.5E+2, val_accuracy=.93", {"loss": -150.0, "val_accuracy": 0.93}),
        ("train_loss: 0.3 | val_loss: 0.4 | val/acc: 0.91", {"train_loss": 0.3, "val_loss": 0.4, "val/acc": 0.91}),
        ("50/50 - 3s 12ms/step - loss: 0.25 - accuracy: 0.91", {"loss": 0.25, "accuracy": 0.91}),
        ("Val Accuracy: 0.91", {"val_accuracy": 0.91}),
        ("VAL-ACCURACY=0.91", {"val_accuracy": 0.91}),
        ("Val Accuracy=0.91", {"val_accuracy": 0.91}),
        ("Final val accuracy: 91.5%", {"val_accuracy": 91.5}),
        ("Test set: Average loss: 0.05, Accuracy: 9870/10000 (99%)", {"test_Average_loss": 0.05}),
        ("INFO:root:loss=0.5", {"loss": 0.5}),
        ("2026-01-02 12:30:01,123 INFO train - val_loss: 0.4", {"val_loss": 0.4}),
        ("[2026-01-02T12:30:01Z] loss=0.4.", {"loss": 0.4}),
        ("{'loss': 0.5, 'lr': 1e-4}", {"loss": 0.5, "lr": 1e-4}),
        ("loss=tensor(0.5, grad_fn=<X>) acc: [0.3]", {"loss": 0.5, "acc": 0.3}),
        ("loss=inf reg=-inf", {"loss": math.inf, "reg": -math.inf}),
        ('{"val_accuracy": 0.9, "loss": 1}', {"val_accuracy": 0.9, "loss": 1.0}),
        ('INFO:root:{"Val Accuracy": 0.9, "ok": true, "note": "x"}', {"val_accuracy": 0.9}),
        ('{"val": {"acc": 0.9, "deep": {"no": 1}}, "x": null}', {"val/acc": 0.9}),
        ('{"loss": Infinity, "other": "-inf"}', {"loss": math.inf, "other": -math.inf}),
        ('{"metric": "val_accuracy", "value": 0.9}', {"val_accuracy": 0.9}),
        ("\x1b[32mloss=0.5\x1b[0m", {"loss": 0.5}),
        ("10% loss=0.9\r50% loss=0.7\r100% loss=0.5", {"loss": 0.5}),
        ("10% loss=0.9\r100% loss=0.5\r\n", {"loss": 0.5}),
    ],
)
def test_customary_prints_are_read(line, expected):
    assert values(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "12:30:01 starting",
        "2026-01-02 12:30:01 starting",
        "date: 2026-01-02 time: 12:30:01",
        "listening on http://host:8080/path?x=3",
        "listening on localhost:8080, master.example.com:7077, 127.0.0.1:4040",
        'File "/srv/app/train.py", line 3, in <module>',
        "/srv/app/train.py:33: UserWarning: x",
        "version: 1.2.3",
        "took: 12s, memory: 3.5GB",
        "seen 3 of 5",
        "if x >= 3 and y == 4",
        "loss: n/a",
        "epoch=3",
        "",
        "{",
        '{"a": {"b": [1, 2]}}',
    ],
)
def test_what_is_no_metric_is_not_read(line):
    assert values(line) == {}


def test_nan_is_kept_as_such():
    for line in ("loss=nan", "loss: NaN", '{"loss": NaN}', '{"loss": "nan"}'):
        [(metric, _, value)] = read(line)
        assert metric == "loss"
        assert math.isnan(value)


@pytest.mark.parametrize(
    ("lines", "steps"),
    [
        (["loss=1", "loss=2 acc=1", "loss=3"], [0, 1, 0, 2]),
        (["epoch 3: loss=1", "loss=2", "Epoch 4/10", "loss=3"], [3, 3, 4]),
        (["[epoch 3] loss=1", "Epoch [4/10], Loss: 0.3", "Epoch: [5] loss=2"], [3, 4, 5]),
        (["step=40 loss=1", "loss=1 step=50", "global_step: 60 | loss: 1"], [40, 50, 60]),
        (["step=1 loss=1 step=2 loss=2"], [1, 2]),
        (["Epoch [3/10], Step [40/100], Loss: 0.5"], [3]),
        (["epoch=3 step=340 loss=0.5"], [340]),
        (["{'loss': 0.5, 'epoch': 2.0}"], [2]),
        (['{"loss": 1, "epoch": 1, "step": 500}', '{"loss": 1, "epoch": 2}'], [500, 2]),
        (['{"iteration": 7, "loss": 1}', '{"step": -1, "loss": 1}'], [7, 7]),
        (["Epoch 00003: val_accuracy: 0.3"], [3]),
        (["last_step=9 loss=1"], [0, 0]),
    ],
)
def test_steps(lines, steps):
    assert [step for _, step, _ in read(*lines)] == steps


def test_patterns_name_the_metric_by_group_or_in_the_log():
    assert read("round 4 -> 0.91 correct", patterns=[r"round (?P<step>\d+) -> (?P<val_accuracy>[\d.]+)"]) == [
        ("val_accuracy", 4, 0.91)
    ]
    assert read("RESULT acc is 91% at 7", patterns=[r"RESULT (?P<metric>\w+) is (?P<value>\S+) at (?P<epoch>\d+)"]) == [
        ("acc", 7, 91.0)
    ]
    # An objective whose name cannot be a group's is named by a group that comes nearest.
    assert read("=> 0.5", metric="val/acc", patterns=[r"=> (?P<val_acc>\S+)"]) == [("val/acc", 0, 0.5)]


def test_a_pattern_goes_before_the_formats_and_leaves_them_the_rest():
    line = "loss=0.5 val_accuracy=0.3 corrected 0.4"
    assert values(line, patterns=[r"corrected (?P<val_accuracy>\S+)"]) == {"val_accuracy": 0.4, "loss": 0.5}
    assert values("nothing", patterns=[r"(?P<val_accuracy>nothing)"]) == {}


def test_names_without_end_are_bounded_and_the_objective_still_found():
    one = parser()
    count = sum(len(one.feed(f"name{i}=1")) for i in range(5000))
    assert count == 1000
    assert one.feed("val_accuracy=1")


@settings(max_examples=300, deadline=2000)
@given(st.text(max_size=400) | st.text(alphabet="ab=: {}\"',.0123456789eE+-[]()/%\r\x1bepochstn_", max_size=400))
def test_no_line_makes_it_raise(line):
    one = parser(patterns=[r"(?P<metric>\w+) is (?P<value>\S+)"])
    for reading in one.feed(line):
        assert reading.metric
        assert reading.step >= 0
    assert one.explain("val_accuracy")


@settings(max_examples=100, deadline=2000)
@given(st.dictionaries(st.text(max_size=20), st.floats() | st.integers() | st.booleans() | st.text(max_size=9)))
def test_no_json_object_makes_it_raise(value):
    one = parser()
    one.feed(json.dumps(value))
    one.feed(f"x {value}")


@pytest.mark.parametrize(
    "line",
    ["a" * 20000, "=" * 20000, ":1" * 10000, "{" * 20000, "[" * 20000, "a=1 " * 5000, "a b " * 5000, "\x1b" * 20000,
     "epoch " * 3000, " " * 20000 + "=1", "a:" * 9000 + "1", '{"a":' * 4000, "1" * 20000, "x=" + "1" * 9000],
)  # fmt: skip
def test_hostile_lines_take_little_time(line):
    import time

    one = parser()
    begun = time.process_time()
    one.feed(line)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("line", "patterns"),
    [
        ("Val Acc: 0.9, LATENCY-MS=12", ()),
        ('{"VAL-ACC": 0.9, "latency ms": 12}', ()),
        ("top1 0.9 after 12", (r"top1 (?P<Val_acc>[0-9.]+) after (?P<LATENCY_MS>\d+)",)),
    ],
)
def test_each_metric_that_the_job_names_is_recognised_however_it_is_spelled(line, patterns):
    parser = build_parser(
        {"formats": ["json", "pairs"], "patterns": list(patterns), "metrics": ["val_acc", "latency_ms", "params"]}
    )
    assert {r.metric: r.value for r in parser.feed(line)} == {"val_acc": 0.9, "latency_ms": 12.0}


def test_names_that_differ_in_case_only_are_told_apart_when_spelled_exactly():
    parser = build_parser({"formats": ["pairs"], "patterns": [], "metrics": ["loss", "Loss"]})
    assert {r.metric: r.value for r in parser.feed("loss=1 Loss=2")} == {"loss": 1.0, "Loss": 2.0}
