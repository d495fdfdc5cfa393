"""What the process loads of which ``tests.support.forked`` makes forks: all of tau-stage, and none of its extras.

What performances and reports load or make at first, in every process, is there too: their loop, prices and templates.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # who forks has one thread

import gc
import importlib
import pkgutil

import tau_stage
from tau_stage.cost.pricing import prices
from tau_stage.report.page import templates

for module in pkgutil.walk_packages(tau_stage.__path__, "tau_stage."):
    # the first is run, and runpy warns of what is loaded before; the others need extras
    if not module.name.endswith(("__main__", ".booth_server", ".loaded_voice")):
        importlib.import_module(module.name)
for name in ("anyio._backends._asyncio", "encodings.idna", "opentimelineio", "typer._adapters"):
    importlib.import_module(name)
prices("gpt-realtime-2.1")
for pages in (templates(), templates("tau_stage.batch")):
    for each in pages.list_templates(["html", "rpp"]):
        pages.get_template(each)
gc.collect()
gc.freeze()  # forks share it as long as nothing looks at it
