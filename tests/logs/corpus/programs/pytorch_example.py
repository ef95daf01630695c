"""Prints as the MNIST example of pytorch/examples does."""

from digits import loader, step, test

for epoch in range(1, 4):
    for index, batch in enumerate(loader):
        loss = step(batch)
        done = f"{index * len(batch[0])}/96 ({100.0 * index / len(loader):.0f}%)"
        print(f"Train Epoch: {epoch} [{done}]\tLoss: {loss:.6f}")
    loss, right = test()
    print(f"\nTest set: Average loss: {loss:.4f}, Accuracy: {right}/96 ({100.0 * right / 96:.0f}%)\n")
