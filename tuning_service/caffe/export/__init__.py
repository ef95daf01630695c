"""A trained net for use elsewhere: ONNX, or a torch checkpoint."""

from tuning_service.caffe.export.write import export

__all__ = ["export"]
