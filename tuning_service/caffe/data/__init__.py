"""Where batches come from. A batch follows from the seed and its number, so a training is resumed by number."""

from tuning_service.caffe.data.feed import Feed, LabelRange
from tuning_service.caffe.data.readers import Origin, Reader, make_reader

__all__ = ["Feed", "LabelRange", "Origin", "Reader", "make_reader"]
