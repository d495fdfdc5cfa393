"""A plan as JSON: what a scene resolves to, to be shown and kept."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from pydantic import BaseModel

from tau_stage.scene.plan import Plan


def resolved(plan: Plan) -> str:
    """Write a whole plan as JSON."""
    facts = asdict(replace(plan, spots={}, remarks=()))
    del facts["spots"], facts["remarks"]
    return json.dumps(facts, default=_as_json, indent=2, ensure_ascii=False)


def _as_json(value: object) -> object:
    """Write parts of a plan that are models of the scene language, or numbers JSON has not."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
