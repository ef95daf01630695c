"""What Caffe's layers and solvers compute, from their published definitions: one value at a time, in float64.

Written for reading. It shares no code with the runtime, and uses numpy for arrays alone.
"""

import math
from itertools import product

import numpy as np


def pooled_size(size, kernel, stride, pad, *, padded):
    """`padded`: whether either axis is."""
    windows = math.ceil((size + 2 * pad - kernel) / stride) + 1
    if padded and (windows - 1) * stride >= size + pad:
        windows -= 1
    return windows


def pooling(x, kernel, stride, pad, kind):
    n, c, h, w = x.shape
    oh, ow = (pooled_size(*axis, padded=any(pad)) for axis in zip((h, w), kernel, stride, pad, strict=True))
    y = np.zeros((n, c, oh, ow))
    for i, k, p, q in product(range(n), range(c), range(oh), range(ow)):
        top, left = p * stride[0] - pad[0], q * stride[1] - pad[1]
        end, right = min(top + kernel[0], h + pad[0]), min(left + kernel[1], w + pad[1])
        area = (end - top) * (right - left)
        rows, columns = range(max(top, 0), min(end, h)), range(max(left, 0), min(right, w))
        values = [x[i, k, r, s] for r in rows for s in columns]
        if kind == "MAX":
            y[i, k, p, q] = max(values, default=-np.finfo(np.float32).max)
        else:
            y[i, k, p, q] = sum(values) / area if values else 0.0
    return y


def convolution(x, weight, bias, stride, pad, dilation, group):
    n, _, h, w = x.shape
    out, per_group, kh, kw = weight.shape
    oh = (h + 2 * pad[0] - (dilation[0] * (kh - 1) + 1)) // stride[0] + 1
    ow = (w + 2 * pad[1] - (dilation[1] * (kw - 1) + 1)) // stride[1] + 1
    y = np.zeros((n, out, oh, ow))
    for i, o, p, q in product(range(n), range(out), range(oh), range(ow)):
        first = o // (out // group) * per_group
        total = 0.0 if bias is None else bias[o]
        for c, a, b in product(range(per_group), range(kh), range(kw)):
            r, s = p * stride[0] - pad[0] + a * dilation[0], q * stride[1] - pad[1] + b * dilation[1]
            if 0 <= r < h and 0 <= s < w:
                total += weight[o, c, a, b] * x[i, first + c, r, s]
        y[i, o, p, q] = total
    return y


def deconvolution(x, weight, bias, stride, pad, group):
    n, channels, h, w = x.shape
    _, per_group, kh, kw = weight.shape
    oh, ow = stride[0] * (h - 1) + kh - 2 * pad[0], stride[1] * (w - 1) + kw - 2 * pad[1]
    y = np.zeros((n, per_group * group, oh, ow))
    if bias is not None:
        y += bias[None, :, None, None]
    for i, c, p, q in product(range(n), range(channels), range(h), range(w)):
        first = c // (channels // group) * per_group
        for o, a, b in product(range(per_group), range(kh), range(kw)):
            r, s = p * stride[0] - pad[0] + a, q * stride[1] - pad[1] + b
            if 0 <= r < oh and 0 <= s < ow:
                y[i, first + o, r, s] += weight[c, o, a, b] * x[i, c, p, q]
    return y


def lrn_across(x, size, alpha, beta, k):
    y = np.zeros_like(x)
    n, channels, h, w = x.shape
    reach = (size - 1) // 2
    for i, c, p, q in product(range(n), range(channels), range(h), range(w)):
        squares = sum(x[i, d, p, q] ** 2 for d in range(max(0, c - reach), min(channels, c + reach + 1)))
        y[i, c, p, q] = x[i, c, p, q] / (k + alpha / size * squares) ** beta
    return y


def lrn_within(x, size, alpha, beta):
    y = np.zeros_like(x)
    n, channels, h, w = x.shape
    reach = (size - 1) // 2
    for i, c, p, q in product(range(n), range(channels), range(h), range(w)):
        squares = 0.0
        for r, s in product(range(p - reach, p + reach + 1), range(q - reach, q + reach + 1)):
            if 0 <= r < h and 0 <= s < w:
                squares += x[i, c, r, s] ** 2
        y[i, c, p, q] = x[i, c, p, q] * (1 + alpha * squares / size**2) ** -beta
    return y


def softmax(row):
    shifted = [math.exp(v - max(row)) for v in row]
    return [v / sum(shifted) for v in shifted]


def softmax_loss(x, labels, mode, ignored=None):
    """x: (outer, classes, inner), labels: (outer, inner)."""
    total, valid = 0.0, 0
    outer, _, inner = x.shape
    for i, j in product(range(outer), range(inner)):
        if labels[i, j] == ignored:
            continue
        total -= math.log(max(softmax(list(x[i, :, j]))[int(labels[i, j])], np.finfo(np.float32).tiny))
        valid += 1
    return total / max(1.0, {"FULL": outer * inner, "VALID": valid, "BATCH_SIZE": outer, "NONE": 1}[mode])


def sigmoid_loss(x, target, divisor):
    total = 0.0
    for a, t in zip(x.ravel(), target.ravel(), strict=True):
        p = 1 / (1 + math.exp(-a))
        total -= t * math.log(p) + (1 - t) * math.log(1 - p)
    return total / divisor


def hinge_loss(x, labels, *, squared):
    total = 0.0
    for row, label in zip(x, labels, strict=True):
        for index, value in enumerate(row):
            over = max(0.0, 1 - value if index == label else 1 + value)
            total += over**2 if squared else over
    return total / len(x)


def accuracy(x, labels, top_k, ignored=None):
    right = counted = 0
    for row, label in zip(x, labels, strict=True):
        if label == ignored:
            continue
        counted += 1
        better = sum(v >= row[int(label)] for i, v in enumerate(row) if i != int(label))
        right += better < top_k
    return right / max(1, counted)


class BatchNorm:
    def __init__(self, channels, fraction, eps):
        self.mean, self.variance, self.factor = np.zeros(channels), np.zeros(channels), 0.0
        self.fraction, self.eps = fraction, eps

    def train(self, x):
        y = np.zeros_like(x)
        count = x.size // x.shape[1]
        self.factor = self.factor * self.fraction + 1
        for c in range(x.shape[1]):
            values = x[:, c]
            mean = values.sum() / count
            variance = ((values - mean) ** 2).sum() / count
            y[:, c] = (values - mean) / math.sqrt(variance + self.eps)
            unbiased = variance * (count / (count - 1) if count > 1 else 1)
            self.mean[c] = self.mean[c] * self.fraction + mean
            self.variance[c] = self.variance[c] * self.fraction + unbiased
        return y

    def test(self, x):
        scale = 1 / self.factor if self.factor else 0.0
        y = np.zeros_like(x)
        for c in range(x.shape[1]):
            y[:, c] = (x[:, c] - self.mean[c] * scale) / math.sqrt(self.variance[c] * scale + self.eps)
        return y


class Solver:
    """One blob; `step` gives it after an update by `gradient`."""

    def __init__(self, kind, w, *, momentum=0.0, momentum2=0.999, delta=1e-8, rms_decay=0.99):
        self.kind, self.w = kind, w.astype(float).copy()
        self.momentum, self.momentum2, self.delta, self.rms_decay = momentum, momentum2, delta, rms_decay
        self.a, self.b = np.zeros_like(self.w), np.zeros_like(self.w)
        self.turn = 0

    def step(self, gradient, rate, decay=0.0, regularisation="L2"):
        for place in np.ndindex(self.w.shape):
            w, g = self.w[place], gradient[place]
            g += decay * (w if regularisation == "L2" else np.sign(w))
            self.w[place] = w - self._change(place, g, rate)
        self.turn += 1
        return self.w

    def _change(self, i, g, rate):
        mu = self.momentum
        if self.kind == "SGD":
            self.a[i] = rate * g + mu * self.a[i]
            return self.a[i]
        if self.kind == "Nesterov":
            before = self.a[i]
            self.a[i] = rate * g + mu * self.a[i]
            return (1 + mu) * self.a[i] - mu * before
        if self.kind == "AdaGrad":
            self.a[i] += g * g
            return rate * g / (math.sqrt(self.a[i]) + self.delta)
        if self.kind == "RMSProp":
            self.a[i] = self.rms_decay * self.a[i] + (1 - self.rms_decay) * g * g
            return rate * g / (math.sqrt(self.a[i]) + self.delta)
        if self.kind == "AdaDelta":
            self.a[i] = mu * self.a[i] + (1 - mu) * g * g
            change = g * math.sqrt((self.b[i] + self.delta) / (self.a[i] + self.delta))
            self.b[i] = mu * self.b[i] + (1 - mu) * change * change
            return rate * change
        assert self.kind == "Adam"
        t = self.turn + 1
        self.a[i] = mu * self.a[i] + (1 - mu) * g
        self.b[i] = self.momentum2 * self.b[i] + (1 - self.momentum2) * g * g
        correction = math.sqrt(1 - self.momentum2**t) / (1 - mu**t)
        return rate * correction * self.a[i] / (math.sqrt(self.b[i]) + self.delta)
