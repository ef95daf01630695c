"""What older prototxt files say, said as today's do."""

from typing import Any

from tuning_service.caffe.schema import NetParameter

# `type` of a V1 layer -> `type` of today; NONE and IM2COL are nothing that a net can be trained with.
_TYPES = {
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
_SOLVERS = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")  # by number of SolverType
# Fields of data layers that are transform_param's today.
_TRANSFORM = ("scale", "mean_file", "crop_size", "mirror")
_DATA = {"Data": "data_param", "ImageData": "image_data_param", "WindowData": "window_data_param"}
_OWN = frozenset({"type", "param", "blobs_lr", "weight_decay", "blob_share_mode"})  # what a V1 layer says otherwise


def upgrade_net(net: Any) -> None:
    """Bring `net` up to date, in place. Raises ValueError when it mixes the forms or is incomplete."""
    if net.layers and net.layer:
        raise ValueError("the net has both layer { } and the older layers { }; write all of them as layer { }")
    for old in net.layers:
        _layer(old, net.layer.add())
    net.ClearField("layers")
    for layer in net.layer:
        _transform(layer)
    if net.input:
        _inputs(net)


def upgrade_solver(solver: Any) -> None:
    """Bring `solver` and the nets in it up to date, in place. Raises ValueError as `upgrade_net` does."""
    if solver.HasField("solver_type"):
        if solver.HasField("type"):
            raise ValueError("the solver has both type and the older solver_type; keep type")
        solver.type = _SOLVERS[solver.solver_type]
        solver.ClearField("solver_type")
    for name in ("net_param", "train_net_param"):
        if solver.HasField(name):
            upgrade_net(getattr(solver, name))
    for net in solver.test_net_param:
        upgrade_net(net)


def _layer(old: Any, new: Any) -> None:
    if not old.HasField("type"):
        raise ValueError(f"layer {old.name}: has no type")
    name = old.LayerType.Name(old.type)
    if name not in _TYPES:
        raise ValueError(f"layer {old.name}: has no type")
    new.type = _TYPES[name]
    for field, value in old.ListFields():
        if field.name in _OWN:
            continue
        if isinstance(value, str):
            setattr(new, field.name, value)
        elif hasattr(value, "MergeFrom"):
            getattr(new, field.name).MergeFrom(value)
    _params(old, new)


def _params(old: Any, new: Any) -> None:
    for index in range(max(len(old.param), len(old.blobs_lr), len(old.weight_decay), len(old.blob_share_mode))):
        spec = new.param.add()
        if index < len(old.param) and old.param[index]:
            spec.name = old.param[index]
        if index < len(old.blobs_lr):
            spec.lr_mult = old.blobs_lr[index]
        if index < len(old.weight_decay):
            spec.decay_mult = old.weight_decay[index]
        if index < len(old.blob_share_mode):
            spec.share_mode = old.blob_share_mode[index]


def _transform(layer: Any) -> None:
    name = _DATA.get(layer.type)
    if name is None or not layer.HasField(name):
        return
    data = getattr(layer, name)
    for field in _TRANSFORM:
        if data.HasField(field):
            setattr(layer.transform_param, field, getattr(data, field))
            data.ClearField(field)


def _inputs(net: Any) -> None:
    shapes = [list(shape.dim) for shape in net.input_shape]
    if not shapes:
        dims = list(net.input_dim)
        shapes = [dims[first : first + 4] for first in range(0, len(dims), 4)]
    if len(shapes) != len(net.input) or any(not shape for shape in shapes):
        raise ValueError(
            f"the net has {len(net.input)} input fields and shapes for {len(shapes)} of them; "
            "give an input_shape, or four input_dim, for each"
        )
    made = NetParameter()
    layer = made.layer.add(name="input", type="Input", top=list(net.input))
    for shape in shapes:
        layer.input_param.shape.add(dim=shape)
    made.layer.extend(net.layer)
    net.ClearField("layer")
    net.layer.extend(made.layer)
    for name in ("input", "input_shape", "input_dim"):
        net.ClearField(name)
