import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_service.runner.templates import fill, origin, place, placeholders, substitute

VALUES = {"BASE_LR": 1e-05, "NUM": 3, "NUM_OUTPUT_0": 20, "METHOD": "AVE", "FLAG": True, "NAME": 'a "b"\n'}
VALUES["EMOJI"] = "\N{HEDGEHOG} \N{LATIN SMALL LETTER E WITH ACUTE}"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("base_lr: BASE_LR", "base_lr: 1e-05"),
        ("base_lr:BASE_LR}", "base_lr:1e-05}"),
        ("a: NUM_OUTPUT_0 b: NUM", "a: 20 b: 3"),  # the longer name is not found as the shorter one
        ("a: [NUM, NUM]", "a: [3, 3]"),
        ("mirror: FLAG", "mirror: true"),
        ("type: METHOD", 'type: "AVE"'),
        ("pool: METHOD", "pool: AVE"),
        ("pool :\nMETHOD", "pool :\nAVE"),
        ("FLAG: FLAG METHOD { a: 1 } METHOD\n{ METHOD :1 }", "FLAG: true METHOD { a: 1 } METHOD\n{ METHOD :1 }"),
        ("source: NAME", 'source: "a \\"b\\"\\n"'),
        ("source: EMOJI", 'source: "\N{HEDGEHOG} \N{LATIN SMALL LETTER E WITH ACUTE}"'),
        ("pool: MAX backend: LMDB", "pool: MAX backend: LMDB"),  # not in the space
        (
            "NUMBER NUM_ XNUM NUM.prototxt ./NUM a/NUM -NUM NUM-1",
            "NUMBER NUM_ XNUM NUM.prototxt ./NUM a/NUM -NUM NUM-1",
        ),
        ('source: "data/ NUM NUM.x"', 'source: "data/ NUM NUM.x"'),
        ("source: 'a \\' NUM' b: NUM", "source: 'a \\' NUM' b: 3"),
        ('# NUM "is tuned\nnum: NUM', '# NUM "is tuned\nnum: 3'),
        ('a: "unclosed NUM\nnum: NUM', 'a: "unclosed NUM\nnum: 3'.replace("NUM\n", "3\n")),
    ],
)
def test_declared_names_are_replaced_where_they_stand_alone(text, filled):
    assert substitute(text, VALUES) == filled


def test_places_are_counted_from_one():
    text = "base_lr: BASE_LR # BASE_LR\n  num: NUM\n"
    assert placeholders(text, VALUES) == [("BASE_LR", 1, 10), ("NUM", 2, 8)]
    assert placeholders(text, []) == []


def test_a_place_in_the_filled_text_is_found_in_the_template():
    text = "a: NUM_OUTPUT_0 b: NUM c: wrong\nd: BASE_LR wrong"
    filled = substitute(text, VALUES)
    for word in ("b:", "c:", "wrong", "d:"):
        line, column = place(filled, filled.index(word))
        assert text[origin(text, VALUES, line, column) :].startswith(word)
    assert text[origin(text, VALUES, 1, filled.index("20") + 2) :].startswith("NUM_OUTPUT_0")


@given(st.text(alphabet="ab\"'#\\\n NUM_:.-/", max_size=60))
def test_whatever_the_text_lines_stay_and_filling_twice_is_filling_once(text):
    values = {"NUM": 7, "NU": 8}
    filled = substitute(text, values)
    assert filled.count("\n") == text.count("\n")
    assert substitute(filled, values) == filled
    assert (filled == text) == (not placeholders(text, values))


def test_files_that_match_are_filled_and_nothing_else(tmp_path):
    (tmp_path / "nets").mkdir()
    for name in ("solver.prototxt", "nets/net.prototxt", "train.py"):
        (tmp_path / name).write_text("num: NUM")
    (tmp_path / "link.prototxt").symlink_to("train.py")
    fill(tmp_path, ("*.prototxt",), VALUES)
    assert (tmp_path / "solver.prototxt").read_text() == "num: 3"
    assert (tmp_path / "nets/net.prototxt").read_text() == "num: 3"
    assert (tmp_path / "train.py").read_text() == "num: NUM"
