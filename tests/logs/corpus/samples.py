"""The samples of the corpus: what made them, and of which framework they are."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`command` is run in programs/; empty when the sample was written by hand, after `source`."""

    framework: str
    command: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # modules
    terminal: bool = False  # its output is a pseudo-terminal
    source: str = ""


def _python(*arguments: str) -> tuple[str, ...]:
    return ("python", *arguments)


_KERAS, _TORCH = ("keras", "tensorflow"), ("torch",)

SAMPLES = {
    "keras_verbose_1": Sample(framework="tensorflow", command=_python("keras_fit.py", "1", "val"), needs=_KERAS),
    "keras_verbose_2": Sample(framework="tensorflow", command=_python("keras_fit.py", "2", "val"), needs=_KERAS),
    "keras_no_validation": Sample(framework="tensorflow", command=_python("keras_fit.py", "1"), needs=_KERAS),
    "keras_no_validation_2": Sample(framework="tensorflow", command=_python("keras_fit.py", "2"), needs=_KERAS),
    "keras_terminal": Sample(
        framework="tensorflow", command=_python("keras_fit.py", "1", "val"), needs=_KERAS, terminal=True
    ),
    "pytorch_example": Sample(framework="pytorch", command=_python("pytorch_example.py"), needs=_TORCH),
    "pytorch_imagenet": Sample(framework="pytorch", command=_python("pytorch_imagenet.py"), needs=_TORCH),
    "pytorch_tutorial": Sample(framework="pytorch", command=_python("pytorch_tutorial.py"), needs=_TORCH),
    "torch_loop": Sample(framework="pytorch", command=_python("torch_loop.py"), needs=(*_TORCH, "tqdm")),
    "lightning_rich": Sample(
        framework="pytorch", command=_python("lightning_fit.py"), needs=(*_TORCH, "lightning", "rich")
    ),
    "lightning_tqdm": Sample(
        framework="pytorch", command=_python("lightning_fit.py", "tqdm"), needs=(*_TORCH, "lightning", "tqdm")
    ),
    "huggingface_trainer": Sample(
        framework="pytorch", command=_python("huggingface_trainer.py"), needs=(*_TORCH, "transformers", "accelerate")
    ),
    "torchrun": Sample(
        framework="pytorch",
        command=_python("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--tee=3", "ddp.py"),
        needs=_TORCH,
    ),
    "spark": Sample(framework="pytorch", command=_python("spark_driver.py"), needs=(*_TORCH, "pyspark")),
    "caffe": Sample(framework="caffe", source="the format strings of Caffe's solver.cpp and of glog"),
    "caffe_in_spark": Sample(framework="caffe", source="the same, behind the prefix of Spark's executors"),
    "tf_estimator": Sample(framework="tensorflow", source="the format strings of tf.estimator in TensorFlow 1.15"),
    "keras_2": Sample(framework="tensorflow", source="the format strings of Keras 2's Progbar"),
    "elog": Sample(framework="pytorch", source="the logger of the training interface described in docs/logs.md"),
}
