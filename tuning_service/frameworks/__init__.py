"""Framework managers: one module each, found by name through the registry in `base`.

Importing this package registers the built-in ones. None of them imports its framework.
"""

from tuning_service.frameworks import caffe, command, pytorch, tensorflow
from tuning_service.frameworks.base import Preparation, TuningFrameworkMgr, framework, frameworks

__all__ = ["Preparation", "TuningFrameworkMgr", "caffe", "command", "framework", "frameworks", "pytorch", "tensorflow"]
