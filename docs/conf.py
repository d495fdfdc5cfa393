"""Sphinx's settings: `python -m sphinx -W docs FOLDER` builds the site, without a network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tau_stage.version import __version__

project = "tau-stage"
author = copyright = "The tau-stage authors"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.svgbob",
    "docs.building.extension",
]
exclude_patterns = ["building"]

suppress_warnings = ["misc.highlighting_failure"]  # Pygments takes `[date, +%H:%M]` for a mistake; it is YAML

myst_heading_anchors = 4

autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_preserve_defaults = True
napoleon_use_ivar = True
python_maximum_signature_line_length = 80
add_module_names = False

pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

html_theme = "furo"
html_title = "tau-stage"
html_favicon = "../tau_stage/booth/page/icon.svg"
html_static_path = ["building/static"]
html_css_files = ["site.css"]
templates_path = ["building/templates"]
html_use_index = False
html_additional_pages = {"search": "search.html"}  # Pagefind's
html_copy_source = False
html_show_sphinx = False
