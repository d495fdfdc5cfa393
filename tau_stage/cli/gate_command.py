"""``tau-stage gate``: one gate for all processes and machines of a batch, and what it holds."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from tau_stage import gate as gates
from tau_stage import report as reports
from tau_stage.cli import options as shared
from tau_stage.cli.printing import say, say_json, show_report
from tau_stage.environment import environment
from tau_stage.errors import UsageError

PORT = 8770
STATUS_S = 5.0
"""Seconds that a gate has to say what it holds."""


def gate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0 selects a free port.")] = PORT,
    host: Annotated[
        str, typer.Option(help="Address to listen on: a loopback address, unless --allow-remote is set.")
    ] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow other machines to connect. Also set --host.")
    ] = False,
    budget: Annotated[str | None, typer.Option(help="Maximum total cost of all scenes, for example '$200'.")] = None,
    start_rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Maximum rate at which sessions open, for example 30/min.")
    ] = None,
    sessions: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of sessions that are open at the same time.")
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            metavar="RATE", help="Maximum token rate for each endpoint, key and model, for example 200000/min."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the amount spent to this file, and load it again after a restart."),
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="Show the limits and usage of the gate at --host and --port.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --status: print the status as JSON.")] = False,
) -> None:
    """Share limits between scenes across multiple processes and machines.

    Clients send the token in TAU_STAGE_GATE_TOKEN. If the variable is not set, the gate creates a token and prints it.
    """
    if status:
        import anyio

        anyio.run(_show_status, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", as_json)
        return
    if as_json:
        raise UsageError("--json requires --status", "add --status")
    from tau_stage.processes import run_until_signal

    limits = gates.GateLimits(
        budget=shared.dollars(budget),
        start_rate=shared.per_minute(start_rate, "--start-rate"),
        sessions=sessions,
        tokens=shared.per_minute(tokens, "--tokens"),
    )
    run_until_signal(_serve, limits, host, port, allow_remote, state, clock={})


async def _serve(limits: gates.GateLimits, host: str, port: int, allow_remote: bool, state: Path | None) -> None:
    import anyio

    given = environment().get(gates.TOKEN, "")
    token = given or secrets.token_urlsafe(24)
    async with gates.open_gate_server(
        limits, token, host=host, port=port, allow_remote=allow_remote, state=state
    ) as address:
        say(f"The gate is listening at {address} (press Ctrl-C to stop)")
        if not given:
            say(f"On clients, run: export {gates.TOKEN}={token}")
        await anyio.sleep_forever()


async def _show_status(address: str, as_json: bool) -> None:
    async with gates.open_gate(address, environment().get(gates.TOKEN, ""), patience_s=STATUS_S) as there:
        held = await there.status()
    held = held.model_copy(update={"clients": held.clients - 1})  # without this command
    if as_json:
        say_json(held.model_dump_json())
    else:
        show_report(tabulate_status(held))


def tabulate_status(held: gates.Status) -> reports.TextReport:
    """Tell what a gate holds: a row for each limit."""
    rate = "none" if held.start_rate is None else f"{held.start_rate:.10g}/min"
    most = "none" if held.sessions is None else str(held.sessions)
    rows = [
        ("new sessions", rate, f"{held.held['opening']} now, {held.openings} in total", str(held.waiting["opening"])),
        ("open sessions", most, str(held.held["sessions"]), f"{held.waiting['sessions']} scenes"),
    ]
    budget = "none" if held.budget is None else f"${held.budget:.2f}"
    paid = f"${held.spent:.4f} spent, ${held.reserved:.4f} reserved"
    rows.append(("budget", budget, paid, f"{held.waiting['dollars']} scenes"))
    tokens = "none" if held.tokens is None else f"{held.tokens:.10g}/min"
    rows.append(("tokens", tokens, "", str(held.waiting["tokens"])))
    accounts = [
        (each.account, _left(each.tokens), _left(each.requests), f"{each.paused_s:.1f} s") for each in held.accounts
    ]
    tables = [reports.TextTable(("limit", "value", "in use", "waiting"), rows, left=frozenset({0, 1, 2, 3}))]
    if accounts:
        tables.append(
            reports.TextTable(("endpoint, key, model", "tokens left", "requests left", "paused for"), accounts)
        )
    return reports.TextReport((f"{held.clients} clients",), tuple(tables), ())


def _left(level: float | None) -> str:
    return "unknown" if level is None else f"{level:.0f}"
