import signal
import time

import pytest

from tuning_service.logs import build_parser, check_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"acc=(?P<val_accuracy>[0-9.]+)",
        r"epoch\s+(?P<epoch>\d+).*?(?P<loss>[\d.]+)",
        r"(?P<metric>\w+) -> (?P<value>[^ ]+) at (?P<step>\d+)",
        r"(?:loss|cost) (?P<loss>\S+)",
        r"(?:ab){3} (?P<loss>\S+)",
        r"(?P<a>x)(?(a)y|z)(?=w)",
    ],
)
def test_usable_patterns_pass(pattern):
    check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "no regular expression"),
        ("acc=([0-9.]+)", "no group"),
        (r"(?P<step>\d+)", "no group"),
        (r"(?P<metric>\w+)", "none named value"),
        (r"(?P<x>(a+)+)b", "repeat within a repeat"),
        (r"(?P<x>(?:a{0,1000}b?)*)c", "repeat within a repeat"),
        (r"(?=(?:(a*)*))(?P<x>b)", "repeat within a repeat"),
        (r"(?P<x>(?:a|ab)*c)", "alternatives within a repeat"),
        (r"(?P<x>" + r"\d*" * 13 + ")", "more than 12"),
        ("(?P<x>" + "a" * 500 + ")", "longer than 500"),
    ],
)
def test_unusable_patterns_are_refused_with_the_cause(pattern, message):
    with pytest.raises(ValueError, match=message):
        check_pattern(pattern)


def test_pattern_that_would_search_for_ever_is_interrupted():
    before = signal.getsignal(signal.SIGVTALRM)
    parser = build_parser({"formats": ["pairs"], "patterns": [r"(?P<x>\d*\d*\d*\d*\d*\d*z)"], "metrics": ["loss"]})
    begun = time.process_time()
    for _ in range(30):
        assert [r.value for r in parser.feed("loss=0.5 " + "1" * 1500)] == [0.5]
    assert time.process_time() - begun < 3
    assert signal.getsignal(signal.SIGVTALRM) is before


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("loss is %{FLOAT:loss}", "loss is -1.5e-3", {"loss": -0.0015}),
        ("step %{INT:step} -> %{NUMBER:val/acc}%", "step 40 -> 91.5%", {"val/acc": 91.5}),
        ("%{WORD:metric} is %{NUMBER:value} at %{INT:epoch}", "acc is 0.9 at 3", {"acc": 0.9}),
        ("%{NOTSPACE}:%{SPACE}%{NUMBER:loss:float}", "x/y:   nan", {"loss": "nan"}),
        ("a%{DATA}b %{NUMBER:loss}", "a anything b 3", {"loss": 3.0}),
    ],
)
def test_grok_reads_what_it_names(pattern, line, expected):
    check_pattern(pattern)
    parser = build_parser({"formats": [], "patterns": [pattern], "metrics": ["val/acc"]})
    readings = parser.feed(line)
    assert {r.metric: "nan" if r.value != r.value else r.value for r in readings} == expected
    steps = {"step 40": 40, "acc is 0.9": 3}
    assert [r.step for r in readings] == [next((s for text, s in steps.items() if line.startswith(text)), 0)]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("loss %{FLAOT:loss}", "unknown %{FLAOT} at line 1, column 6: known are NUMBER"),
        ("a\n  %{INT:x", r"no } closes, at line 2, column 3"),
        ("%{}", "a kind and a metric's name"),
        ("%{INT:7x}", "'7x', at line 1, column 1: begin it with a letter"),
        ("%{INT}", "no group that names a metric"),
        ("%{INT:x} (a", "no regular expression: .*at line 1, column 10"),
        ("%{INT:x}%{INT:x}", "redefinition of group name 'x'.*at line 1, column 9"),
        ("(%{DATA}a)+%{INT:x}", "repeat within a repeat"),
        ("%{DATA}" * 13 + "%{INT:x}", "more than 12"),
    ],
)
def test_grok_that_is_wrong_is_refused_with_its_place(pattern, message):
    with pytest.raises(ValueError, match=message.replace("%{", "%[{]")):
        check_pattern(pattern)


def test_a_pattern_sees_bars_as_they_stand_on_the_line():
    pattern = r"\| *%{INT:step}/%{INT} .*top=%{NUMBER:val_top}"
    one = build_parser({"formats": ["bars", "pairs"], "patterns": [pattern], "metrics": ["val_top"]})
    bar = "ep 1: {0}0%|###   | {0}/9 [00:01<00:01, 5.0it/s, top=0.{0}, loss=0.{0}]"
    lines = [bar.format(5), "\r".join(map(bar.format, range(6, 10)))]
    found = [(r.metric, r.step, r.value) for line in lines for r in one.feed(line)]
    assert [reading for reading in found if reading[0] == "val_top"] == [("val_top", 5, 0.5), ("val_top", 9, 0.9)]
    assert {"top", "loss"} <= {metric for metric, _, _ in found}
