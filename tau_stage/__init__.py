"""tau-stage performs scenes with ensembles of realtime voice models."""

__version__ = "0.1.0"
