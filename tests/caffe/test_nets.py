"""Nets of published architectures, and every way in which a net can be wrong."""

from pathlib import Path

import pytest

from tuning_service.caffe.net import TEST, TRAIN, NetError, net_outputs, plan_net
from tuning_service.caffe.shapes import infer_shapes, parameter_count
from tuning_service.caffe.text import read_net

NETS = Path(__file__).parent / "nets"


def shaped(name, phase=TRAIN, item=None):
    plan = plan_net(read_net((NETS / f"{name}.prototxt").read_text()), phase)
    return infer_shapes(plan, None if item is None else {plan[0].name: (item, ())})


def tops(layers):
    return {layer.planned.name: layer.tops[0] for layer in layers}


# Parameters: for a convolution outputs x (inputs / group x height x width + 1), for a product outputs x (inputs + 1).
LENET = 20 * (25 + 1) + 50 * (20 * 25 + 1) + 500 * (800 + 1) + 10 * (500 + 1)
QUICK = 32 * (75 + 1) + 32 * (800 + 1) + 64 * (800 + 1) + 64 * (1024 + 1) + 10 * (64 + 1)
FULL = 32 * (75 + 1) + 32 * (800 + 1) + 64 * (800 + 1) + 10 * (1024 + 1)
ALEXNET = (
    96 * (3 * 121 + 1)
    + 256 * (48 * 25 + 1)
    + 384 * (256 * 9 + 1)
    + 384 * (192 * 9 + 1)
    + 256 * (192 * 9 + 1)
    + 4096 * (256 * 36 + 1)
    + 4096 * (4096 + 1)
    + 1000 * (4096 + 1)
)


@pytest.mark.parametrize(
    ("name", "item", "count", "known"),
    [
        ("lenet", (1, 28, 28), LENET, 431_080),
        ("cifar10_quick", (3, 32, 32), QUICK, 145_578),
        ("cifar10_full", (3, 32, 32), FULL, 89_578),
        ("alexnet", (3, 256, 256), ALEXNET, 60_965_224),
        # With both auxiliary heads; 6,998,552 without.
        ("googlenet", (3, 256, 256), 13_378_280, 13_378_280),
    ],
)
@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_published_nets_have_their_known_number_of_parameters(name, item, count, known, phase):
    assert parameter_count(shaped(name, phase, item)) == count == known


def test_shapes_of_lenet():
    assert tops(shaped("lenet", TRAIN, (1, 28, 28))) == {
        "mnist": (64, 1, 28, 28),
        "conv1": (64, 20, 24, 24),
        "pool1": (64, 20, 12, 12),
        "conv2": (64, 50, 8, 8),
        "pool2": (64, 50, 4, 4),
        "ip1": (64, 500),
        "relu1": (64, 500),
        "ip2": (64, 10),
        "loss": (),
    }
    blobs = {layer.planned.name: [blob.shape for blob in layer.blobs] for layer in shaped("lenet", TEST, (1, 28, 28))}
    assert blobs["conv2"] == [(50, 20, 5, 5), (50,)]
    assert blobs["ip1"] == [(500, 800), (500,)]
    assert [blob.lr_mult for blob in shaped("lenet", TRAIN, (1, 28, 28))[1].blobs] == [1, 2]


def test_pooling_rounds_up():
    found = tops(shaped("cifar10_quick", TRAIN, (3, 32, 32)))
    # 32 and a window of 3 with stride 2: 15.5 steps.
    assert [found[name] for name in ("pool1", "pool2", "pool3")] == [
        (100, 32, 16, 16),
        (100, 32, 8, 8),
        (100, 64, 4, 4),
    ]


def test_inception_joins_its_columns_and_alexnet_has_groups():
    found = tops(shaped("googlenet", TRAIN, (3, 256, 256)))
    assert found["inception_3a/output"] == (32, 256, 28, 28)
    assert found["inception_4e/output"] == (32, 832, 14, 14)
    assert found["pool5/7x7_s1"] == (32, 1024, 1, 1)
    assert net_outputs(plan_net(read_net((NETS / "googlenet.prototxt").read_text()), TEST)) == (
        "accuracy",
        "loss",
        "loss1/loss",
        "loss2/loss",
    )
    alexnet = {layer.planned.name: layer for layer in shaped("alexnet", TRAIN, (3, 256, 256))}
    assert alexnet["conv2"].blobs[0].shape == (256, 48, 5, 5)
    assert alexnet["pool5"].tops == ((256, 256, 6, 6),)


def test_columns_are_cut_and_joined():
    layers = {layer.planned.name: layer for layer in shaped("columns")}
    assert layers["slice"].tops == ((8, 1, 16, 16), (8, 3, 16, 16))
    assert layers["concat"].tops == ((8, 16, 8, 8),)
    assert layers["global"].tops == ((8, 16, 1, 1),)
    assert [(blob.shape, blob.lr_mult) for blob in layers["norm"].blobs] == [((16,), 0), ((16,), 0), ((1,), 0)]
    assert [blob.shape for blob in layers["scale"].blobs] == [(16,), (16,)]


def test_what_only_the_data_can_tell_stays_open_and_the_rest_is_known():
    found = tops(shaped("lenet"))
    assert found["conv1"] == (64, 20, None, None)
    assert found["ip2"] == (64, 10)
    assert parameter_count(shaped("lenet")) is None
    # The crop says what size images have, whatever there is in the folder.
    assert tops(shaped("alexnet"))["pool5"] == (256, 256, 6, 6)


SHARED = 'param { name: "w" } inner_product_param { num_output: 2 }'


def net(*layers, shape="dim: 2 dim: 4 dim: 10 dim: 10", more=""):
    data = f'layer {{ name: "in" type: "Input" top: "x" top: "y" input_param {{ shape {{ {shape} }} {more} }} }}'
    return read_net("\n".join([data, *(f"layer {{ {layer} }}" for layer in layers)]))


def one(type_, settings="", **kwargs):
    return infer_shapes(plan_net(net(f'name: "a" type: "{type_}" bottom: "x" top: "a" {settings}', **kwargs), TRAIN))[1]


@pytest.mark.parametrize(
    ("type_", "settings", "top"),
    [
        ("Convolution", "convolution_param { num_output: 6 kernel_size: 3 }", (2, 6, 8, 8)),
        (
            "Convolution",
            "convolution_param { num_output: 6 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 }",
            (2, 6, 10, 10),
        ),
        ("Convolution", "convolution_param { num_output: 6 kernel_size: [5, 3] stride: [2, 1] }", (2, 6, 3, 8)),
        ("Convolution", "convolution_param { num_output: 6 kernel_size: 3 dilation: 4 }", (2, 6, 2, 2)),
        ("Convolution", "convolution_param { num_output: 6 kernel_size: 10 stride: 7 }", (2, 6, 1, 1)),
        ("Convolution", "convolution_param { axis: 0 num_output: 6 kernel_size: 3 }", (6, 2, 8, 8)),
        ("Deconvolution", "convolution_param { num_output: 6 kernel_size: 4 stride: 2 pad: 1 }", (2, 6, 20, 20)),
        ("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", (2, 4, 5, 5)),
        ("Pooling", "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }", (2, 4, 4, 4)),
        # The fourth window would begin in the padding behind the input.
        ("Pooling", "pooling_param { kernel_size: 2 stride: 5 pad: 1 }", (2, 4, 3, 3)),
        ("Pooling", "pooling_param { kernel_size: 2 stride: 4 pad: 1 }", (2, 4, 3, 3)),
        # Wider than the input by less than its stride: cut, as Caffe does.
        ("Pooling", "pooling_param { kernel_size: 11 stride: 2 }", (2, 4, 1, 1)),
        ("Pooling", "pooling_param { pool: AVE global_pooling: true }", (2, 4, 1, 1)),
        ("InnerProduct", "inner_product_param { num_output: 5 }", (2, 5)),
        ("InnerProduct", "inner_product_param { num_output: 5 axis: -1 }", (2, 4, 10, 5)),
        ("Flatten", "", (2, 400)),
        ("Flatten", "flatten_param { axis: 1 end_axis: 2 }", (2, 40, 10)),
        ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 5 } }", (2, 80, 5)),
        ("Reshape", "reshape_param { shape { dim: 1 dim: 4 } axis: 1 num_axes: 1 }", (2, 1, 4, 10, 10)),
        ("Reshape", "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }", (2, 4, 10, 10, 1)),
        ("ArgMax", "", (2, 1, 1, 1)),
        ("ArgMax", "argmax_param { top_k: 3 out_max_val: true }", (2, 2, 3, 1)),
        ("ArgMax", "argmax_param { top_k: 3 axis: 1 }", (2, 3, 10, 10)),
        ("Softmax", "softmax_param { axis: -1 }", (2, 4, 10, 10)),
    ],
)
def test_shapes_that_settings_make(type_, settings, top):
    assert one(type_, settings).tops == (top,)


def test_a_kernel_may_have_any_number_of_dimensions():
    found = one(
        "Convolution", "convolution_param { num_output: 2 kernel_size: 3 }", shape="dim: 1 dim: 2 dim: 5 dim: 6 dim: 7"
    )
    assert found.tops == ((1, 2, 3, 4, 5),)
    assert found.blobs[0].shape == (2, 2, 3, 3, 3)


@pytest.mark.parametrize(
    ("type_", "settings", "blobs"),
    [
        ("Deconvolution", "convolution_param { num_output: 6 kernel_size: 3 group: 2 }", [(4, 3, 3, 3), (6,)]),
        ("Convolution", "convolution_param { num_output: 6 kernel_size: 3 bias_term: false }", [(6, 4, 3, 3)]),
        ("InnerProduct", "inner_product_param { num_output: 5 transpose: true }", [(400, 5), (5,)]),
        ("PReLU", "", [(4,)]),
        ("PReLU", "prelu_param { channel_shared: true }", [()]),
        ("Scale", "scale_param { axis: 1 num_axes: 2 }", [(4, 10)]),
        ("Scale", "scale_param { axis: 0 num_axes: -1 bias_term: true }", [(2, 4, 10, 10)] * 2),
        ("Bias", "bias_param { num_axes: 0 }", [()]),
        ("BatchNorm", "", [(4,), (4,), (1,)]),
        ("ReLU", "", []),
    ],
)
def test_parameters_that_settings_make(type_, settings, blobs):
    assert [blob.shape for blob in one(type_, settings).blobs] == blobs


@pytest.mark.parametrize(
    ("type_", "settings", "told"),
    [
        (
            "Convolution",
            "convolution_param { num_output: 1 kernel_size: 11 }",
            "kernel of 11 is larger than its input of 10",
        ),
        (
            "Convolution",
            "convolution_param { num_output: 1 kernel_size: 7 dilation: 2 pad: 1 }",
            r"kernel of 7 \(dilated to 13\) is larger than its input of 10 and pad 1",
        ),
        ("Convolution", "convolution_param { num_output: 1 }", "no kernel_size"),
        ("Convolution", "convolution_param { kernel_size: 1 }", "num_output above 0"),
        ("Convolution", "convolution_param { num_output: 1 kernel_size: 0 }", "kernel of 0"),
        ("Convolution", "convolution_param { num_output: 1 kernel_size: 1 stride: 0 }", "stride of 0"),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 group: 3 }", "group 3 does not divide the 4"),
        ("Convolution", "convolution_param { num_output: 3 kernel_size: 1 group: 2 }", "not divide num_output 3"),
        ("Convolution", "convolution_param { num_output: 1 kernel_size: [1, 2, 3] }", "3 kernel_size fields for 2"),
        ("Convolution", "convolution_param { num_output: 1 kernel_size: 1 kernel_h: 2 }", "kernel_h or kernel_w"),
        ("Deconvolution", "convolution_param { num_output: 1 kernel_size: 1 pad: 5 }", "leaves nothing"),
        ("Pooling", "pooling_param { kernel_size: 12 stride: 2 }", "larger than its input of 10"),
        ("Pooling", "pooling_param { kernel_size: 2 pad: 2 }", "pad 2, which must be smaller"),
        ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "STOCHASTIC is not supported"),
        ("Pooling", "pooling_param { kernel_h: 2 }", "either kernel_size, or both kernel_h and kernel_w"),
        ("Pooling", "pooling_param { }", "no kernel_size"),
        ("Pooling", "pooling_param { global_pooling: true kernel_size: 2 }", "takes no kernel size"),
        ("InnerProduct", "", "num_output above 0"),
        ("InnerProduct", "inner_product_param { num_output: 1 axis: 4 }", "axis 4 is out of range"),
        ("LRN", "lrn_param { local_size: 4 }", "odd local_size"),
        ("InnerProduct", "inner_product_param { num_output: 6000000 }", "a parameter of 6000000 x 400 numbers"),
        ("Convolution", "convolution_param { num_output: 4000000000 kernel_size: 1 }", "a top of 2 x 4000000000 x"),
        ("Dropout", "dropout_param { dropout_ratio: 1 }", "below 1"),
        ("Scale", "scale_param { axis: 2 num_axes: 3 }", "num_axes 3 goes beyond"),
        ("Reshape", "reshape_param { shape { dim: 3 dim: -1 } }", "cannot make 2 x 4 x 10 x 10"),
        ("Reshape", "reshape_param { shape { dim: 3 } }", "makes 3 numbers of the 800"),
        ("Flatten", "flatten_param { axis: 2 end_axis: 1 }", "before axis 2"),
        ("ArgMax", "argmax_param { axis: 1 top_k: 5 }", "top_k 5 is more than the 4 classes"),
        ("ReLU", "param { } ", "1 param fields and 0 parameters"),
        ("Sigmoid", "loss_weight: 1 loss_weight: 2", "2 loss_weight fields and 1 tops"),
    ],
)
def test_wrong_settings_name_their_layer(type_, settings, told):
    with pytest.raises(NetError, match=f"^layer a: .*{told}"):
        one(type_, settings)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (['name: "a" type: "ReLU" bottom: "z" top: "a"'], "layer a: bottom z is the top of no layer before it"),
        (['name: "a" type: "Relu" bottom: "x" top: "a"'], "type Relu is not supported; did you mean ReLU?"),
        (['name: "a" type: "Python" bottom: "x" top: "a"'], "layer a: type Python is not supported"),
        (['name: "a" bottom: "x"'], "layer a: has no type"),
        (['name: "a" type: "Convolution" bottom: "x" top: "x"'], "layer a: x is a top of layer in too"),
        (['name: "a" type: "Slice" bottom: "x" top: "s" top: "s"'], "layer a: s is a top more than once"),
        (['name: "a" type: "ReLU" bottom: "x" top: "a"'] * 2, "layer a: a is a top more than once"),
        (
            ['name: "a" type: "ReLU" bottom: "x" top: "a"', 'name: "a" type: "ReLU" bottom: "a" top: "a"'],
            "layer a: 2 layers have this name",
        ),
        (['name: "a" type: "Pooling" bottom: "x" bottom: "y" top: "a"'], "has 2 bottom fields, and Pooling takes 1"),
        (['name: "a" type: "SoftmaxWithLoss" bottom: "x" top: "a"'], "1 bottom fields, and SoftmaxWithLoss takes 2"),
        (['name: "a" type: "Convolution" bottom: "x" bottom: "y" top: "a"'], "takes as many of both"),
        (['name: "a" type: "ReLU" include { phase: TRAIN } exclude { phase: TEST }'], "both include and exclude"),
        (['name: "a" type: "Concat" bottom: "x" bottom: "y" top: "a"'], "layer a: its bottoms differ in shape"),
        (['name: "a" type: "Eltwise" bottom: "x" bottom: "y" top: "a"'], "layer a: its bottoms differ in shape"),
        (['name: "a" type: "EuclideanLoss" bottom: "x" bottom: "y" top: "a"'], "differ in size"),
        (['name: "a" type: "SoftmaxWithLoss" bottom: "x" bottom: "y" top: "a"'], "200 predictions"),
        (['name: "a" type: "Slice" bottom: "x" top: "s" top: "t" top: "u"'], "cannot divide 4 evenly among 3"),
        (['name: "a" type: "Slice" bottom: "x" top: "s" top: "t" slice_param { slice_point: 4 }'], "does not rise"),
        (
            [
                f'name: "a" type: "InnerProduct" bottom: "x" top: "a" {SHARED}',
                f'name: "b" type: "InnerProduct" bottom: "a" top: "b" {SHARED}',
            ],
            "layer b: shares the parameter w with layer a, which has 2 x 400 where this one has 2 x 2",
        ),
    ],
)
def test_wrong_nets_name_their_layer(layers, told):
    made = net(*layers, more="shape { dim: 2 dim: 3 dim: 7 dim: 7 }")
    with pytest.raises(NetError) as caught:
        infer_shapes(plan_net(made, TRAIN))
    assert told in str(caught.value)


def test_a_shared_parameter_counts_once():
    product = 'inner_product_param { num_output: 4 bias_term: false } param { name: "w" lr_mult: 3 }'
    made = net(
        f'name: "a" type: "InnerProduct" bottom: "x" top: "a" {product}',
        f'name: "b" type: "InnerProduct" bottom: "a" top: "b" {product}',
        shape="dim: 2 dim: 4",
    )
    layers = infer_shapes(plan_net(made, TRAIN))
    assert parameter_count(layers) == 16
    assert [layer.blobs[0].owner for layer in layers[1:]] == [("a", 0), ("a", 0)]
    assert layers[2].blobs[0].lr_mult == 3


def test_a_loss_without_a_top_gets_one_and_a_layer_in_place_keeps_the_name():
    made = net(
        'name: "r" type: "ReLU" bottom: "x" top: "x"',
        'name: "l" type: "EuclideanLoss" bottom: "x" bottom: "y"',
    )
    plan = plan_net(made, TRAIN)
    assert plan[-1].tops == ("(automatic)",)
    assert plan[-1].loss_weights == (1.0,)
    assert net_outputs(plan) == ("(automatic)",)


DATA = {
    "Data": 'type: "Data" data_param { batch_size: 5 }',
    "ImageData": 'type: "ImageData" image_data_param { batch_size: 5 }',
    "HDF5Data": 'type: "HDF5Data" hdf5_data_param { batch_size: 5 }',
}


@pytest.mark.parametrize(
    ("layer", "items", "shapes"),
    [
        (DATA["Data"], None, [(5, None, None, None), (5,)]),
        (DATA["Data"], [(3, 32, 40), ()], [(5, 3, 32, 40), (5,)]),
        (DATA["Data"], [(64,), ()], [(5, 64), (5,)]),
        (DATA["Data"] + " transform_param { crop_size: 8 }", None, [(5, None, 8, 8), (5,)]),
        (DATA["Data"] + " transform_param { crop_size: 8 force_gray: true }", [(3, 32, 40), ()], [(5, 1, 8, 8), (5,)]),
        (DATA["ImageData"], None, [(5, 3, None, None), (5,)]),
        (DATA["ImageData"], [(3, 9, 7), ()], [(5, 3, 9, 7), (5,)]),
        (
            'type: "ImageData" image_data_param { batch_size: 5 new_height: 6 new_width: 7 is_color: false }',
            None,
            [(5, 1, 6, 7), (5,)],
        ),
        (DATA["HDF5Data"], None, [None, None]),
        (DATA["HDF5Data"], [(3, 4), (2,)], [(5, 3, 4), (5, 2)]),
        (
            'type: "MemoryData" memory_data_param { batch_size: 5 channels: 1 height: 8 width: 9 }',
            None,
            [(5, 1, 8, 9), (5,)],
        ),
        ('type: "DummyData" dummy_data_param { num: 5 channels: 1 height: 2 width: 3 }', None, [(5, 1, 2, 3)] * 2),
    ],
)
def test_shapes_of_data_layers(layer, items, shapes):
    plan = plan_net(read_net(f'layer {{ name: "d" top: "data" top: "label" {layer} }}'), TRAIN)
    [found] = infer_shapes(plan, None if items is None else {"d": items})
    assert list(found.tops) == shapes


@pytest.mark.parametrize(
    ("layer", "items", "told"),
    [
        ('type: "Data" data_param { }', None, "batch_size above 0"),
        (DATA["Data"] + " transform_param { crop_size: 33 }", [(3, 32, 40), ()], "crop_size 33 is larger than"),
        (
            DATA["Data"] + " transform_param { mean_value: 1 mean_value: 2 }",
            [(3, 8, 8), ()],
            "2 mean_value fields for 3",
        ),
        (DATA["Data"] + ' transform_param { mean_value: 1 mean_file: "m" }', None, "both mean_file and mean_value"),
        (DATA["ImageData"].replace("5", "5 new_height: 3"), None, "one of new_height and new_width"),
        (DATA["HDF5Data"] + " transform_param { scale: 2 }", None, "does not take transform_param"),
        (DATA["HDF5Data"], [(3,)], "has 2 tops, and its data has 1"),
        ('type: "DummyData" dummy_data_param { num: 5 }', None, "different numbers of times"),
        ('type: "Input" input_param { shape { dim: 0 } }', None, "must be above 0"),
        ('type: "MemoryData"', None, "each dimension must be above 0"),
    ],
)
def test_data_layers_that_cannot_be(layer, items, told):
    plan = plan_net(read_net(f'layer {{ name: "d" top: "data" top: "label" {layer} }}'), TRAIN)
    with pytest.raises(NetError, match=f"layer d: .*{told}"):
        infer_shapes(plan, None if items is None else {"d": items})


def test_nothing_heavy_is_needed_to_look_at_a_net():
    import subprocess
    import sys

    program = (
        "import sys, tuning_service.frameworks, tuning_service.caffe.shapes, tuning_service.caffe.text\n"
        "print(sorted({'torch', 'numpy', 'h5py', 'PIL'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
