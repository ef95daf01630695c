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
