"""Plug-ins for tests: whole ones, and ones that misbehave in one place."""

import io
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

from tuning_service.search.plugins import manifest
from tuning_service.search.plugins.cache import PreparedPlugin

ROOT = Path(__file__).resolve().parents[1]


def manifest_text(name="mine", version="1.0.0", rest=""):
    return f"""
name = "{name}"
version = "{version}"
summary = "For tests."
module = "mine"
class = "Mine"
{rest}
"""


def module_text(statements="pass", top=""):
    """A random search whose `_suggest` begins with `statements`; `top` stands before the class."""
    indented = textwrap.indent(textwrap.dedent(statements), " " * 8)
    return f"""
import os, signal, subprocess, sys, time
from tuning_service.domain.trial import Suggestion
from tuning_service.search.random_search import RandomSearch
{textwrap.dedent(top)}
class Mine(RandomSearch):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.seen = []

    def _observe(self, observations):
        self.seen += [o.number for o in observations]

    def _suggest(self, count, pending):
{indented}
        return super()._suggest(count, pending)
"""


def plugin_files(statements="pass", *, name="mine", version="1.0.0", rest="", top=""):
    """File name to text."""
    return {"plugin.toml": manifest_text(name, version, rest), "mine.py": module_text(statements, top)}


def waiting_files(gate: Path):
    """A plug-in that answers when the file `gate` is there; wrongly, when that holds anything."""
    return plugin_files(f"""
        while not os.path.exists({str(gate)!r}): time.sleep(0.02)
        if os.path.getsize({str(gate)!r}): return []
    """)


def write(folder: Path, files) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def zipped(files, prefix="") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(prefix + name, text)
    return buffer.getvalue()


def tarred(files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def prepared(folder: Path, name="") -> PreparedPlugin:
    return PreparedPlugin(manifest=manifest.read(folder, name=name), folder=folder, python=sys.executable)


OLD_RANDOM = '''
import random

from plugins.core.base_plugin_opt import BasePluginOptimizer
from plugins.core.logger import logger


class PluginOptimizer(BasePluginOptimizer):
    """Independent draws."""

    def __init__(self, name, hyper_parameters, **kwargs):
        super(PluginOptimizer, self).__init__(name, hyper_parameters, **kwargs)
        logger.info("parameters %s, options %s", hyper_parameters, kwargs)
        self.parameters = hyper_parameters
        self.random = random.Random(int(kwargs.get("RandomSeed", "0")))
        self.results = []

    def search(self, number_samples, last_exp_results):
        self.results.extend(last_exp_results or [])
        logger.info("results so far: %d", len(self.results))
        return [{p["name"]: self.draw(p) for p in self.parameters} for _ in range(number_samples)]

    def draw(self, parameter):
        if parameter["type"] == "Discrete":
            key = {"DOUBLE": "discreteDbVal", "INT": "discreteIntVal", "STR": "discreateStrVal"}
            return self.random.choice(parameter[key[parameter["dataType"]]])
        if parameter["dataType"] == "INT":
            return self.random.randint(parameter["minIntVal"], parameter["maxIntVal"])
        return self.random.uniform(parameter["minDbVal"], parameter["maxDbVal"])

    def get_state(self):
        return {"random": self.random.getstate(), "results": self.results}

    def set_state(self, state_dict):
        self.random.setstate(state_dict["random"])
        self.results = state_dict["results"]
'''

# Ends one short of the grid when it is asked for one at a time, as a well-known example does.
OLD_GRID = """
import itertools

import numpy as np

from plugins.core.base_plugin_opt import BasePluginOptimizer
from plugins.core.logger import logger


class PluginOptimizer(BasePluginOptimizer):
    def __init__(self, name, hyper_parameters, **kwargs):
        super().__init__(name, hyper_parameters, **kwargs)
        values = [self.values_of(p) for p in hyper_parameters]
        names = [p["name"] for p in hyper_parameters]
        self.points = [dict(zip(names, point)) for point in itertools.product(*values)]
        self.place = 0
        logger.info("%d points", len(self.points))

    def values_of(self, parameter):
        for key in ("discreteDbVal", "discreteIntVal", "discreateStrVal"):
            if key in parameter:
                return list(np.array(parameter[key]))  # numpy's scalars, on purpose
        return range(parameter["minIntVal"], parameter["maxIntVal"] + 1)

    def search(self, number_samples, last_exp_results=None):
        last = len(self.points) - 1
        if self.place >= last:
            return []
        end = self.place + number_samples
        found = self.points[self.place : end if end <= last else None]
        self.place = min(end, last)
        return found
"""
