"""`python seed_optuna.py FILE --trials 1000 --points 5000 --studies 100`: an equal study for optuna-dashboard.

Runs in the peer's environment, and so imports nothing of this project. Optuna makes the schema, the study and one
trial; the other rows go in through sqlite3, since Optuna stores one intermediate value at a time.
"""

import argparse
import random
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import numpy as np
import optuna

METRIC = "val_accuracy"
START = datetime(2026, 1, 1)  # noqa: DTZ001 - as Optuna stores it


def curve(draw: random.Random, points: int) -> list[float]:
    """As in seed.py."""
    reach, pace, noise = draw.uniform(0.3, 0.9), draw.uniform(0.2, 0.6), draw.uniform(0.001, 0.01)
    shakes = np.random.default_rng(draw.getrandbits(32)).random(points)
    found: list[float] = (1 - reach * np.arange(1.0, points + 1) ** -pace - noise * shakes).tolist()
    return found


def objective(trial: optuna.Trial) -> float:
    """The same parameters as in seed.py; conditional, so that both branches are known."""
    trial.suggest_float("lr", 1e-4, 0.3, log=True)
    trial.suggest_int("batch_size", 16, 256, log=True)
    trial.suggest_float("dropout", 0.0, 0.7)
    if trial.suggest_categorical("optimizer", ["sgd", "adam"]) == "sgd":
        trial.suggest_float("momentum", 0.0, 0.99)
    return 0.5


def fill(path: str, study_id: int, trials: int, points: int) -> None:
    """The study has so many completed trials of so many intermediate values."""
    draw = random.Random(0)
    base = sqlite3.connect(path, timeout=60)  # fifty who read hold its writer up for long
    base.execute("PRAGMA synchronous=OFF")
    first = base.execute("SELECT coalesce(max(trial_id), 0) FROM trials").fetchone()[0] + 1
    distributions = dict(base.execute("SELECT param_name, distribution_json FROM trial_params"))
    known = base.execute("SELECT count(*) FROM trials WHERE study_id = ?", (study_id,)).fetchone()[0]
    for number in range(known, trials):
        trial = first + number - known
        at = START + timedelta(seconds=number)
        base.execute(
            "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
            " VALUES (?, ?, ?, 'COMPLETE', ?, ?)",
            (trial, number, study_id, str(at), str(at + timedelta(seconds=50))),
        )
        chosen = {"lr": 10 ** draw.uniform(-4, -0.53), "batch_size": 2 ** draw.randrange(4, 9)}
        chosen |= {"dropout": draw.uniform(0, 0.7), "optimizer": draw.randrange(2)}
        if chosen["optimizer"] == 0:
            chosen["momentum"] = draw.uniform(0, 0.99)
        base.executemany(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
            [(trial, name, value, distributions[name]) for name, value in chosen.items() if name in distributions],
        )
        values = curve(draw, points)
        base.execute(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')",
            (trial, values[-1]),
        )
        base.executemany(
            "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)"
            " VALUES (?, ?, ?, 'FINITE')",
            [(trial, step, value) for step, value in enumerate(values, 1)],
        )
    base.commit()
    base.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--studies", type=int, default=0, help="studies of five trials, beside the large one")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{arguments.file}")
    study = optuna.create_study(storage=storage, study_name="digits", direction="maximize")
    study.set_metric_names([METRIC])
    study.enqueue_trial({"optimizer": "sgd"})
    study.optimize(objective, n_trials=1)
    fill(arguments.file, study._study_id, arguments.trials, arguments.points)  # noqa: SLF001 - the row's id
    storage.engine.dispose()
    # The connection's own `with` would only commit.
    with closing(sqlite3.connect(arguments.file)) as base, base:
        last = base.execute("SELECT max(study_id) FROM studies").fetchone()[0]
        ids = range(last + 1, last + 1 + arguments.studies)
        base.executemany("INSERT INTO studies (study_id, study_name) VALUES (?, ?)", [(i, f"digits {i}") for i in ids])
        base.executemany(
            "INSERT INTO study_directions (direction, study_id, objective) VALUES ('MAXIMIZE', ?, 0)",
            [(i,) for i in ids],
        )
        base.executemany(
            "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)"
            " VALUES (?, ?, 'COMPLETE', ?, ?)",
            [(number, i, str(START), str(START)) for i in ids for number in range(5)],
        )
        base.execute(
            "INSERT INTO trial_values (trial_id, objective, value, value_type)"
            " SELECT trial_id, 0, 0.5, 'FINITE' FROM trials WHERE study_id > ?",
            (last,),
        )


if __name__ == "__main__":
    main()
