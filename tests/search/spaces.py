"""Search spaces and configurations in them, drawn by hypothesis."""

from hypothesis import strategies as st

from tuning_service.domain.space import Space

_CATEGORIES = st.lists(
    st.sampled_from([True, False, 0, 1, 2, 0.5, 1.5, "a", "b", ""]),
    min_size=1,
    max_size=4,
    unique_by=lambda v: (type(v), v),
)


@st.composite
def _floats(draw):
    scale = draw(st.sampled_from(["linear", "log"]))
    bounds = st.floats(1e-300, 1e300) if scale == "log" else st.floats(-1e300, 1e300)
    low, high = sorted([draw(bounds), draw(bounds)])
    return {"type": "float", "min": low, "max": high, "scale": scale}


@st.composite
def _ints(draw, largest):
    scale = draw(st.sampled_from(["linear", "log", "pow2"]))
    if scale == "pow2":
        low, high = sorted([draw(st.integers(0, 3 if largest < 100 else 40)) for _ in range(2)])
        return {"type": "int", "min": 2**low, "max": 2**high, "scale": scale}
    low = draw(st.integers(1 if scale == "log" else -largest, largest))
    return {"type": "int", "min": low, "max": low + draw(st.integers(0, largest)), "scale": scale}


@st.composite
def spaces(draw, *, finite=False):
    """A space of one to five parameters, floats named f…, with conditions on discrete ones."""
    parameters, parents = {}, {}
    for i in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["i", "c"] if finite else ["f", "i", "c"]))
        if kind == "f":
            data = draw(_floats())
        elif kind == "i":
            data = draw(_ints(4 if finite else 2**40))
        else:
            data = {"type": "categorical", "values": draw(_CATEGORIES)}
        if parents and draw(st.booleans()):
            chosen = draw(st.lists(st.sampled_from(sorted(parents)), min_size=1, max_size=2, unique=True))
            data["when"] = {p: [draw(st.sampled_from(parents[p]))] for p in chosen}
        name = f"{kind}{i}"
        parameters[name] = data
        if kind == "c":
            parents[name] = data["values"]
        elif kind == "i":
            parents[name] = [data["min"], data["max"]]
    order = draw(st.permutations(sorted(parameters)))
    return Space.from_dict({name: parameters[name] for name in order})


@st.composite
def params_in(draw, space):
    """A valid configuration, in topological order."""
    params = {}
    for p in space.topological:
        if not space.is_active(p, params):
            continue
        if p.name.startswith("f"):
            params[p.name] = draw(st.floats(p.min, p.max))
        elif p.name.startswith("c"):
            params[p.name] = draw(st.sampled_from(p.values))
        elif p.scale == "pow2":
            params[p.name] = draw(st.sampled_from(p.choices))
        else:
            params[p.name] = draw(st.integers(p.min, p.max))
    return params
