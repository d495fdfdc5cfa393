// What was said: the lines of a performance, or the items of conversations, to be heard again.

import { $, clock, dollars, make, setHidden, span } from "./dom.js";
import { deadAir } from "./stage.js";

const MOST = 300;

const fact = (name, value, odd = false) => make("div", odd ? { class: "odd" } : {}, make("dt", {}, name), make("dd", {}, value));

export class Lines {
  #entries = new Map();
  #key = "";

  constructor(app) { this.app = app; this.list = $("words"); }

  show(key) {
    if (key === this.#key) return;
    this.#key = key;
    this.#entries.clear();
    this.list.replaceChildren();
  }

  // Puts these in place of what is shown: [key, signature, function that makes the element].
  #put(wanted) {
    const keys = new Set(wanted.map(([key]) => key));
    for (const [key, entry] of this.#entries) if (!keys.has(key)) { entry.element.remove(); this.#entries.delete(key); }
    wanted.forEach(([key, signature, create], index) => {
      let entry = this.#entries.get(key);
      if (!entry || entry.signature !== signature) {
        const element = create(), focused = entry?.element.contains(document.activeElement) ? document.activeElement.dataset.act : null;
        if (entry) entry.element.replaceWith(element);
        entry = { element, signature };
        this.#entries.set(key, entry);
        if (focused) [...element.querySelectorAll("[data-act]")].find((one) => one.dataset.act === focused)?.focus();
      }
      if (this.list.children[index] !== entry.element) this.list.insertBefore(entry.element, this.list.children[index] || null);
    });
    setHidden($("words-none"), wanted.length > 0);
  }

  // ---- a performance

  drawStage(source) {
    const { stage } = source, air = deadAir(stage), sounding = this.app.replay.current;
    const known = new Set([...stage.order, ...stage.spoken.map((line) => line.id)]);
    const ids = stage.spoken.length >= stage.order.length ? stage.spoken.map((line) => line.id) : [...known];
    const wanted = ids.map((id) => stage.lines.get(id)).map((line) => [
      line.id,
      JSON.stringify([line.status, line.said, line.take, line.takes.length, line.hearings, line.dollars, line.problem, line.calls.length, line.firstAudio, air.get(line.id) ?? null, source.can, line === sounding]),
      () => this.#line(source, line, air.get(line.id) ?? null, line === sounding),
    ]);
    this.#put(wanted);
  }

  #line(source, line, air, isHeard) {
    const { stage } = source, hue = stage.player(line.player)?.hue ?? 0, can = (what) => source.can.includes(what);
    const hear = make("button", { type: "button", class: "hear", "data-act": `hear ${line.id}`, disabled: !line.file, "aria-label": `Hear line ${line.number || line.id}, ${line.player}`, onclick: () => this.app.replay.hear(line) }, String(line.number || "…"));
    const heading = make("h3", {}, make("bdi", {}, line.player), " ", line.human ? make("small", { class: "human" }, "human") : null, line.direction ? make("em", { dir: "auto" }, ` (${line.direction})`) : null);
    const words = line.said || (line.status === "speaking" ? line.asked : "");
    const text = make("div", { class: "text" }, heading, make("p", { class: words ? "said" : "said none", dir: "auto" }, words || (line.written ? `Text only: ${line.written}` : "Nothing was said.")));
    if (line.asked && line.said && line.asked.trim() !== line.said.trim() && line.status !== "speaking") text.append(make("p", { class: "asked", dir: "auto" }, `${line.scripted === false ? "Asked to improvise" : "Asked"}: ${line.asked}`));
    if (line.problem || line.reason) text.append(make("p", { class: `how${line.problem ? " failed" : ""}` }, line.problem || line.reason.replaceAll("_", " ")));
    for (const call of line.calls) text.append(make("p", { class: "asked" }, `Tool ${call.tool}(${call.arguments}) ${call.failed ? "failed" : "answered"}: ${call.output}`));
    if (line.takes.length > 1) text.append(this.#takes(source, line, can("pick")));
    if (can("retake") && line.file) text.append(make("p", { class: "acts" }, make("button", { type: "button", class: "quiet small", "data-act": `retake ${line.id}`, onclick: () => this.app.ask(source, { do: "retake", line: line.id }, `another take of ${line.id}`) }, "Another take")));
    const margin = make("dl", {}, fact("First audio", span(line.firstAudio)));
    if (air !== null) margin.append(fact(air < 0 ? "Overlaps by" : "Dead air before", span(Math.abs(air))));
    if (line.attempts > 1) margin.append(fact("Attempts", String(line.attempts), true));
    if (line.dollars !== null) margin.append(fact("Cost", dollars(line.dollars)));
    for (const one of line.hearings) margin.append(fact(`${one.hearer} heard it`, one.problem ? "never" : `in ${span(one.took)}`, Boolean(one.problem)));
    const at = line.offset === null ? (line.status === "speaking" ? "now" : line.status) : clock(line.offset / stage.rate);
    return make("li", { class: `line hue${hue}${isHeard || line.status === "speaking" ? " now" : ""}` }, make("div", { class: "cue" }, hear, make("span", { class: "at" }, at, make("br"), line.samples ? span(line.samples / stage.rate) : "")), text, make("div", { class: "margin" }, margin));
  }

  #takes(source, line, canPick) {
    return make("div", { class: "takes" }, make("p", { class: "label" }, `Take ${line.take} is the current take.`), make("ol", {}, ...line.takes.map((take) => make("li", {},
      make("button", { type: "button", class: "hear", "data-act": `take ${line.id} ${take.take}`, disabled: !take.file, "aria-label": `Hear take ${take.take} of ${line.id}`, onclick: () => this.app.replay.hear(line, take.file) }, String(take.take)),
      make("p", { dir: "auto" }, take.said || "Nothing was said.", make("small", {}, ` ${span(take.samples / source.stage.rate)}${take.problem ? `, failed: ${take.problem}` : ""}`)),
      canPick && take.take !== line.take ? make("button", { type: "button", class: "quiet small", "data-act": `pick ${line.id} ${take.take}`, onclick: () => this.app.ask(source, { do: "pick", line: line.id, take: take.take }, `take ${take.take} of ${line.id}`) }, "Pick") : null))));
  }

  // ---- conversations

  drawSessions(sources) {
    const all = [];
    for (const source of sources) for (const item of source.session.items.values()) if (item.words || item.sound) all.push([source, item]);
    const time = ([source, item]) => (item.at ?? 0) + (source.offset === Infinity ? 0 : source.offset);
    all.sort((one, other) => time(one) - time(other));
    this.#put(all.slice(-MOST).map(([source, item]) => [
      `${source.id} ${item.id}`,
      JSON.stringify([item.role, item.words, item.done, item.cut, item.samples > 0]),
      () => this.#item(source, item),
    ]));
  }

  #item(source, item) {
    const own = item.role === "assistant", name = own ? source.name : { user: "to", system: "system message to" }[item.role] || item.role;
    const hear = make("button", { type: "button", class: "hear", "data-act": `hear ${item.id}`, disabled: !(own && item.samples), "aria-label": `Hear ${source.name} again`, onclick: () => this.app.replay.hearItem(source, item) }, "▸");
    const heading = own ? make("h3", {}, make("bdi", {}, name)) : make("h3", { class: "other" }, `${name} `, make("bdi", {}, source.name));
    const length = item.samples ? span((item.cut ?? item.samples) / 24000) : "";
    return make("li", { class: `line item hue${this.app.hueOf(source)}${own ? "" : " given"}` }, make("div", { class: "cue" }, own ? hear : null, make("span", { class: "at" }, length)),
      make("div", { class: "text" }, heading, make("p", { class: item.words ? "said" : "said none", dir: "auto" }, item.words || (own ? "…" : "audio without a transcript")), item.cut === null ? null : make("p", { class: "how" }, `interrupted: ${span(item.cut / 24000)} were heard`)));
  }
}
