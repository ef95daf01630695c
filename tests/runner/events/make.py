"""Makes the event files beside it anew: python -m tests.runner.events.make

They are what TensorFlow 2.21 with Keras 3.15, torch 2.13 with TensorBoard 2.21, and tensorboardX 2.6 wrote.
"""

from pathlib import Path

HERE = Path(__file__).parent


def keras_callback(folder):
    import keras
    import numpy as np

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    x = np.random.default_rng(1).random((64, 4))
    model.fit(
        x, x.sum(1), epochs=3, batch_size=16, validation_split=0.25, callbacks=[keras.callbacks.TensorBoard(folder)]
    )


def tf_summary(folder):
    import tensorflow as tf

    with tf.summary.create_file_writer(str(folder)).as_default():
        for step in range(3):
            tf.summary.scalar("val/loss", 0.5 / (step + 1), step=step)


def torch_writer(folder):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        for step in range(3):
            writer.add_scalar("Loss/val", 1 / (step + 1), step)
            writer.add_scalar("acc", 0.5 + step / 10, step, new_style=True)
        writer.add_text("note", "no number", 1)
        writer.add_scalars("both", {"train": 0.1, "val": 0.2}, 1)


def tensorboard_x(folder):
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        writer.add_scalar("val_loss", float("nan"), 5)
        writer.add_scalar("val_loss", 0.25, 6)


if __name__ == "__main__":
    for name, write in [("keras", keras_callback), ("tf", tf_summary), ("torch", torch_writer), ("x", tensorboard_x)]:
        write(HERE / name)
    for path in HERE.rglob("events.out.tfevents.*"):
        path.rename(path.with_name("events.out.tfevents.1"))
