"""tau-stage performs scenes with ensembles of realtime voice models."""
