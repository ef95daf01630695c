"""Search spaces, constraints and configurations, drawn by hypothesis."""

from hypothesis import strategies as st

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.parameters import FloatParameter, IntParameter
from tuning_service.domain.space import Space

_VALUES = st.lists(
    st.sampled_from([True, False, 0, 1, 2, 0.5, 1.5, "a", "b", ""]),
    min_size=1,
    max_size=4,
    unique_by=lambda v: (type(v), v),
)
# Steps as people write them: 0.1 has no exact double.
_STEPS = st.sampled_from([0.1, 0.25, 0.3, 1e-3, 1, 7.5, 1e-9, 123.456])


@st.composite
def _floats(draw, finite):
    scale = draw(st.sampled_from(["linear", "log", "step"]))
    if finite or scale == "step":
        step = draw(_STEPS)
        low = draw(st.sampled_from([0.0, -1.5, 0.1, 1e-3, 1000.7]))
        places = draw(st.integers(1, 3 if finite else 5000))
        return {"type": "float", "min": low, "max": low + step * (places + draw(st.floats(0.1, 0.9))), "step": step}
    bounds = st.floats(1e-300, 1e300) if scale == "log" else st.floats(-1e300, 1e300)
    low, high = sorted([draw(bounds), draw(bounds)])
    return {"type": "float", "min": low, "max": high, "scale": scale}


@st.composite
def _ints(draw, largest):
    scale = draw(st.sampled_from(["linear", "log", "pow2", "step"]))
    if scale == "pow2":
        low, high = sorted([draw(st.integers(0, 3 if largest < 100 else 40)) for _ in range(2)])
        return {"type": "int", "min": 2**low, "max": 2**high, "scale": scale}
    low = draw(st.integers(1 if scale == "log" else -largest, largest))
    if scale == "step":
        step = draw(st.integers(1, largest))
        return {"type": "int", "min": low, "max": low + draw(st.integers(step, 3 * largest)), "step": step}
    return {"type": "int", "min": low, "max": low + draw(st.integers(0, largest)), "scale": scale}


@st.composite
def parameters(draw, *, finite=False):
    """One parameter's entry of any kind."""
    kind = draw(st.sampled_from(["float", "int", "bool", "categorical", "ordinal", "fixed"]))
    if kind == "float":
        return draw(_floats(finite))
    if kind == "int":
        return draw(_ints(4 if finite else 2**40))
    if kind == "bool":
        return {"type": "bool"}
    if kind == "fixed":
        return {"type": "fixed", "value": draw(st.sampled_from([True, 3, 0.5, "a", ""]))}
    return {"type": kind, "values": draw(_VALUES)}


def values_of(entry):
    """Some values of a discrete parameter's entry, which conditions may name; none of a continuum."""
    match entry["type"]:
        case "bool":
            return [False, True]
        case "fixed":
            return [entry["value"]]
        case "int":
            return [entry["min"]]
        case "float":
            return [entry["min"]] if "step" in entry else []
    return entry["values"]


@st.composite
def spaces(draw, *, finite=False, constrained=False):
    """A space of one to five parameters, with conditions on discrete ones."""
    entries, parents = {}, {}
    for i in range(draw(st.integers(1, 5))):
        entry = draw(parameters(finite=finite))
        if parents and draw(st.booleans()):
            chosen = draw(st.lists(st.sampled_from(sorted(parents)), min_size=1, max_size=2, unique=True))
            entry["when"] = {p: [draw(st.sampled_from(parents[p]))] for p in chosen}
        name = f"p{i}"
        entries[name] = entry
        if values := values_of(entry):
            parents[name] = values
    order = draw(st.permutations(sorted(entries)))
    written = {name: entries[name] for name in order}
    if not constrained:
        return Space.from_dict(written)
    texts = draw(st.lists(conditions(sorted(entries)), min_size=1, max_size=3))
    return Space.from_dict(written, [text for text in texts if _makes_sense(written, text)])


def _makes_sense(written, text):
    try:
        Space.from_dict(written, [text])
    except InvalidRequest:
        return False
    return True


@st.composite
def params_in(draw, space):
    """A valid configuration, in topological order, whatever the constraints say."""
    params = {}
    for p in space.topological:
        if not space.is_active(p, params):
            continue
        if isinstance(p, FloatParameter) and p.size is None:
            params[p.name] = draw(st.floats(p.min, p.max))
        elif isinstance(p, IntParameter) and p.scale == "log":
            params[p.name] = draw(st.integers(p.min, p.max))
        else:
            params[p.name] = p.value_at(draw(st.integers(0, p.size - 1)))
    return params


# -- expressions, as text


def _joined(parts, template):
    return parts.map(lambda found: template.format(*found))


def values(names):
    """Numbers: what stands left and right in a comparison; small enough for any double, and real."""
    numbers = st.sampled_from(["0.0", "1.0", "2.0", "0.5", "3.25", "100.0", "(-7.0)", "true"])
    leaves = st.sampled_from(names) | numbers
    if not names:
        leaves = numbers

    def grown(inner):
        pair = st.tuples(inner, inner)
        return st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
                lambda t: "({} {} {})".format(*t)
            ),
            st.tuples(inner, st.sampled_from(["2.0", "(-1.0)"])).map(lambda t: "({} ** {})".format(*t)),
            st.tuples(st.sampled_from(["abs", "ceil", "floor", "log", "log2", "log10", "round", "sqrt"]), inner).map(
                lambda t: "{}({})".format(*t)
            ),
            st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: "{}({}, {})".format(*t)),
            _joined(pair, "({0} < {1})"),
            inner.map(lambda text: f"exp({text} % 9.0)"),
            inner.map(lambda text: f"(abs({text}) ** 0.5)"),
            inner.map(lambda text: f"(-{text})"),
        )

    return st.recursive(leaves, grown, max_leaves=4)


def conditions(names):
    """Conditions over `names` as text, some of which mix kinds."""
    some = values(names)
    order = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    compared = st.one_of(
        st.tuples(some, order, some).map(lambda t: "{} {} {}".format(*t)),
        st.tuples(some, order, some, order, some).map(lambda t: "{} {} {} {} {}".format(*t)),
        st.tuples(some, st.sampled_from(["in", "not in"]), some, some).map(lambda t: "{} {} [{}, {}]".format(*t)),
        st.tuples(st.sampled_from(names), order, st.sampled_from(["'a'", "'b'", "''"])).map(
            lambda t: "{} {} {}".format(*t)
        ),
    )
    return st.recursive(
        compared,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: "({}) {} ({})".format(*t)),
            inner.map(lambda text: f"not ({text})"),
        ),
        max_leaves=4,
    )
