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
