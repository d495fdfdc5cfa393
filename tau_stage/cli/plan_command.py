"""``tau-stage plan``: what a scene is likely to take, before anything is spent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from tau_stage.cli.options import OneScene, Only, Var
from tau_stage.cli.printing import say, say_json, show_report


def plan(
    scene: OneScene,
    as_json: Annotated[bool, typer.Option("--json", help="Print the forecast as JSON.")] = False,
    var: Var = None,
    only: Only = None,
) -> None:
    """Estimate a scene's time and cost: who opens when, what is spoken, what listening costs, what would save."""
    from tau_stage.cli.scene_files import load_plans
    from tau_stage.cost import forecast
    from tau_stage.report import forecast_data, tabulate_forecast

    for number, found in enumerate(load_plans([scene], variables=var, only=only)):
        told = forecast(found, datetime.now(UTC).date())
        if as_json:
            import json

            say_json(json.dumps(forecast_data(told), indent=2, ensure_ascii=False))
        else:
            say("\n" if number else "", end="")
            show_report(tabulate_forecast(told))
