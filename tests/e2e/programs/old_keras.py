"""Written for the older product with Keras: parameters from config.json, results through a callback and TensorBoard."""

import json
import os

import keras
import numpy as np

config = json.loads(open("config.json").read())
keras.utils.set_random_seed(1)
x = np.random.default_rng(1).random((128, 4)).astype("float32")
y = x.sum(1)


class Results(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.results = []

    def on_epoch_end(self, epoch, logs=None):
        self.results.append({"step": epoch + 1, "loss": logs["val_loss"], "mae": logs["val_mae"]})
        with open(os.environ["RESULT_DIR"] + "/val_dict_list.json", "w") as f:
            f.write(json.dumps(self.results))


model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(float(config["learning_rate"])), loss="mse", metrics=["mae"])
model.fit(x, y, epochs=3, batch_size=32, validation_split=0.25, verbose=2, callbacks=[Results()])
