"""Prints as the quickstart and the CIFAR-10 tutorial of PyTorch do."""

from digits import loader, step, test

for epoch in range(2):
    print(f"Epoch {epoch + 1}\n-------------------------------")
    for index, batch in enumerate(loader):
        loss = step(batch)
        print(f"loss: {loss:>7f}  [{(index + 1) * 32:>5d}/{96:>5d}]")
    loss, right = test()
    print(f"Test Error: \n Accuracy: {100 * right / 96:>0.1f}%, Avg loss: {loss:>8f} \n")
print(f"[3, {2000:5d}] loss: {loss:.3f}")
print(f"Accuracy of the network on the 96 test images: {100 * right // 96} %")
