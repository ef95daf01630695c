import pytest

from tuning_service.logs import build_parser


def explanation(*lines, metric="val_accuracy"):
    parser = build_parser({"formats": ["json", "pairs"], "patterns": [], "metrics": [metric]})
    for line in lines:
        parser.feed(line)
    parser.finish()
    return parser.explain(metric)


def test_similar_name_is_offered_with_its_line():
    text = explanation("loss=0.5 val_acc=0.91", "loss=0.4 val_acc=0.92")
    assert "similar name:\n  val_acc, as in: loss=0.5 val_acc=0.91" in text
    assert "loss (2 x)" in text
    assert "objective.metric" in text


def test_lines_that_name_it_without_a_readable_value_are_shown():
    text = explanation("starting", "the accuracy is about 0.9", "done")
    assert "come near:\n  the accuracy is about 0.9" in text
    assert 'print(f"val_accuracy={val_accuracy}", flush=True)' in text


def test_without_anything_near_the_last_lines_are_shown():
    text = explanation(*(f"line {i}" for i in range(100)))
    assert "line 99" in text
    assert "line 9\n" not in text
    assert "No metric at all" in text


def test_a_line_that_is_read_for_another_name_is_still_near():
    text = explanation(*(f"epoch {i} validation accuracy is 0.{i}, vall_accuracy=2" for i in range(1, 4)))
    assert "similar name:\n  vall_accuracy" in text
    assert r"  log_patterns: ['validation\s+accuracy\s+is\s+%{NUMBER:val_accuracy}']" in text


def test_a_part_of_another_word_is_not_near():
    text = explanation("SyntaxError: invalid syntax", "val was 0.3", "interval (val 0.4)", metric="val_loss")
    assert "come near:\n  val was 0.3\n  interval (val 0.4)\n" in text


def test_that_long_lines_were_cut_is_told():
    assert "longer lines" not in explanation("x" * 10_000)
    assert "Of 2 longer lines only the first 16,384 bytes were read" in explanation(*["é" * 8192] * 2, "short")
    at_once = build_parser({"formats": ["json", "pairs"], "patterns": [], "metrics": ["val_accuracy"]})
    at_once.feed_lines(["x" * 16_384, *["short"] * 9])
    assert "Of 1 longer lines" in at_once.explain("val_accuracy")


def test_silence_is_named():
    assert "printed nothing" in explanation("", "  ")


def test_explanation_is_bounded_whatever_the_log():
    lines = [f"name{i}={i} " + "val accuracy maybe " * 1000 for i in range(3000)]
    assert len(explanation(*lines)) < 8000


def test_each_of_several_metrics_has_the_lines_that_come_near_it():
    parser = build_parser({"formats": ["json", "pairs"], "patterns": [], "metrics": ["val_accuracy", "latency_ms"]})
    for line in ("accuracy maybe 0.9", "latency about 20"):
        parser.feed(line)
    assert "accuracy maybe" in parser.explain("val_accuracy")
    assert "latency about" not in parser.explain("val_accuracy").partition("Lines that come near")[2]
    assert "come near:\n  latency about 20" in parser.explain("latency_ms")


NEAR = [
    ("the accuracy is about 0.9", "val_accuracy", 0.9),
    ("epoch 3 done, val accuracy 0.91 (best 0.93)", "val_accuracy", 0.91),
    ("0.87 accuracy on fold 2", "accuracy", 0.87),
    ("loss[1] -> 3e-4 after 12 s", "loss", 3e-4),
    ("perplexity (it's val) | 12.5", "val/perplexity", 12.5),
]


@pytest.mark.parametrize(("line", "metric", "value"), NEAR)
def test_pattern_that_is_offered_reads_the_line_that_came_near(line, metric, value):
    import yaml

    text = explanation("starting", line, metric=metric)
    offered = next(part for part in text.splitlines() if part.startswith("  log_patterns: "))
    [pattern] = yaml.safe_load(offered)["log_patterns"]
    parser = build_parser({"formats": [], "patterns": [pattern], "metrics": [metric]})
    assert [(r.metric, r.value) for r in parser.feed(line)] == [(metric, value)]


def test_no_pattern_takes_the_training_for_the_validation():
    for line in ("train loss is 0.5", "loss=0.5", "Training: the loss was 0.4"):
        assert "log_patterns: [" not in explanation(line, metric="val_loss"), line


def test_of_another_split_the_name_to_write_is_told():
    lines = ["Test set: Average loss: 0.05, Accuracy: 9870/10000 (99%)"]
    parser = build_parser({"formats": ["pytorch", "pairs"], "patterns": [], "metrics": ["val_accuracy"]})
    for line in lines:
        parser.feed(line)
    text = parser.explain("val_accuracy")
    assert "If test_accuracy is what you mean, write that instead of val_accuracy" in text
    assert "never taken for one another" in text


@pytest.mark.parametrize("line", ["ValAccuracy=0.9", '{"metrics": {"val_accuracy": 0.9}}'])
def test_a_longer_or_joined_name_is_of_the_same_split(line):
    text = explanation(line)
    assert "is what you mean, write that instead of val_accuracy" in text
    assert "never taken for one another" not in text


def test_that_numbers_have_a_point_is_told():
    assert "Numbers need a decimal point: 0,91 is not read." in explanation("val_accuracy: 0,91")
    assert "decimal point" not in explanation("val_accuracy of files 1, 2,3,4 and a1,5")


def test_what_was_found_is_summed_up():
    parser = build_parser({"formats": ["json", "pairs"], "patterns": [], "metrics": []})
    for line in ("epoch 1 loss=3", '{"epoch": 2, "loss": NaN}', "epoch 4 loss=1"):
        parser.feed(line)
    [found] = parser.found()
    assert (found.metric, found.count, found.least, found.greatest, found.forms) == ("loss", 3, 1, 3, ("pairs", "json"))
    assert (found.first.step, found.last.step, found.sample) == (1, 4, "epoch 1 loss=3")
