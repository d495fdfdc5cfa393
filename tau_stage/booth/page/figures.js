// Money and time: tokens and dollars of each player, listening apart; how long each line took.

import { $, amount, dollars, make, setText, span } from "./dom.js";
import { median } from "./session.js";
import { deadAir } from "./stage.js";

// Writes a table's rows, of [head, values]; what has not changed is left alone.
const write = (body, rows) => {
  while (body.rows.length > rows.length) body.lastChild.remove();
  rows.forEach(([head, values], index) => {
    let row = body.rows[index];
    if (!row || row.cells.length !== values.length + 1) {
      const fresh = make("tr", {}, make("th", { scope: "row", dir: "auto" }), ...values.map(() => make("td")));
      if (row) row.replaceWith(fresh); else body.append(fresh);
      row = fresh;
    }
    [head, ...values].forEach((value, column) => setText(row.cells[column], value));
  });
};

const writeHead = (names) => {
  const head = $("times-head"), mark = JSON.stringify(names);
  if (head.dataset.mark === mark) return;
  head.dataset.mark = mark;
  head.replaceChildren(make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))));
};

const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

// What a player has used: its session tells; a take that is over has its lines.
const usageOf = ({ source, stage, player }) => {
  if (source && source.session.usage.responses) return source.session.usage;
  return player && stage ? player.tokens : { spoken: 0, listened: 0, cached: 0, text: 0 };
};

const inMoney = (tokens, price) => (price === null || price === undefined ? amount(tokens) : `${amount(tokens)} · ${dollars(price)}`);

export const drawFigures = (lanes, scope) => {
  const stage = scope?.stage ?? null, used = lanes.map((lane) => [lane, usageOf(lane)]);
  write($("money"), used.map(([lane, usage]) => {
    const money = lane.source?.session.money ?? {};
    return [lane.name, [inMoney(usage.spoken, money.spoken), inMoney(usage.listened, money.listened), inMoney(usage.cached, money.cached), amount(usage.text), dollars(lane.source ? lane.source.session.dollars : null)]];
  }));
  const total = (kind) => amount(sum(used.map(([, usage]) => usage[kind])));
  const known = lanes.map((lane) => lane.source?.session.dollars ?? null).filter((each) => each !== null);
  const spent = stage ? Math.max(stage.spent, sum(known)) : known.length ? sum(known) : null;
  write($("money-sum"), [["All", [total("spoken"), total("listened"), total("cached"), total("text"), dollars(spent)]]]);
  setText($("money-note"), ["in tokens; dollars are an estimate", stage?.isFree ? "nothing was spent, because the understudy performs" : ""].filter(Boolean).join("; "));
  if (stage) drawLines(stage); else drawSessions(lanes);
};

const drawLines = (stage) => {
  const air = deadAir(stage), hearers = stage.players.map((player) => player.name);
  setText($("times-note"), "for each line; the column of a player shows how long it took the player to hear the line");
  writeHead(["Line", "first audio", "dead air", "took", "cost", ...hearers]);
  write($("times"), stage.spoken.slice(-200).map((line) => [line.id, [
    span(line.firstAudio), air.has(line.id) ? span(air.get(line.id)) : "–", span(line.took), dollars(line.dollars),
    ...hearers.map((name) => { const heard = line.hearings.find((one) => one.hearer === name); return name === line.player ? "speaks" : heard ? (heard.problem ? "never" : span(heard.took)) : "–"; }),
  ]]));
};

const drawSessions = (lanes) => {
  setText($("times-note"), "from a request, or the end of speech, to the first audio");
  writeHead(["Player", "last", "median", "longest", "answers"]);
  write($("times"), lanes.filter((lane) => lane.source).map((lane) => {
    const { latencies } = lane.source.session;
    return [lane.name, [span(latencies.at(-1) ?? null), span(median(latencies)), span(latencies.length ? Math.max(...latencies) : null), String(latencies.length)]];
  }));
};
