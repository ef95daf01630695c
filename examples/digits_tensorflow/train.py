"""Trains a small convolutional network on scikit-learn's 8x8 digits with Keras' own model.fit.

An ordinary TensorFlow script: it knows nothing of the service that tunes it. Run it by hand with

    python train.py --lr 0.01 --optimizer adam
"""

import argparse

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

VALIDATION_SIZE = 360  # of 1797 images
SPLIT_SEED = 0  # fixed, so that all configurations are judged on the same images whatever --seed is


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="adam", help="update rule")
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate")
    parser.add_argument("--momentum", type=float, default=0.0, help="used by sgd only")
    parser.add_argument("--batch_size", type=int, default=64, help="images per update")
    parser.add_argument("--width", type=int, default=16, help="channels of the first convolution")
    parser.add_argument("--dropout", type=float, default=0.0, help="share of features dropped before the last layer")
    parser.add_argument("--epochs", type=int, default=15, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the shuffling and the dropout")
    return parser.parse_args()


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Training and validation split: images (n, 8, 8, 1) in [-1, 1], labels (n,)."""
    digits = load_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(digits.target))
    images = (digits.images[order] / 8.0 - 1.0).astype("float32")[..., None]
    labels = digits.target[order]
    train, validation = slice(VALIDATION_SIZE, None), slice(VALIDATION_SIZE)
    return (images[train], labels[train]), (images[validation], labels[validation])


def build_model(width: int, dropout: float) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),  # 8x8 -> 4x4
            layers.Conv2D(2 * width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),  # 4x4 -> 2x2
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(10, activation="softmax"),
        ]
    )


def build_optimizer(args: argparse.Namespace) -> keras.optimizers.Optimizer:
    if args.optimizer == "adam":
        return keras.optimizers.Adam(args.lr)
    return keras.optimizers.SGD(args.lr, momentum=args.momentum)


def main() -> None:
    args = parse_arguments()
    keras.utils.set_random_seed(args.seed)
    train, validation = load_data()
    model = build_model(args.width, args.dropout)
    model.compile(optimizer=build_optimizer(args), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    # What fit() prints for each epoch is all that the service reads.
    model.fit(*train, batch_size=args.batch_size, epochs=args.epochs, validation_data=validation)


if __name__ == "__main__":
    main()
