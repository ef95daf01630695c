"""All formats by name. A new one is a module beside this, a line here, and its place in `FORMATS_FOR`."""

from collections.abc import Mapping

from tuning_service.logs.bars import Bars
from tuning_service.logs.caffe import Caffe
from tuning_service.logs.dicts import Dicts
from tuning_service.logs.elog import ELog
from tuning_service.logs.estimator import Estimator
from tuning_service.logs.json_lines import JsonLines
from tuning_service.logs.keras import Keras
from tuning_service.logs.lightning import Lightning
from tuning_service.logs.marks import Maker
from tuning_service.logs.pairs import Pairs
from tuning_service.logs.pytorch import PyTorch


def makers() -> Mapping[str, Maker]:
    """What makes a format of each name, from the metrics that the job names."""
    return {
        form.name: form for form in (JsonLines, Pairs, ELog, Bars, Keras, Dicts, Lightning, PyTorch, Estimator, Caffe)
    }
