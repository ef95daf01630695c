"""Whatever a net says, it is planned or refused: a manager is asked about it in the middle of a controller's step."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tuning_service.caffe.net import ARITIES, DATA_TYPES, NetError, plan_net
from tuning_service.caffe.shapes import infer_shapes
from tuning_service.caffe.text import PrototxtError, read_net

NETS = [(Path(__file__).parent / "nets" / f"{name}.prototxt").read_text() for name in ("lenet", "columns", "alexnet")]
SETTINGS = [
    "reshape_param { shape { dim: 3 dim: 1 dim: 7 } axis: 1 num_axes: 2 }",
    "flatten_param { axis: 1 end_axis: 3 }",
    "argmax_param { top_k: 2 axis: 1 }",
    "argmax_param { top_k: 2 }",
    "scale_param { axis: 1 num_axes: 2 bias_term: true }",
    "bias_param { axis: 1 num_axes: 2 }",
    "softmax_param { axis: 2 }",
    "slice_param { axis: 1 slice_point: 2 }",
    "concat_param { concat_dim: 3 }",
    "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 axis: 2 }",
    "pooling_param { kernel_size: 3 pad: 1 stride: 2 }",
    "inner_product_param { num_output: 3 axis: 2 }",
    "accuracy_param { axis: 1 top_k: 2 }",
    "lrn_param { local_size: 3 }",
]
TYPES = sorted(ARITIES.keys() - DATA_TYPES)
NUMBERS = st.sampled_from([0, 1, 2, 3, 9, -1, -2, -4, 100, 2**31 - 1, 2**32 - 1])
ITEMS = st.sampled_from([((3, 32, 32), ()), ((), ()), ((5,), ()), ((3, 4), (2,)), (None, None)])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_net_does_more_than_be_refused(data):
    text = data.draw(st.sampled_from(NETS))
    tops = re.findall(r'top: "([^"]+)"', text)
    for number in range(data.draw(st.integers(0, 4))):
        bottoms = data.draw(st.lists(st.sampled_from(tops), min_size=1, max_size=3))
        given_settings = re.sub(r"\d+", lambda _: str(data.draw(NUMBERS)), data.draw(st.sampled_from(SETTINGS)))
        names = "".join(f' bottom: "{name}"' for name in bottoms)
        kind = data.draw(st.sampled_from(TYPES))
        text += f'layer {{ name: "z{number}" type: "{kind}"{names} top: "z{number}" {given_settings} }}\n'
        tops.append(f"z{number}")
    numbers = list(re.finditer(r"(?<=: )\d+(?=[ }\n])", text))
    for match in data.draw(st.lists(st.sampled_from(numbers), max_size=3)):
        text = text[: match.start()] + str(data.draw(NUMBERS)) + " " * 9 + text[match.end() :]
    try:
        plan = plan_net(read_net(text), data.draw(st.sampled_from([0, 1])))
        shaped = infer_shapes(plan, {plan[0].name: data.draw(ITEMS)})
    except (PrototxtError, NetError):
        return
    dims = [dim for layer in shaped for shape in layer.tops if shape is not None for dim in shape]
    assert all(dim is None or dim > 0 for dim in dims)
