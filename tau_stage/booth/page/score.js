// The score as it is performed, or as it was: a staff for each player, the lines where they stand in the recording.

import { clock, make, setText } from "./dom.js";
import { peaksOf, readWav } from "./waves.js";

const RATE = 24000;
const HEIGHT = 55; // of a staff's five lines
const MARGIN = 600; // pixels beside what is seen that are drawn, too

export class Score {
  #stage = null;
  #source = null;
  #lanes = new Map();
  #blocks = new Map();
  #shapes = new Map();
  #wanted = [];
  #fetching = false;
  #drawn = "";

  constructor({ box, system, scale, follow, onHear, onSeek }) {
    Object.assign(this, { box, system, scale, onHear, onSeek, follows: true });
    this.head = make("div", { class: "head", "aria-hidden": "true", hidden: true });
    this.ruler = make("div", { class: "staff" });
    box.addEventListener("scroll", () => { this.#drawn = ""; });
    new ResizeObserver(() => { this.#drawn = ""; }).observe(box);
    scale.addEventListener("input", () => { this.#drawn = ""; });
    follow.addEventListener("click", () => { this.follows = !this.follows; follow.setAttribute("aria-pressed", String(this.follows)); });
    system.addEventListener("click", (event) => this.#click(event));
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  get pixels() { return Number(this.scale.value); }

  show(source) {
    if (source !== this.#source) {
      this.#source = source;
      this.#lanes.clear();
      this.#blocks.clear();
      this.#shapes.clear();
      this.#wanted = [];
      this.system.replaceChildren();
      this.box.scrollLeft = 0;
    }
    this.#stage = source?.stage || null;
    this.#drawn = "";
  }

  #laneOf(key, name, kind, hue) {
    let lane = this.#lanes.get(key);
    if (!lane) {
      const staff = make("div", { class: "staff" });
      const element = make("div", { class: `lane ${kind}${kind === "player" ? ` hue${hue}` : ""}` }, make("div", { class: "name" }, make("h3", { dir: "auto" }, name), kind === "player" ? null : make("small", {}, kind === "bed" ? "bed" : "effect")), staff);
      lane = { element, staff };
      this.#lanes.set(key, lane);
      if (!this.system.firstChild) this.system.append(make("div", { class: "lane ruler", "aria-hidden": "true" }, make("div", { class: "name" }), this.ruler));
      this.system.append(element, this.head);
    }
    return lane;
  }

  #clips() {
    const stage = this.#stage, clips = [];
    for (const line of stage.spoken) clips.push({ key: `line ${line.id}`, lane: `player ${line.player}`, from: line.offset / stage.rate, seconds: line.samples / stage.rate, line });
    for (const sound of stage.sounds) clips.push({ key: `sound ${sound.id} ${sound.offset}`, lane: `stem ${sound.stem}`, from: sound.offset / RATE, seconds: sound.samples / RATE, sound });
    const now = stage.current;
    if (now && now.offset === null) clips.push({ key: `line ${now.id} now`, lane: `player ${now.player}`, from: stage.seconds, seconds: Math.max(0.6, now.seconds || 0), line: now, isNow: true });
    return clips;
  }

  // Draws what can be seen; the rest is not in the page.
  draw() {
    const stage = this.#stage;
    if (!stage) return;
    const mark = `${stage.changes} ${this.pixels}`;
    if (this.#drawn === mark) return;
    this.#drawn = mark;
    stage.players.forEach((player) => this.#laneOf(`player ${player.name}`, player.name, "player", player.hue));
    for (const sound of stage.sounds) this.#laneOf(`stem ${sound.stem}`, sound.id.replace(/-\d+$/, ""), sound.kind, 0);
    const clips = this.#clips(), seconds = Math.max(stage.seconds, ...clips.map((clip) => clip.from + clip.seconds), 1);
    const name = this.ruler.offsetLeft, width = Math.max(this.box.clientWidth - name - 20, seconds * this.pixels + 120);
    this.system.style.width = `${width + name}px`;
    if (this.follows && !stage.ended) this.box.scrollLeft = Math.max(0, seconds * this.pixels - this.box.clientWidth + name + 120);
    const first = this.box.scrollLeft - MARGIN, last = this.box.scrollLeft + this.box.clientWidth + MARGIN, kept = new Set();
    const next = new Map();
    for (const clip of [...clips].reverse()) { clip.room = (next.get(clip.lane) ?? width / this.pixels) - clip.from; next.set(clip.lane, clip.from); }
    for (const clip of clips) {
      const left = clip.from * this.pixels, right = left + Math.max(3, clip.seconds * this.pixels);
      if (right < first || left > last) continue;
      kept.add(clip.key);
      this.#place(clip, left, right - left);
    }
    for (const [key, block] of this.#blocks) if (!kept.has(key)) { block.remove(); this.#blocks.delete(key); }
    this.#tick(first, last, seconds);
    this.#fetch();
  }

  #place(clip, left, width) {
    let block = this.#blocks.get(clip.key);
    if (!block) {
      const shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      shape.setAttribute("preserveAspectRatio", "none");
      shape.setAttribute("aria-hidden", "true");
      shape.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
      block = make("button", { type: "button", class: `block${clip.isNow ? " now" : ""}` }, make("span", { class: "above" }, make("b"), make("em", { dir: "auto" })), shape, make("span", { class: "below", dir: "auto" }), make("span", { class: "aloud" }));
      this.#blocks.set(clip.key, block);
      this.#lanes.get(clip.lane)?.staff.append(block);
    }
    block.clip = clip;
    block.style.left = `${left}px`;
    block.style.width = `${width}px`;
    block.style.setProperty("--room", `${Math.min(26 * 16, clip.room * this.pixels - 6)}px`);
    const [above, shape, below, aloud] = block.children, { line, sound } = clip;
    setText(above.firstChild, line ? String(line.number || "…") : "");
    above.firstChild.hidden = !line;
    setText(above.lastChild, line?.direction || "");
    setText(below, line ? line.said || line.asked : sound.source);
    setText(aloud, line ? `, ${line.player}, at ${clock(clip.from)}` : `, ${sound.id}, at ${clock(clip.from)}`);
    block.classList.toggle("cut", Boolean(line && line.reason));
    block.classList.toggle("silent", Boolean(line && !line.file && !clip.isNow));
    const url = line ? this.#url(line) : "", peaks = url && this.#shapes.get(url);
    if (peaks && shape.dataset.url !== url) this.#shape(shape, peaks, url);
    else if (url && !this.#shapes.has(url) && !this.#wanted.includes(url) && clip.seconds < 600) this.#wanted.push(url);
  }

  // Another take of a line may get its name: it has another length.
  #url({ file, samples }) {
    if (!file || !this.#source) return "";
    return new URL(`./take/${this.#source.id}/${file.split("/").map(encodeURIComponent).join("/")}?${samples}`, document.baseURI).href;
  }

  #shape(shape, peaks, url) {
    shape.dataset.url = url;
    shape.setAttribute("viewBox", `0 0 ${peaks.length} ${HEIGHT}`);
    const height = (peak) => Math.min(HEIGHT / 2, (peak / 255) * HEIGHT * 0.62);
    const up = [...peaks].map((peak, index) => `${index ? "L" : "M"}${index} ${(HEIGHT / 2 - height(peak)).toFixed(1)}`);
    const down = [...peaks].map((peak, index) => `L${index} ${(HEIGHT / 2 + height(peak)).toFixed(1)}`).reverse();
    shape.firstChild.setAttribute("d", `${up.join("")}${down.join("")}Z`);
  }

  // Reads the sounds that can be seen, one after the other.
  async #fetch() {
    if (this.#fetching || !this.#wanted.length) return;
    this.#fetching = true;
    const url = this.#wanted.shift();
    let peaks = null;
    try {
      const answer = await fetch(url), wav = answer.ok && readWav(await answer.arrayBuffer());
      if (wav) peaks = peaksOf(wav.samples, Math.max(8, Math.min(800, Math.round(wav.samples.length / wav.rate * 40))));
    } catch { peaks = null; }
    this.#shapes.set(url, peaks);
    if (this.#shapes.size > 600) this.#shapes.delete(this.#shapes.keys().next().value);
    this.#fetching = false;
    this.#drawn = "";
  }

  #tick(first, last, seconds) {
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((one) => one * this.pixels >= 60) || 1200, ticks = [];
    for (let second = Math.max(0, Math.floor(first / this.pixels / step) * step); second <= seconds && second * this.pixels <= last; second += step) {
      const tick = make("span", {}, `${Math.floor(second / 60)}:${String(second % 60).padStart(2, "0")}`);
      tick.style.left = `${second * this.pixels}px`;
      ticks.push(tick);
    }
    this.ruler.replaceChildren(...ticks);
  }

  // Where a replay is; null: nothing is replayed.
  point(seconds, line = null) {
    this.head.hidden = seconds === null;
    for (const block of this.#blocks.values()) block.classList.toggle("heard", Boolean(line) && block.clip.line === line);
    if (seconds === null) return;
    const name = this.ruler.offsetLeft, x = seconds * this.pixels;
    this.head.style.transform = `translateX(${name + x}px)`;
    if (this.follows && (x < this.box.scrollLeft || x > this.box.scrollLeft + this.box.clientWidth - name - 30)) this.box.scrollLeft = Math.max(0, x - 60);
  }

  #click(event) {
    const block = event.target.closest(".block");
    if (block) return void (block.clip.line && this.onHear(block.clip.line));
    const box = this.ruler.getBoundingClientRect();
    if (event.clientX >= Math.max(box.left, this.box.getBoundingClientRect().left + this.ruler.offsetLeft)) this.onSeek((event.clientX - box.left) / this.pixels);
  }

  #key(event) {
    const block = event.target.closest(".block");
    if (!block || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    const blocks = [...this.#blocks.values()].filter((one) => one.clip.line).sort((a, b) => a.clip.from - b.clip.from);
    const next = blocks[blocks.indexOf(block) + (event.key === "ArrowRight" ? 1 : -1)];
    if (next) next.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}
