"""The training loop: iterations, tests, displays and snapshots in Caffe's order, told in Caffe's words."""

import math
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuning_service.caffe import log, snapshot
from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.messages import choice
from tuning_service.caffe.nets import FedNet, build, solver_nets
from tuning_service.caffe.policies import learning_rate
from tuning_service.caffe.rules import make_rule
from tuning_service.caffe.wire import SolverState

# What a signal asks for: "" nothing, "snapshot", or "stop" after a snapshot.
Request = Callable[[], str]


class Solver:
    """Trains the net of a solver file. `solve` runs to the end; `step` and `test` are its parts."""

    def __init__(
        self,
        message: Any,
        path: Path,
        device: torch.device,
        request: Request = lambda: "",
        resume: Path | None = None,
    ) -> None:
        """Build the nets and open their data. `path` is the solver's file, `resume` a .solverstate to go on from.

        Raises:
            CheckFailed, NetError: something is missing, or does not go together.
        """
        self.message, self.device, self._request = message, device, request
        self._check()
        state = snapshot.load_state(resume) if resume else None
        extra = snapshot.unpack(state.extra) if state else {}
        given = int(message.random_seed) if message.random_seed >= 0 else secrets.randbits(31)
        # The seed of the snapshot, so that a shuffled order goes on.
        self.seed = extra.get("seed", given)
        torch.manual_seed(self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        trained, *tested = solver_nets(message, path.parent)
        self.name = trained.message.name
        self.train = build(trained, seed=self.seed, generator=generator, device=device)
        check(self.train.net.has_loss, "the net has no loss in phase TRAIN: nothing can be learned")
        self.tests = [
            build(file, seed=self.seed, generator=generator, device=device, share=self.train.net) for file in tested
        ]
        self.rule = make_rule(message, self.train.net.learnable)
        self.prefix = message.snapshot_prefix or str(path.with_suffix(""))
        self.iteration = 0
        self._losses: deque[Tensor] = deque(maxlen=max(1, message.average_loss))
        self._last_outputs: list[Tensor] = []
        self._shown_at, self._shown_iteration = time.perf_counter(), 0
        self._stopping = False
        if resume and state:
            self._restore(resume, state, extra)

    def _check(self) -> None:
        check(self.message.base_lr >= 0, f"base_lr is {self.message.base_lr:g}; it must not be below 0")
        check(
            choice(self.message, "snapshot_format") == "BINARYPROTO",
            "snapshot_format HDF5 is not written here; leave it out for binary files",
        )

    def solve(self) -> bool:
        """Train until max_iter; False when a signal stopped it before.

        Raises:
            CheckFailed: data cannot be read, or the loss is no number any more.
        """
        message = self.message
        log.info("solver.cpp:288", f"Solving {self.name}")
        log.info("solver.cpp:289", f"Learning Rate Policy: {message.lr_policy}")
        try:
            self._run()
            if message.snapshot_after_train and (not message.snapshot or self.iteration % message.snapshot):
                self.snapshot()
            if self._stopping:
                log.info("solver.cpp:298", "Optimization stopped early.")
                return False
            self._conclude()
        finally:
            self.close()
        log.info("solver.cpp:315", "Optimization Done.")
        return True

    def close(self) -> None:
        """Stop reading data ahead."""
        for fed in (self.train, *self.tests):
            fed.feed.close()

    def _run(self) -> None:
        message = self.message
        self._shown_at, self._shown_iteration = time.perf_counter(), self.iteration
        while self.iteration < message.max_iter:
            if self._tests_at(self.iteration) and (self.iteration or message.test_initialization):
                self.test()
            if self._stopping:
                break
            self.step()
            request = self._request()
            if request == "snapshot" or (message.snapshot and self.iteration % message.snapshot == 0):
                self.snapshot()
            self._stopping = self._stopping or request == "stop"

    def _tests_at(self, iteration: int) -> bool:
        return bool(self.tests) and iteration % self.message.test_interval == 0

    def _displays_at(self, iteration: int) -> bool:
        return bool(self.message.display) and iteration % self.message.display == 0

    def step(self) -> None:
        """One iteration: iter_size batches forward and backward, the displays, the update."""
        total: Tensor | None = None
        for _ in range(self.message.iter_size):
            loss, self._last_outputs = self.train.net(self.train.feed.next())
            if loss.requires_grad:
                loss.backward()
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        self._losses.append(total / self.message.iter_size if self.message.iter_size > 1 else total)
        shown = self._displays_at(self.iteration)
        rate = learning_rate(self.message, self.iteration)
        if shown:
            self._display(rate)
        self.rule.step(rate, self.iteration)
        self.iteration += 1

    def _smoothed(self) -> float:
        return float(torch.stack(list(self._losses)).mean())

    def _display(self, rate: float) -> None:
        loss = self._smoothed()
        seconds = time.perf_counter() - self._shown_at
        speed = (self.iteration - self._shown_iteration) / (seconds or 1.0)
        told = f"{log.number(speed)} iter/s, {log.number(seconds)}s/{self.message.display} iters"
        log.info("solver.cpp:218", f"Iteration {self.iteration} ({told}), loss = {log.number(loss)}")
        self._shown_at, self._shown_iteration = time.perf_counter(), self.iteration
        self._tell("solver.cpp:237", "Train", self.train, [x.detach().float() for x in self._last_outputs])
        log.info("sgd_solver.cpp:105", f"Iteration {self.iteration}, lr = {log.number(rate)}")
        self._check_loss(loss)

    def _check_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise CheckFailed(
                f"the loss is {log.number(loss)} at iteration {self.iteration}: the training has diverged; "
                "a smaller base_lr or clip_gradients may help"
            )

    def _tell(self, source: str, kind: str, fed: FedNet, values: list[Tensor]) -> None:
        number = 0
        for output, value in zip(fed.net.outputs, values, strict=True):
            for one in value.reshape(-1).tolist():
                part = ""
                if output.weight:
                    weighed = log.number(output.weight * one)
                    part = f" (* {log.number(output.weight)} = {weighed} loss)"
                log.info(source, f"    {kind} net output #{number}: {output.name} = {log.number(one)}{part}")
                number += 1

    @torch.no_grad()
    def test(self) -> None:
        """All test nets, test_iter batches each."""
        for number, fed in enumerate(self.tests):
            log.info("solver.cpp:330", f"Iteration {self.iteration}, Testing net (#{number})")
            count = self.message.test_iter[number]
            check(count > 0, "test_iter must be above 0")
            sums: list[Tensor] = []
            total = torch.zeros((), device=self.device)
            for _ in range(count):
                if self._asked_to_stop():
                    log.info("solver.cpp:376", "Test interrupted.")
                    return
                loss, outputs = fed.net(fed.feed.next())
                sums = [a + b for a, b in zip(sums, outputs, strict=True)] if sums else [x.float() for x in outputs]
                total = total if loss is None else total + loss
            if self.message.test_compute_loss:
                log.info("solver.cpp:383", f"Test loss: {log.number(float(total) / count)}")
            self._tell("solver.cpp:397", "Test", fed, [x / count for x in sums])

    def _asked_to_stop(self) -> bool:
        request = self._request()
        if request == "snapshot":
            self.snapshot()
        self._stopping = self._stopping or request == "stop"
        return self._stopping

    def _conclude(self) -> None:
        """A last look at both nets, where their turn is."""
        if self._displays_at(self.iteration):
            with torch.no_grad():
                loss, _ = self.train.net(self.train.feed.next())
            self._losses.append(loss)
            smoothed = self._smoothed()
            log.info("solver.cpp:310", f"Iteration {self.iteration}, loss = {log.number(smoothed)}")
            self._check_loss(smoothed)
        elif self._losses:
            self._check_loss(float(self._losses[-1]))
        if self._tests_at(self.iteration):
            self.test()

    def snapshot(self) -> Path:
        """Write weights and solver state; returns the state's path."""
        stem = f"{self.prefix}_iter_{self.iteration}"
        model, state = Path(stem + snapshot.MODEL), Path(stem + snapshot.STATE)
        log.info("solver.cpp:447", f"Snapshotting to binary proto file {model}")
        snapshot.save_weights(model, self.name, self.train.net)
        log.info("sgd_solver.cpp:273", f"Snapshotting solver state to binary proto file {state}")
        extra = {
            "seed": self.seed,
            "train": self.train.feed.number,
            "tests": [fed.feed.number for fed in self.tests],
            "losses": [float(loss) for loss in self._losses],
        }
        history = [blob.cpu().numpy() for blob in self.rule.history()]
        packed = snapshot.pack(extra, self.device)
        kept = SolverState(iteration=self.iteration, learned_net=str(model), history=history, extra=packed)
        snapshot.save_state(state, kept)
        return state

    def load_weights(self, path: Path) -> None:
        """Begin with the weights of `path`."""
        log.info("caffe.cpp:155", f"Finetuning from {path}")
        snapshot.copy_weights(snapshot.load_weights(path), self.train.net, str(path))

    def _restore(self, path: Path, state: SolverState, extra: dict[str, Any]) -> None:
        """Go on as if nothing had been between.

        A state that Caffe wrote has no place in the data: that begins anew, as it does in Caffe.
        """
        log.info("caffe.cpp:242", f"Resuming from {path}")
        learned = Path(state.learned_net)
        # A folder of snapshots may have been moved.
        learned = learned if learned.exists() else path.with_suffix(snapshot.MODEL)
        snapshot.copy_weights(snapshot.load_weights(learned), self.train.net, str(learned))
        self.rule.restore(state.history)
        self.iteration = state.iteration
        if not extra:
            return
        snapshot.set_generators(extra, self.device)
        self._losses.extend(torch.tensor(loss, device=self.device) for loss in extra["losses"])
        for fed, number in zip((self.train, *self.tests), (extra["train"], *extra["tests"]), strict=False):
            fed.feed.seek(number)
