"""Prints as the ImageNet example of pytorch/examples does: meters with the value and its mean."""

from digits import loader, step, test


def meter(name, values, form, *, spread=" "):
    return f"{name}{spread}{values[-1]:{form}} ({sum(values) / len(values):{form}})"


def line(prefix, done, times, losses, right):
    parts = [meter("Time", times, "6.3f"), meter("Data", times, "6.3f"), meter("Loss", losses, ".4e")]
    return "\t".join([f"{prefix}[{done:1d}/3]", *parts, meter("Acc@1", right, "6.2f")])


for epoch in range(2):
    losses = []
    for index, batch in enumerate(loader):
        losses.append(step(batch))
        print(line(f"Epoch: [{epoch}]", index + 1, [0.01], losses, [50.0]))
    loss, right = test()
    print(line("Test: ", 3, [0.01], [loss], [100 * right / 96]))
    print(f" *   Acc@1 {100 * right / 96:.3f} Acc@5 100.000")
