// A performance, or a take that is over, as its records tell of it.

import { dollarsOf, list, maybe, number, object, text, tokensOf } from "./reading.js";

const RATE = 24000;
export const HUES = 8;

class Stage {
  title = "";
  players = [];
  lines = new Map();
  order = []; // ids of lines, as they were begun
  spoken = []; // lines with a place in the recording, by that place
  current = null;
  hearing = new Map(); // who hears -> the line
  opening = new Map(); // who waits to open a session, or opens one: {since, began, refused}
  states = new Map(); // what players do at an open microphone
  spent = 0;
  isPriced = false; // whether its cost is told as a whole, as that of a take
  budget = null;
  ended = "";
  problem = "";
  warnings = [];
  prompt = null;
  listens = new Map(); // who speaks at each open microphone
  sounds = [];
  seconds = 0;
  now = 0;
  rate = RATE;
  folder = "";
  mix = "";
  steps = new Map();
  branches = new Set();
  waits = [];
  changes = 0;

  readHello(hello) {
    this.title = text(hello.title) || text(hello.name);
    this.budget = dollarsOf(hello.budget);
    this.folder = text(hello.folder);
    this.mix = text(hello.mix);
    for (const each of list(hello.players)) this.player(text(object(each).name), object(each));
    for (const each of list(hello.lines)) {
      const raw = object(each), line = this.line(text(raw.id), text(raw.player));
      line.asked ||= text(raw.words);
      line.direction ||= text(raw.direction);
      if (raw.dollars !== undefined) line.dollars = dollarsOf(raw.dollars);
    }
    if (hello.dollars !== undefined) { this.isPriced = true; this.spent = dollarsOf(hello.dollars) ?? 0; }
    for (const [step, player] of Object.entries(object(hello.listens))) this.listens.set(step, text(player));
    this.seconds = Math.max(this.seconds, number(hello.seconds));
    this.ended ||= text(hello.ended);
    this.changes += 1;
  }

  player(name, facts = null) {
    let player = this.players.find((one) => one.name === name);
    if (!player && name) {
      player = { name, voice: "", model: "", human: "", opened: false, lost: "", tokens: { spoken: 0, listened: 0, cached: 0, text: 0 }, hue: this.players.length % HUES };
      this.players.push(player);
    }
    if (player && facts) Object.assign(player, { voice: text(facts.voice), model: text(facts.model), human: text(facts.human) });
    return player;
  }

  line(id, player = "") {
    let line = this.lines.get(id);
    if (!line) {
      line = {
        id, player, asked: "", direction: "", said: "", status: "planned", file: "", number: 0, offset: null, samples: 0,
        firstAudio: null, took: null, attempts: 1, take: 1, takes: [], hearings: [], hearers: [], dollars: null, problem: "", reason: "", response: "", calls: [],
      };
      this.lines.set(id, line);
    }
    if (player) line.player = player;
    return line;
  }
}

export const createStage = () => new Stage();

const useTokens = (stage, name, usage) => {
  const player = stage.player(name);
  for (const [kind, count] of Object.entries(player ? tokensOf(usage) : {})) player.tokens[kind] += count;
};

const facts = (record) => ({
  said: text(record.said), file: text(record.file), samples: number(record.samples),
  firstAudio: maybe(record.first_audio_s), took: maybe(record.took_s), response: text(record.response),
  problem: text(record.problem), reason: text(record.reason), written: text(record.written),
});

const place = (stage, line) => {
  const known = stage.spoken.indexOf(line);
  if (known >= 0) stage.spoken.splice(known, 1);
  if (line.offset === null) return;
  let index = stage.spoken.length;
  while (index > 0 && stage.spoken[index - 1].offset > line.offset) index -= 1;
  stage.spoken.splice(index, 0, line);
  stage.seconds = Math.max(stage.seconds, (line.offset + line.samples) / stage.rate);
};

const began = (stage, line) => {
  if (!stage.order.includes(line.id)) stage.order.push(line.id);
  if (line.status !== "spoken") line.said = "";
  line.status = "speaking";
  stage.current = line;
};

const ended = (stage, line, status, problem) => {
  line.status = status;
  line.problem = problem;
  if (stage.current === line) stage.current = null;
  if (stage.prompt?.line === line.id) stage.prompt = null;
};

const READERS = {
  take_began(stage, record) {
    for (const role of list(record.roles)) stage.player(text(object(role).name), object(role));
    stage.title ||= text(record.title);
    stage.budget ??= dollarsOf(record.budget);
    stage.started = text(record.started);
    stage.isFree = record.spent === false;
    const mix = object(object(record.deliver).mix);
    stage.mixWanted = text(mix.file);
  },
  take_resumed(stage, record) { stage.warnings.push(`The take was stopped and resumed at ${text(record.started)}.`); stage.ended = ""; },
  opening_queued(stage, record, at) { if (!stage.opening.has(text(record.player))) stage.opening.set(text(record.player), { since: at, began: null, refused: "" }); },
  opening_began(stage, record, at) { const opening = stage.opening.get(text(record.player)); if (opening) opening.began = at; },
  opening_refused(stage, record) {
    const opening = stage.opening.get(text(record.player));
    if (opening) opening.refused = text(record.problem); 
    stage.warnings.push(`${text(record.player)}: ${text(record.problem)}; waited ${number(record.wait_s).toFixed(1)} s`);
  },
  player_opened(stage, record) {
    stage.opening.delete(text(record.player));
    const player = stage.player(text(record.player)); if (player) Object.assign(player, { opened: true, openedIn: number(record.took_s) });
  },
  model_named(stage, record) { const player = stage.player(text(record.player)); if (player) player.model = text(record.model); },
  player_lost(stage, record) { stage.opening.delete(text(record.player)); const player = stage.player(text(record.player)); if (player) player.lost = text(record.problem); stage.warnings.push(`${text(record.player)} is lost: ${text(record.problem)}`); },
  step_ended(stage, record) {
    if (stage.isPriced) return; // steps have no cost of what is said at an open microphone
    const dollars = dollarsOf(record.dollars) ?? 0;
    stage.spent += dollars;
    const line = stage.lines.get(text(record.step));
    if (line) line.dollars = (line.dollars ?? 0) + dollars;
  },
  line_began(stage, record) { began(stage, stage.line(text(record.line), text(record.player))); },
  line_again(stage, record) {
    const line = stage.line(text(record.line), text(record.player));
    line.attempts += 1;
    line.said = "";
    useTokens(stage, line.player, record.usage);
    stage.warnings.push(`${line.id}: ${text(record.problem)}; retried`);
  },
  line_failed(stage, record) { const line = stage.line(text(record.line), text(record.player)); ended(stage, line, "failed", text(record.problem)); useTokens(stage, line.player, record.usage); },
  line_lost(stage, record) { const line = stage.line(text(record.line), text(record.player)); ended(stage, line, "lost", text(record.problem)); useTokens(stage, line.player, record.usage); },
  line_dropped(stage, record) { const line = stage.line(text(record.line)); ended(stage, line, "dropped", text(record.problem)); line.offset = null; place(stage, line); },
  take_kept(stage, record) {
    const line = stage.line(text(record.line), text(record.player)), take = number(record.take) || line.takes.length + 1;
    line.takes = [...line.takes.filter((one) => one.take !== take), { take, ...facts(record) }].sort((a, b) => a.take - b.take);
    useTokens(stage, line.player, record.usage);
  },
  take_picked(stage, record) {
    const line = stage.line(text(record.line)), take = number(record.take), chosen = line.takes.find((one) => one.take === take);
    const file = line.file || chosen?.file?.replace(/\.take-\d+\.wav$/, ".wav") || null, former = line.takes.find((one) => one.take === line.take);
    if (file && former?.file && former !== chosen) former.file = file.replace(/\.wav$/, `.take-${former.take}.wav`);
    line.take = take;
    if (chosen) { chosen.file &&= file; Object.assign(line, chosen); place(stage, line); }
  },
  line_spoken(stage, record) {
    const line = stage.line(text(record.line), text(record.player));
    stage.rate = number(record.rate) || RATE;
    if (!stage.order.includes(line.id)) stage.order.push(line.id);
    Object.assign(line, facts(record), {
      asked: text(record.asked) || line.asked, direction: text(record.direction), number: number(record.number),
      offset: number(record.offset_samples), attempts: number(record.attempts) || 1, take: number(record.take) || 1,
      hearers: list(record.hearers).map(text), scripted: record.scripted !== false, human: record.human === true, former: record.former === true,
    });
    const own = line.takes.find((one) => one.take === line.take);
    if (own) own.file = line.file; // it got the line's name
    useTokens(stage, line.player, record.usage);
    ended(stage, line, text(record.status) === "failed" ? "failed" : "spoken", line.problem);
    line.ending = text(record.status);
    place(stage, line);
  },
  line_heard(stage, record) {
    const line = stage.line(text(record.line)), hearer = text(record.hearer);
    line.hearings = [...line.hearings.filter((one) => one.hearer !== hearer), { hearer, took: number(record.took_s), by: text(record.by), problem: "" }];
    if (stage.hearing.get(hearer) === line.id) stage.hearing.delete(hearer);
  },
  line_missed(stage, record) {
    const line = stage.line(text(record.line)), hearer = text(record.hearer);
    line.hearings = [...line.hearings.filter((one) => one.hearer !== hearer), { hearer, took: null, by: "", problem: text(record.problem) }];
    if (stage.hearing.get(hearer) === line.id) stage.hearing.delete(hearer);
  },
  tool_called(stage, record) { stage.line(text(record.line), text(record.player)).calls.push({ tool: text(record.tool), arguments: text(record.arguments), output: text(record.output), failed: record.failed === true }); },
  tool_turn(stage, record) { useTokens(stage, text(record.player), record.usage); },
  transcribed(stage, record) { useTokens(stage, text(record.player), record.usage); },
  sound_played(stage, record) {
    const offset = number(record.offset_samples), samples = number(record.samples);
    stage.sounds.push({ id: text(record.sound), kind: record.kind === "bed" ? "bed" : "sfx", stem: text(record.stem), source: text(record.source), offset, samples });
    stage.seconds = Math.max(stage.seconds, (offset + samples) / RATE);
  },
  bed_ended(stage, record) {
    const bed = stage.sounds.findLast((sound) => sound.id === text(record.sound));
    if (bed) bed.samples = Math.max(0, number(record.at_samples) - bed.offset);
  },
  warned(stage, record) { stage.warnings.push(text(record.text)); },
  take_ended(stage, record) {
    stage.ended = text(record.ended) || "ended";
    stage.problem = text(record.problem);
    stage.current = null;
    stage.prompt = null;
    stage.opening.clear();
    stage.hearing.clear();
  },
  take_delivered(stage, record) { stage.judged = text(record.judged); },
  hearing_began(stage, record) { stage.hearing.set(text(record.player), text(record.line)); },
  words_progress(stage, record) {
    const line = stage.line(text(record.line), text(record.player));
    if (line.status === "speaking" || line.status === "planned") line.said += text(record.words);
  },
  audio_progress(stage, record) {
    const line = stage.line(text(record.line), text(record.player));
    line.seconds = number(record.seconds);
    line.dbfs = maybe(record.dbfs);
  },
  person_prompted(stage, record, at) {
    const line = stage.line(text(record.line), text(record.player));
    began(stage, line);
    stage.prompt = { player: text(record.player), line: line.id, words: text(record.words), direction: text(record.direction), in: number(record.in_s), typed: record.typed === true, at };
  },
  listen_began(stage, record, at) {
    const player = stage.listens.get(text(record.step));
    if (player) stage.prompt = { player, line: "", words: "", direction: "The microphone is open.", in: 0, typed: false, at, listens: true };
  },
  listen_ended(stage) { if (stage.prompt?.listens) stage.prompt = null; },
  player_state(stage, record) { stage.states.set(text(record.player), text(record.state)); },
  resume_summary(stage, record) { if (!stage.isPriced) stage.spent = Math.max(stage.spent, dollarsOf(record.dollars) ?? 0); },
};

export const applyRecord = (stage, record, at) => {
  stage.changes += 1;
  stage.now = Math.max(stage.now, number(record.at_s));
  if (Object.hasOwn(READERS, record.type)) READERS[record.type](stage, record, at);
  if (stage.warnings.length > 100) stage.warnings.shift();
};

// Seconds of silence before a line in the recording; below zero where it overlaps another.
export const deadAir = (stage) => {
  const found = new Map();
  let end = null;
  for (const line of stage.spoken) {
    if (end !== null) found.set(line.id, (line.offset - end) / stage.rate);
    end = Math.max(end ?? 0, line.offset + line.samples);
  }
  return found;
};

export const stateOf = (stage, player) => {
  if (player.lost) return "gone";
  if (stage.opening.has(player.name)) return stage.opening.get(player.name).began === null ? "queued" : "opening";
  if (stage.current?.player === player.name) return stage.prompt?.player === player.name ? "prompted" : "speaking";
  if (stage.hearing.has(player.name)) return "listening";
  return stage.states.get(player.name) || "idle";
};
