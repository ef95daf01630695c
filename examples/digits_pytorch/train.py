"""Trains a small convolutional network on scikit-learn's 8x8 digits and prints one line an epoch.

An ordinary PyTorch script: all it knows of a service that tunes it is a folder to leave its model in. Run
it by hand with

    python train.py --lr 0.05 --momentum 0.9
"""

import argparse
import os

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

VALIDATION_SIZE = 360  # of 1797 images
SPLIT_SEED = 0  # fixed, so that all configurations are judged on the same images whatever --seed is

Split = tuple[torch.Tensor, torch.Tensor]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd", help="update rule")
    parser.add_argument("--lr", type=float, default=0.05, help="learning rate")
    parser.add_argument("--momentum", type=float, default=0.0, help="used by sgd only")
    parser.add_argument("--weight_decay", type=float, default=0.0, help="L2 penalty")
    parser.add_argument("--batch_size", type=int, default=64, help="images per update")
    parser.add_argument("--width", type=int, default=16, help="channels of the first convolution")
    parser.add_argument("--dropout", type=float, default=0.0, help="share of features dropped before the last layer")
    parser.add_argument("--epochs", type=int, default=15, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the shuffling and the dropout")
    return parser.parse_args()


def load_data(device: torch.device) -> tuple[Split, Split]:
    """Training and validation split: images (n, 1, 8, 8) in [-1, 1], labels (n,)."""
    digits = load_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(digits.target))
    images = torch.tensor(digits.images[order] / 8.0 - 1.0, dtype=torch.float32, device=device).unsqueeze(1)
    labels = torch.tensor(digits.target[order], device=device)
    train, validation = slice(VALIDATION_SIZE, None), slice(VALIDATION_SIZE)
    return (images[train], labels[train]), (images[validation], labels[validation])


def build_network(width: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # 8x8 -> 4x4
        nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # 4x4 -> 2x2
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * width * 2 * 2, 10),
    )


def build_optimizer(network: nn.Module, args: argparse.Namespace) -> torch.optim.Optimizer:
    if args.optimizer == "adam":
        return torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    return torch.optim.SGD(network.parameters(), lr=args.lr, momentum=args.momentum, weight_decay=args.weight_decay)


def train_epoch(network: nn.Module, optimizer: torch.optim.Optimizer, data: Split, batch_size: int) -> float:
    """Mean loss over the epoch."""
    images, labels = data
    network.train()
    total = 0.0
    for batch in torch.randperm(len(labels), device=labels.device).split(batch_size):
        loss = functional.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(labels)


@torch.no_grad()
def evaluate(network: nn.Module, data: Split) -> tuple[float, float]:
    """Mean loss, and share of images that are recognised."""
    images, labels = data
    network.eval()
    scores = network(images)
    accuracy = (scores.argmax(dim=1) == labels).double().mean()
    return functional.cross_entropy(scores, labels).item(), accuracy.item()


def main() -> None:
    args = parse_arguments()
    # PyTorch itself reads OMP_NUM_THREADS for its number of threads; nothing to do here.
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, validation = load_data(device)
    network = build_network(args.width, args.dropout).to(device)
    optimizer = build_optimizer(network, args)
    for epoch in range(1, args.epochs + 1):
        train_loss = train_epoch(network, optimizer, train, args.batch_size)
        val_loss, val_accuracy = evaluate(network, validation)
        print(
            f"epoch {epoch}: train_loss={train_loss:.4f} val_loss={val_loss:.4f} val_accuracy={val_accuracy:.4f}",
            flush=True,  # seen while the training runs, even through a pipe
        )
    # Set when it is tuned: what is in this folder at the end is kept, and can be downloaded.
    if folder := os.environ.get("TUNING_ARTIFACTS_DIR"):
        torch.save(network.state_dict(), f"{folder}/model.pt")


if __name__ == "__main__":
    main()
