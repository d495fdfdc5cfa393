// The newest events of all sources: repeated deltas in one row, answers with the time that they took.

import { list, maybe, number, object, text } from "./reading.js";

export const KEPT = 10000;
const RATE = 24000;
const ANSWERS = {
  "session.update": ["session.updated"],
  "conversation.item.create": ["conversation.item.added", "conversation.item.created"],
  "conversation.item.delete": ["conversation.item.deleted"],
  "conversation.item.truncate": ["conversation.item.truncated"],
  "conversation.item.retrieve": ["conversation.item.retrieved"],
  "input_audio_buffer.commit": ["input_audio_buffer.committed"],
  "input_audio_buffer.clear": ["input_audio_buffer.cleared"],
  "response.create": ["response.created"],
  "response.cancel": ["response.done"],
};
const ASKS = new Map(Object.entries(ANSWERS).flatMap(([ask, answers]) => answers.map((answer) => [answer, ask])));

const itemOf = (event) => text(event.item_id) || text(object(event.item).id);

const wordsOf = (item) => list(object(item).content).map((part) => {
  const told = object(part);
  return text(told.text) || text(told.transcript) || (/audio/.test(text(told.type)) ? `[sound${text(told.audio) ? ` ${text(told.audio)}` : ""}]` : "");
}).join(" ");

// What is told of an event in one row.
export const summarise = (row) => {
  const [last] = row.events.slice(-1), event = object(last?.event), record = last?.record && object(last.record);
  if (record) {
    const parts = [record.player, record.line, record.hearer, record.words ?? record.said ?? record.text, record.problem, record.dollars && `$${record.dollars}`, record.state];
    if (record.type === "so_far") parts.push(record.status, `${list(record.items).length} earlier items`);
    return parts.map(text).filter(Boolean).join(", ");
  }
  if (row.samples) return `${(row.samples / RATE).toFixed(2)} s of audio`;
  if (row.words) return row.words;
  if (row.size) return `${row.size} characters of audio`;
  if (row.type === "error") return [text(object(event.error).code), text(object(event.error).message)].filter(Boolean).join(": ");
  if (event.item) return [text(object(event.item).role) || text(object(event.item).type), wordsOf(event.item) || text(object(event.item).name)].filter(Boolean).join(": ");
  if (event.response && row.type === "response.done") {
    const response = object(event.response), usage = object(response.usage);
    return [text(response.status), usage.total_tokens && `${number(usage.total_tokens)} tokens`].filter(Boolean).join(", ");
  }
  return text(event.transcript) || text(event.text) || text(event.name) || (event.audio_end_ms === undefined ? "" : `at ${number(event.audio_end_ms)} ms`);
};

export class EventLog {
  rows = [];
  kept = 0;
  dropped = 0;
  missed = 0; // that happened while no booth was there
  lost = 0; // that a booth which did not keep up was not told
  came = 0; // events ever added
  added = 0; // rows ever added
  removed = 0; // rows that are gone from the front
  types = new Map();
  #order = []; // rows, one for each event that is kept, oldest first
  #start = 0;

  add(source, told) {
    const event = told.record ? object(told.record) : object(told.event), type = text(event.type) || "?";
    const key = this.#keyOf(source, told, event, type);
    const open = (source.open ??= new Map());
    let row = key ? open.get(key) : null;
    if (!row || row.events.length === 0) {
      row = { n: number(told.n), number: this.added, source, name: source.player || source.name, from: told.record ? "stage" : told.from === "client" ? "client" : "server", type, at: maybe(told.at) ?? (source.kind === "take" ? maybe(event.at_s) : null), until: null, count: 0, samples: 0, size: 0, words: "", latency: null, what: "", events: [], event_lengths: 0 };
      this.rows.push(row);
      this.added += 1;
      if (key) open.set(key, row);
      if (open.size > 200) open.delete(open.keys().next().value);
    }
    if (!key && told.from === "client") open.delete("input_audio_buffer.append ");
    told.came = this.came;
    this.came += 1;
    row.count += 1;
    row.until = maybe(told.at);
    row.events.push(told);
    row.text = null;
    this.#measure(row, told, event, type);
    if (told.event) this.#time(source, row, told, event, type);
    if (row.count === 1 && row.latency !== null) told.latency = row.latency;
    if (this.types.has(type) || this.types.size < 1000) this.types.set(type, (this.types.get(type) || 0) + 1);
    this.#order.push(row);
    this.kept += 1;
    if (this.kept > KEPT) this.#drop();
  }

  #keyOf(source, told, event, type) {
    if (type.endsWith(".delta")) return `${type} ${itemOf(event) || text(event.response_id)}`;
    if (type === "input_audio_buffer.append") return `${type} `;
    if (told.record && (type === "words_progress" || type === "audio_progress")) return `${type} ${text(event.line)}`;
    return "";
  }

  #measure(row, told, event, type) {
    row.samples += number(told.samples);
    if (type.endsWith(".delta") && !told.samples) row.words = (row.words + text(event.delta)).slice(-400);
    if (type === "words_progress") row.words = (row.words + text(event.words)).slice(-400);
    const size = /^<(\d+)>$/.exec(text(event.audio));
    if (size) row.size += Number(size[1]);
  }

  // How long it took: from a request to its answer, and from the request of a response to its first sound.
  #time(source, row, told, event, type) {
    const at = maybe(told.at), waiting = (source.waiting ??= []);
    if (at === null) return;
    if (told.from === "client") {
      if (Object.hasOwn(ANSWERS, type)) waiting.push({ type, item: itemOf(event), id: text(event.event_id), at });
      if (waiting.length > 500) waiting.shift();
      if (type === "response.create") source.soundAsked = at;
      return;
    }
    if (type === "input_audio_buffer.speech_stopped") source.soundAsked = at;
    if (row.count > 1) return;
    if (/^response\.(output_)?audio\.delta$/.test(type) && source.soundAsked != null) {
      row.latency = at - source.soundAsked;
      row.what = "time from the request to the first audio";
      source.soundAsked = null;
      return;
    }
    const ask = ASKS.get(type), item = itemOf(event), refers = type === "error" ? text(object(event.error).event_id) : "";
    if (!ask && !refers) return;
    const index = waiting.findIndex((one) => (refers ? one.id === refers : one.type === ask && (!one.item || !item || one.item === item)));
    if (index < 0) return;
    row.latency = at - waiting[index].at;
    row.what = `answers ${waiting[index].type}`;
    waiting.splice(index, 1);
  }

  #drop() {
    const row = this.#order[this.#start];
    this.#start += 1;
    row.events.shift();
    this.kept -= 1;
    this.dropped += 1;
    if (this.#start > 4096) { this.#order.splice(0, this.#start); this.#start = 0; }
    let empty = 0;
    while (empty < this.rows.length && this.rows[empty].events.length === 0) empty += 1;
    if (empty > 256 || empty === this.rows.length) { this.rows.splice(0, empty); this.removed += empty; }
  }

  // What a search looks through.
  static searched(row) {
    row.text ??= `${row.type} ${row.name} ${summarise(row)} ${row.count > 1 ? "" : JSON.stringify(row.events[0] ?? "")}`.toLowerCase();
    return row.text;
  }
}
