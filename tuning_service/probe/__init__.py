"""For training scripts that want to say exactly what they measured. No script needs it.

    from tuning_service import probe

    settings = probe.params(lr=0.01)
    probe.report(step=3, val_loss=0.21)
    model.fit(..., callbacks=[probe.keras_callback()])

Standard library only, for Python 3.8 and newer; importable in every training that the service runs. Outside the
service everything works too: reports are printed, and parameters are those that the script gives.
"""

from tuning_service.probe.keras import keras_callback
from tuning_service.probe.trial import checkpoint_dir, infeasible, params, report

__all__ = ["checkpoint_dir", "infeasible", "keras_callback", "params", "report"]
