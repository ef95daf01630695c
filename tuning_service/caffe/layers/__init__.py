"""Caffe's layers as torch modules."""

from tuning_service.caffe.layers import activation, convolution, dense, loss, norm, pooling, scoring, shaping
from tuning_service.caffe.layers.base import Layer, Setting, known_layers, make_layer

__all__ = [
    "Layer",
    "Setting",
    "activation",
    "convolution",
    "dense",
    "known_layers",
    "loss",
    "make_layer",
    "norm",
    "pooling",
    "scoring",
    "shaping",
]
