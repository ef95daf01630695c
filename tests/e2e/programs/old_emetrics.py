"""Written for the older product, with a module like its EMetrics that comes with the program."""

import json
import os
import time


class Metrics:
    """Appends records to LOG_DIR, and writes those of the group test into RESULT_DIR when it is closed."""

    def __init__(self, subid):
        self.subid = subid
        folder = os.path.join(os.environ["LOG_DIR"], subid) if subid else os.environ["LOG_DIR"]
        os.makedirs(folder, exist_ok=True)
        self.file = open(os.path.join(folder, "evaluation-metrics.txt"), "a")
        self.test = []

    def record(self, group, iteration, values):
        record = {
            "meta": {
                "training_id": os.environ["TRAINING_ID"],
                "time": int(time.time() * 1000),
                "rindex": 1,
                "subid": self.subid,
            },
            "grouplabel": group,
            "etimes": {
                "iteration": {"type": 2, "value": str(iteration)},
                "time_stamp": {"type": 2, "value": str(int(time.time() * 1000))},
            },
            "values": {name: {"type": 3, "value": str(value)} for name, value in values.items()},
        }
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()
        if group == "test":
            self.test.append({"steps": iteration, **values})

    def close(self):
        self.file.close()
        if self.subid:
            with open(os.path.join(os.environ["RESULT_DIR"], "val_dict_list.json"), "w") as f:
                json.dump(self.test, f)


learning_rate = float(json.loads(open("config.json").read()).get("learning_rate", "0.01"))
metrics = Metrics(os.environ.get("SUBID") if os.path.exists("with-subid") else None)
for step in range(1, 5):
    metrics.record("train", step, {"loss": learning_rate / step})
    metrics.record("test", step, {"loss": learning_rate * 2 / step, "accuracy": 1 - learning_rate / step})
    print(f"[2026-01-01 00:00:0{step}] step {step} done")
metrics.close()
