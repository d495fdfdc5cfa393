"""What the process loads of which ``tests.support.forked`` makes forks: all of tau-stage, and none of its extras."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # who forks has one thread

import importlib
import pkgutil

import tau_stage

for module in pkgutil.walk_packages(tau_stage.__path__, "tau_stage."):
    # the first is run, and runpy warns of what is loaded before; the others need extras
    if not module.name.endswith(("__main__", ".booth_server", ".loaded_voice")):
        importlib.import_module(module.name)
