// One session's conversation as its events tell of it.

import { dollarsOf, list, number, object, text, tokensOf } from "./reading.js";

const RATE = 24000;
const MOST_ITEMS = 400;
const AUDIO_DELTAS = new Set(["response.output_audio.delta", "response.audio.delta"]);
const WORD_DELTAS = new Set([
  "response.output_audio_transcript.delta", "response.audio_transcript.delta",
  "response.output_text.delta", "response.text.delta",
]);
const WORDS_DONE = new Set([
  "response.output_audio_transcript.done", "response.audio_transcript.done",
  "response.output_text.done", "response.text.done",
]);

const noUsage = () => ({ spoken: 0, listened: 0, cached: 0, text: 0, reasoned: 0, responses: 0 });

class Session {
  settings = {};
  items = new Map();
  response = null;
  responses = new Map();
  speaking = null; // the item that sounds, or sounded last
  playing = []; // items with sound, in the order in which they sound
  isHearing = false;
  heardUntil = -Infinity;
  askedAt = null;
  usage = noUsage();
  dollars = null;
  money = { spoken: null, listened: null, cached: null };
  latencies = [];
  problem = "";
  changes = 0;

  item(id) {
    let item = this.items.get(id);
    if (!item) {
      item = { id, role: "", words: "", number: 0, samples: 0, from: null, at: null, done: false, cut: null, sound: false, response: "" };
      this.items.set(id, item);
      if (this.items.size > MOST_ITEMS) this.items.delete(this.items.keys().next().value);
    }
    return item;
  }

  // Another booth has none of them, and counts anew.
  forgetSounds() {
    this.playing = [];
    this.speaking = null;
    for (const item of this.items.values()) Object.assign(item, { number: 0, samples: 0, from: null });
  }

  readRecord(record, at) {
    if (record.type === "so_far") this.#readSoFar(record, at);
    if (record.type !== "cost") return;
    this.dollars = dollarsOf(record.dollars);
    for (const kind of Object.keys(this.money)) this.money[kind] = dollarsOf(record[kind]);
    if (record.usage) Object.assign(this.usage, tokensOf(record.usage), { responses: Math.max(1, this.usage.responses) });
  }

  // What happened while no booth was there.
  #readSoFar(record, at) {
    const status = text(record.status);
    for (const told of list(record.items)) {
      const item = readItem(this, told, at);
      if (item) item.done = text(object(told).status) !== "in_progress";
      if (item?.words) this.wording = item;
    }
    this.isHearing = status === "listening";
    this.response = status === "thinking" || status === "speaking" ? { id: "", at, sounded: status === "speaking" } : null;
  }
}

export const createSession = () => new Session();

const wordsOf = (item) =>
  list(item.content).map((part) => text(object(part).text) || text(object(part).transcript)).filter(Boolean).join(" ");

const soundsIn = (item) => list(item.content).some((part) => /audio/.test(text(object(part).type)));

const readItem = (session, told, at) => {
  const raw = object(told), id = text(raw.id);
  if (!id || (raw.type && raw.type !== "message")) return null;
  const item = session.item(id);
  item.role = text(raw.role) || item.role;
  item.at ??= at;
  item.words = wordsOf(raw) || item.words;
  item.sound ||= soundsIn(raw);
  return item;
};

const hearSound = (session, told, event, chain) => {
  const id = text(event.item_id), item = session.item(id), at = number(told.at);
  item.role ||= "assistant";
  item.response ||= text(event.response_id);
  item.number = number(told.item);
  item.sound = true;
  item.at ??= at;
  if (item.from === null) {
    item.first = number(told.first);
    item.from = Math.max(at, chain.end);
    session.playing.push(item);
    if (session.playing.length > 40) session.playing.shift();
    session.speaking = item;
    if (session.askedAt !== null) session.latencies.push(Math.max(0, at - session.askedAt));
    if (session.latencies.length > 200) session.latencies.shift();
    if (session.response) session.response.sounded = true;
    session.askedAt = null;
  }
  item.samples = Math.max(item.samples, number(told.first) + number(told.samples));
  item.level = number(told.level);
  chain.end = item.from + (item.samples - item.first) / RATE;
};

const count = (session, usage) => {
  const input = object(usage.input_token_details), output = object(usage.output_token_details), total = session.usage;
  const cached = number(input.cached_tokens);
  total.responses += 1;
  total.cached += cached;
  total.listened += Math.max(0, number(usage.input_tokens) - cached);
  total.spoken += number(output.audio_tokens);
  total.text += Math.max(0, number(usage.output_tokens) - number(output.audio_tokens));
};

const cutAt = (session, id, samples, chain) => {
  const item = session.items.get(id);
  if (!item || item.from === null) return;
  item.cut = item.cut === null ? samples : Math.min(item.cut, samples);
  item.done = true;
  if (session.speaking === item) chain.end = Math.min(chain.end, item.from + Math.max(0, item.cut - item.first) / RATE);
};

const fromClient = (session, told, event, chain) => {
  const at = number(told.at);
  switch (event.type) {
    case "conversation.item.create": {
      const item = readItem(session, event.item, at);
      if (item && soundsIn(object(event.item))) session.heardUntil = Math.max(session.heardUntil, at + 0.6);
      break;
    }
    case "input_audio_buffer.append": session.heardUntil = Math.max(session.heardUntil, at + 0.4); break;
    case "response.create": session.askedAt = at; break;
    case "conversation.item.truncate": cutAt(session, text(event.item_id), Math.round(number(event.audio_end_ms) * RATE / 1000), chain); break;
    case "conversation.item.delete": cutAt(session, text(event.item_id), 0, chain); break;
  }
};

const fromServer = (session, told, event, chain) => {
  const at = number(told.at), type = event.type;
  if (AUDIO_DELTAS.has(type)) return hearSound(session, told, event, chain);
  if (WORD_DELTAS.has(type)) {
    const item = session.item(text(event.item_id));
    item.role ||= "assistant";
    item.at ??= at;
    item.response ||= text(event.response_id);
    item.words += text(event.delta);
    session.speaking = item.from === null && session.speaking?.from !== null ? session.speaking : item;
    session.wording = item;
    return;
  }
  if (WORDS_DONE.has(type)) {
    const item = session.item(text(event.item_id));
    item.words = text(event.transcript) || text(event.text) || item.words;
    session.wording = item;
    return;
  }
  switch (type) {
    case "session.created": case "session.updated": session.settings = object(event.session); session.isOpen = true; break;
    case "input_audio_buffer.speech_started": session.isHearing = true; break;
    case "input_audio_buffer.speech_stopped": session.isHearing = false; session.askedAt = at; break;
    case "input_audio_buffer.committed": {
      session.isHearing = false;
      const item = session.item(text(event.item_id));
      Object.assign(item, { role: "user", sound: true, at: item.at ?? at });
      break;
    }
    case "conversation.item.added": case "conversation.item.created": case "conversation.item.done": case "conversation.item.retrieved":
      readItem(session, event.item, at); break;
    case "conversation.item.input_audio_transcription.delta": {
      const item = session.item(text(event.item_id));
      item.role ||= "user"; item.words += text(event.delta); break;
    }
    case "conversation.item.input_audio_transcription.completed": {
      const item = session.item(text(event.item_id));
      item.role ||= "user"; item.words = text(event.transcript); break;
    }
    case "conversation.item.deleted": cutAt(session, text(event.item_id), 0, chain); break;
    case "response.created": {
      const id = text(object(event.response).id);
      session.response = { id, at, sounded: false };
      session.askedAt ??= at;
      break;
    }
    case "response.output_item.added": {
      const item = readItem(session, event.item, at);
      if (item) { item.response = text(event.response_id); session.responses.set(item.response, item.id); }
      if (session.responses.size > MOST_ITEMS) session.responses.delete(session.responses.keys().next().value);
      break;
    }
    case "response.output_audio.done": case "response.audio.done": session.item(text(event.item_id)).done = true; break;
    case "response.done": {
      const response = object(event.response);
      for (const raw of list(response.output)) { const item = readItem(session, raw, at); if (item) item.done = true; }
      if (session.speaking) session.speaking.done = true;
      if (response.usage) count(session, object(response.usage));
      const failure = object(object(response.status_details).error);
      if (response.status === "failed") session.problem = text(failure.message) || "the response failed";
      session.response = null;
      session.askedAt = null;
      break;
    }
    case "error": session.problem = text(object(event.error).message) || "an error without a message"; break;
  }
};

export const applyEvent = (session, told, chain) => {
  const event = object(told.event);
  session.changes += 1;
  (told.from === "client" ? fromClient : fromServer)(session, told, event, chain);
};

// The item that sounds at a time of the source's clock, if it plays as fast as it sounds.
export const soundingAt = (session, at) => {
  for (let index = session.playing.length - 1; index >= 0; index -= 1) {
    const item = session.playing[index];
    const end = item.from + ((item.cut ?? item.samples) - item.first) / RATE;
    if (at >= item.from && (at < end || (!item.done && at < end + 0.3))) return item;
  }
  return null;
};

export const statusOf = (source, at, sounds) => {
  const session = source.session;
  if (sounds ?? (at !== null && soundingAt(session, at))) return "speaking";
  if (!source.connected) return "gone";
  if (session.response && !session.response.sounded) return "thinking";
  if (session.isHearing || (at !== null && at < session.heardUntil)) return "listening";
  return "idle";
};

export const median = (values) => {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
