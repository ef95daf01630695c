import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_service.caffe.net import TEST, TRAIN, net_outputs, plan_net
from tuning_service.caffe.schema import MESSAGES, Datum, LayerParameter
from tuning_service.caffe.text import PrototxtError, read_net, read_solver, write_text
from tuning_service.runner.templates import ENUM_FIELDS

V1 = """
name: "old"
layers {
  name: "d" type: DATA top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "x" batch_size: 4 scale: 0.5 crop_size: 8 mirror: true mean_file: "m" backend: LMDB }
}
layers {
  name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
  param: "shared" convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } }
}
layers { name: "r" type: RELU bottom: "c" top: "c" }
layers { name: "i" type: INNER_PRODUCT bottom: "c" top: "i" inner_product_param { num_output: 2 } }
layers { name: "l" type: SOFTMAX_LOSS bottom: "i" bottom: "label" top: "l" loss_weight: 0.25 }
"""
NOW = """
name: "old"
layer {
  name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.5 crop_size: 8 mirror: true mean_file: "m" }
  data_param { source: "x" batch_size: 4 backend: LMDB }
}
layer {
  name: "c" type: "Convolution" bottom: "data" top: "c"
  param { name: "shared" lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } }
}
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "i" type: "InnerProduct" bottom: "c" top: "i" inner_product_param { num_output: 2 } }
layer { name: "l" type: "SoftmaxWithLoss" bottom: "i" bottom: "label" top: "l" loss_weight: 0.25 }
"""


def test_the_older_form_of_a_net_reads_as_todays():
    assert read_net(V1) == read_net(NOW)


@pytest.mark.parametrize(
    "text",
    [
        'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9',
        'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 9 }',
    ],
)
def test_inputs_of_older_nets_become_a_layer(text):
    net = read_net(text + ' layer { name: "r" type: "ReLU" bottom: "data" top: "r" }')
    assert [layer.type for layer in net.layer] == ["Input", "ReLU"]
    assert list(net.layer[0].input_param.shape[0].dim) == [1, 3, 8, 9]
    assert net_outputs(plan_net(net, TEST)) == ("r",)


@pytest.mark.parametrize(
    ("text", "line", "column", "told"),
    [
        ('layer {\n  nam: "a"\n}', 2, 3, 'has no field named "nam"'),
        ("layer {\n  name: 3\n}", 2, 9, "Expected string"),
        ('layer { name: "a"', 1, 15, "Expected"),
        ("layer { pooling_param { pool: MEDIAN } }", 1, 31, "no value named MEDIAN"),
        ("layer {\n convolution_param { pad: -1 } }", 2, 27, "out of range"),
        ('name: "a"\nname: "b"', 2, 7, "multiple"),
        ("layer { convolution_param { num_output: 20.5 } }", 1, 41, "integer"),
        ("\ufefflayer { }", 1, 1, r"got \\ufeff"),
    ],
)
def test_what_cannot_be_parsed_is_placed(text, line, column, told):
    with pytest.raises(PrototxtError, match=told) as caught:
        read_net(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert "tuning_service" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('layer { name: "a" type: "ReLU" } layers { name: "b" type: RELU }', "both layer"),
        ('layers { name: "b" }', "layer b: has no type"),
        ('input: "a" input_dim: 1', "an input_shape, or four input_dim"),
    ],
)
def test_forms_that_cannot_be_brought_up_to_date_are_refused(text, told):
    if "input_dim: 1" in text:
        text = text.replace("input:", 'input: "b" input:')
    with pytest.raises(PrototxtError, match=told):
        read_net(text)


def test_solvers_have_the_published_defaults_and_the_older_type_is_understood():
    solver = read_solver("base_lr: 1e-2 solver_type: ADAGRAD net_param { layers { name: 'r' type: RELU } }")
    assert solver.type == "AdaGrad"
    assert solver.net_param.layer[0].type == "ReLU"
    assert (solver.average_loss, solver.iter_size, solver.clip_gradients) == (1, 1, -1)
    assert solver.momentum2 == pytest.approx(0.999)
    assert solver.test_initialization
    with pytest.raises(PrototxtError, match="both type and the older solver_type"):
        read_solver('type: "SGD" solver_type: SGD')


def test_a_datum_has_the_bytes_that_others_write():
    # Field numbers and wire types of the public format: channels 1, height 2, width 3, data 4, label 5, encoded 7.
    written = bytes.fromhex("080110021803220661626364656628053800")
    datum = Datum.FromString(written)
    assert (datum.channels, datum.height, datum.width, datum.data, datum.label) == (1, 2, 3, b"abcdef", 5)
    assert not datum.encoded
    assert datum.SerializeToString() == written


def test_templates_know_which_fields_take_names():
    fields = {
        field.name
        for message in MESSAGES.values()
        for field in message.DESCRIPTOR.fields
        if field.enum_type is not None
    }
    assert fields - {"type"} == ENUM_FIELDS  # of the older form, where a text is what today's has


def test_a_net_reads_back_as_it_was_written():
    net = read_net(NOW)
    assert read_net(write_text(net)) == net
    assert type(net.layer[0]) is LayerParameter


@given(st.text(alphabet=string.printable, max_size=200) | st.text(max_size=50))
def test_no_text_does_more_than_be_refused(text):
    for read in (read_net, read_solver):
        try:
            read(text)
        except PrototxtError:
            continue


def test_phases_and_stages_choose_the_layers():
    net = read_net("""
    layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 1 } } }
    layer { name: "train" type: "ReLU" bottom: "a" top: "train" include { phase: TRAIN } }
    layer { name: "deploy" type: "ReLU" bottom: "a" top: "deploy" include { stage: "deploy" not_stage: "no" } }
    layer { name: "high" type: "ReLU" bottom: "a" top: "high" exclude { max_level: 1 } exclude { phase: TRAIN } }
    """)

    def names(*state, **more):
        return [planned.name for planned in plan_net(net, *state, **more)]

    assert names(TRAIN) == ["a", "train"]
    assert names(TEST) == ["a"]
    assert names(TEST, level=2) == ["a", "high"]
    assert names(TRAIN, stages=["deploy"]) == ["a", "train", "deploy"]
    assert names(TRAIN, stages=["deploy", "no"]) == ["a", "train"]
