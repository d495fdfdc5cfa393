// What the page knows: a fold over the messages of the booth. It reads no clock, sends nothing, and draws nothing.
//
// `apply(state, message, arrival)` changes the state by one message; `arrival` is the page's clock in seconds. Sources
// have clocks of their own: the smallest difference that was seen is the nearest to the true one.

import { applyRecord, createStage } from "./stage.js";
import { applyEvent, createSession } from "./session.js";
import { EventLog } from "./event_log.js";
import { list, maybe, number, object, text } from "./reading.js";

const TOO_SLOW = "This page was too slow";

export const createState = () => ({
  epoch: "",
  offset: Infinity, // from the booth's clock to the page's
  seen: 0,
  sources: new Map(),
  former: [], // sources of a booth that has ended, which may come to this one
  log: new EventLog(),
  notices: [],
  answers: [],
});

export const clockOf = (source, page) => (source.offset === Infinity ? null : page - source.offset);

const note = (state, words) => {
  state.notices.push(words);
  if (state.notices.length > 50) state.notices.shift();
};

// What a source did while no booth was there: of a source that this page knows, it is news.
const readMissed = (state, source, missed) => {
  const more = missed - (source.missed ?? 0);
  source.missed = missed;
  if (more <= 0) return;
  state.log.missed += more;
  if (source.isKnown) note(state, `${source.name}: ${more} ${more === 1 ? "event" : "events"} occurred while the booth was not running.`);
};

// What a source could not tell in time: the booth did not keep up.
const readLost = (state, source, lost) => {
  const more = lost - (source.lost ?? 0);
  source.lost = lost;
  if (more <= 0) return;
  state.log.lost += more;
  if (source.isKnown) note(state, `${source.name}: ${more} ${more === 1 ? "event was" : "events were"} lost because the booth did not keep up.`);
};

const readHello = (state, source, told) => {
  source.hello = told;
  source.name = text(told.name) || "nameless";
  source.kind = text(told.kind);
  source.connected = told.connected === true;
  source.gone = text(told.gone);
  source.run = text(told.run);
  source.player = text(told.player) || source.name;
  source.can = list(told.can).map(text);
  const offset = maybe(told.offset_s);
  if (offset !== null && state.offset !== Infinity) source.offset = Math.min(source.offset, offset + state.offset);
  if (source.kind === "stage" && !source.connected && text(told.folder)) source.can = ["retake", "pick"]; // it is a take by now
  readLost(state, source, number(told.dropped));
  readMissed(state, source, number(told.missed));
  if (source.session) source.session.settings = { ...source.session.settings, ...object(told.session) };
  if (source.stage) source.stage.readHello(told);
};

const join = (state, told) => {
  const id = number(told.id);
  let source = state.sources.get(id);
  if (!source) {
    const former = text(told.key) && state.former.find((one) => text(one.hello.key) === told.key);
    state.former = state.former.filter((one) => one !== former);
    source = former || { offset: Infinity, session: null, stage: null };
    source.isKnown = Boolean(former);
    source.missed = source.lost = 0; // in this booth
    source.id = id;
    if (told.kind !== "session") source.stage = createStage(); // it tells its records anew
    else if (former) source.session.forgetSounds();
    else source.session = createSession();
    state.sources.set(id, source);
  }
  readHello(state, source, told);
  source.isKnown = true;
  return source;
};

const welcome = (state, told, arrival) => {
  const epoch = text(told.epoch), lost = number(told.lost);
  if (state.epoch && epoch !== state.epoch) {
    note(state, "The booth was restarted. Events that occurred during the restart are missing.");
    state.former = [...state.sources.values(), ...state.former].slice(0, 500);
    state.sources = new Map();
    state.seen = 0;
    state.offset = Infinity;
  }
  if (maybe(told.now_s) !== null) state.offset = Math.min(state.offset, arrival - told.now_s);
  if (lost && state.epoch) note(state, `${lost} earlier ${lost === 1 ? "event is" : "events are"} no longer available.`);
  state.log.dropped += lost;
  state.epoch = epoch;
  const known = new Set(list(told.sources).map((each) => number(object(each).id)));
  for (const id of state.sources.keys()) if (!known.has(id)) state.sources.delete(id);
  for (const each of list(told.sources)) join(state, object(each));
};

const happened = (state, told, arrival) => {
  state.seen = Math.max(state.seen, number(told.n));
  const source = state.sources.get(number(told.source));
  if (!source) return;
  const at = maybe(told.at);
  if (at !== null && source.kind !== "take") source.offset = Math.min(source.offset, arrival - at);
  const record = told.record && object(told.record);
  if (record && source.stage) applyRecord(source.stage, record, at);
  else if (record && source.session) source.session.readRecord(record, at);
  else if (told.event && source.session) applyEvent(source.session, told, chainOf(state, source));
  state.log.add(source, told);
};

// Whatever plays in one performance is heard one after the other.
const chainOf = (state, source) => {
  state.chains ??= new Map();
  const key = source.run || `source ${source.id} ${state.epoch}`;
  if (!state.chains.has(key)) state.chains.set(key, { key, end: 0 });
  return state.chains.get(key);
};

export const chainKey = (state, source) => chainOf(state, source).key;

export const apply = (state, message, arrival) => {
  const told = object(message);
  switch (told.type) {
    case "welcome": return welcome(state, told, arrival);
    case "source": return void join(state, object(told.source));
    case "forgotten": return void state.sources.delete(number(told.source));
    case "event": return happened(state, told, arrival);
    case "missed": {
      const events = number(told.events), sounds = number(told.sounds);
      state.log.dropped += events;
      state.missed ??= { events: 0, sounds: 0 };
      state.missed.events += events;
      state.missed.sounds += sounds;
      state.notices = state.notices.filter((words) => !words.startsWith(TOO_SLOW));
      return note(state, `${TOO_SLOW}: it missed ${state.missed.events} events and ${state.missed.sounds} chunks of audio.`);
    }
    case "answer": return void state.answers.push({ id: told.id, problem: text(told.problem) });
  }
};

export const sessionsOf = (state, run) => [...state.sources.values()].filter((source) => source.session && source.run === run);

// Sessions of no performance that is shown.
export const looseSessions = (state) => {
  const runs = new Set([...state.sources.values()].filter((source) => source.stage && source.run).map((source) => source.run));
  return [...state.sources.values()].filter((source) => source.session && !runs.has(source.run));
};
