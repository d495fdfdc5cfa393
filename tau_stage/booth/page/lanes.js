// A lane for each player: what it does, how loud it is, its sound as it comes, its words, whom it hears.

import { make, setClass, setFlag, setHidden, setText } from "./dom.js";
import { soundingAt, statusOf } from "./session.js";
import { clockOf } from "./state.js";
import { stateOf } from "./stage.js";
import { STEP } from "./waves.js";

const RATE = 24000;
const PER_SECOND = 34; // pixels
const NOW = 0.72; // where on the staff
const WORDS = { idle: "idle", listening: "listening", thinking: "thinking", speaking: "speaking", gone: "disconnected", prompted: "your turn", done: "done", waiting: "next", queued: "waiting to open", opening: "opening" };

export class Lanes {
  #lanes = new Map();
  #seen = new Set();
  #order = [];

  // `app` has the state, the sound, the waves, and what a lane's buttons do.
  constructor(list, app) {
    this.list = list;
    this.app = app;
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) { if (isIntersecting) this.#seen.add(target); else this.#seen.delete(target); }
    }, { rootMargin: "80px" });
    this.sizes = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) { target.room = contentRect; target.stale = true; }
    });
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  get shown() { return this.#order; }

  // Shows these players: {key, name, hue, source, stage, player, human}.
  show(wanted) {
    this.#order = wanted;
    const keys = new Set(wanted.map((each) => each.key));
    for (const [key, lane] of this.#lanes) if (!keys.has(key)) { this.observer.unobserve(lane.element); this.sizes.unobserve(lane.canvas); this.#seen.delete(lane.element); lane.element.remove(); this.#lanes.delete(key); }
    wanted.forEach((each, index) => {
      let lane = this.#lanes.get(each.key);
      if (!lane) { lane = this.#make(each); this.#lanes.set(each.key, lane); this.observer.observe(lane.element); this.sizes.observe(lane.canvas); }
      lane.about = each;
      if (this.list.children[index] !== lane.element) this.list.insertBefore(lane.element, this.list.children[index] || null);
      setText(lane.number, index < 9 ? String(index + 1) : "");
      this.#describe(lane);
    });
  }

  #make(about) {
    const number = make("span", { class: "index", "aria-hidden": "true" }), name = make("h3", { dir: "auto" }), what = make("small");
    const dot = make("i", { class: "dot" }), state = make("span", { class: "state-words" });
    const meter = make("span", { class: "meter", "aria-hidden": "true" }, make("i"));
    const mute = make("button", { type: "button", class: "quiet small", "aria-pressed": "false", onclick: () => this.app.mute(lane.about) }, "Mute");
    const solo = make("button", { type: "button", class: "quiet small", "aria-pressed": "false", onclick: () => this.app.solo(lane.about) }, "Solo");
    const talk = make("button", { type: "button", class: "quiet small", "aria-pressed": "false", onclick: () => this.app.talkTo(lane.about) }, "Talk to");
    const volume = make("input", { type: "range", min: "0", max: "1.5", step: "0.01", value: "1", oninput: () => this.app.volume(lane.about, Number(volume.value)) });
    const canvas = make("canvas", { "aria-hidden": "true" }), words = make("p", { class: "below", dir: "auto" });
    const hears = make("p", { class: "hears" }), figures = make("p", { class: "side" });
    const element = make("li", { class: `lane hue${about.hue}`, tabindex: "-1" },
      make("div", { class: "name" }, make("p", { class: "who" }, number, name), what, make("p", { class: "state" }, dot, state, meter),
        make("p", { class: "mixer" }, mute, solo, talk), volume, figures),
      make("div", { class: "staff" }, canvas, hears, words));
    const lane = { about, element, number, name, what, dot, state, meter, level: meter.firstChild, mute, solo, talk, volume, canvas, words, hears, figures, status: "", blank: true, height: 0 };
    return lane;
  }

  #describe(lane) {
    const { about } = lane, { source } = about;
    setText(lane.name, about.name);
    lane.element.dataset.name = about.name;
    setText(lane.what, about.what);
    for (const [button, verb] of [[lane.mute, "Mute"], [lane.solo, "Solo"], [lane.talk, "Talk to"], [lane.volume, "Volume of"]]) setFlag(button, "aria-label", `${verb} ${about.name}`);
    for (const control of [lane.mute, lane.solo, lane.volume]) setHidden(control, !source);
    setHidden(lane.talk, !source || !source.connected);
    const mixer = source && this.app.sound.mixer(source.id);
    if (mixer) {
      setFlag(lane.mute, "aria-pressed", mixer.muted);
      setFlag(lane.solo, "aria-pressed", mixer.solo);
      if (Number(lane.volume.value) !== mixer.volume) lane.volume.value = String(mixer.volume);
      setClass(lane.element, "unheard", !this.app.sound.isAudible(source.id));
    }
    setFlag(lane.talk, "aria-pressed", Boolean(source) && this.app.talk.target === source.id);
    lane.element.tabIndex = this.#order[0] === about ? 0 : -1;
  }

  #key(event) {
    const element = event.target.closest(".lane");
    if (!element || event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input")) return;
    const index = this.#order.findIndex((about) => this.#lanes.get(about.key)?.element === element), about = this.#order[index];
    const near = { ArrowUp: index - 1, ArrowDown: index + 1, Home: 0, End: this.#order.length - 1 }[event.key];
    if (near !== undefined) this.#lanes.get(this.#order[near]?.key)?.element.focus();
    else if (event.key === "m" && about.source) this.app.mute(about);
    else if (event.key === "s" && about.source) this.app.solo(about);
    else if (event.key === "Enter" && event.target === element && about.source) this.app.talkTo(about);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // ---- each frame

  draw(pageNow) {
    for (const about of this.#order) {
      const lane = this.#lanes.get(about.key);
      if (!lane) continue;
      const at = about.source ? clockOf(about.source, pageNow) : null;
      const sounding = about.source ? this.#sounding(about.source, at) : null;
      this.#state(lane, at, sounding);
      if (!this.#seen.has(lane.element)) continue;
      this.#words(lane, at, sounding);
      this.#wave(lane, at, sounding);
    }
  }

  // The item that sounds: what this page plays, or what would be heard by now.
  #sounding(source, at) {
    const { sound } = this.app;
    if (!sound.isOn) return at === null ? null : soundingAt(source.session, at);
    const number = sound.playing.get(this.app.chainKey(source));
    return (number && source.session.playing.findLast((item) => item.number === number)) || null;
  }

  #state(lane, at, sounding) {
    const { about } = lane;
    let status = about.stage ? stateOf(about.stage, about.player) : "idle";
    if (about.source) {
      const own = statusOf(about.source, at, this.app.sound.isOn ? Boolean(sounding) : undefined);
      if (own === "speaking" || own === "thinking" || status === "idle" || status === "speaking" || own === "gone") status = own;
    }
    if (about.stage?.ended && (status === "gone" || status === "idle")) status = "done";
    if ((status === "done" || status === "idle") && about.source && this.#waits(about.source)) status = "waiting";
    if (lane.status !== status) {
      lane.status = status;
      lane.element.dataset.status = status;
      setText(lane.state, WORDS[status] || status);
    }
    if (!this.#seen.has(lane.element)) return;
    let level = 0;
    if (sounding) {
      const wave = this.app.waves.of(sounding.number), place = this.app.placeOf(about.source, sounding, at);
      level = wave ? (wave.peaks[Math.floor((at - place) * RATE / STEP) + Math.floor(sounding.first / STEP)] || 0) / 255 : 0;
    }
    lane.height = Math.max(level, lane.height * 0.86);
    const shown = Math.round(100 * Math.sqrt(lane.height));
    if (lane.shown !== shown) { lane.shown = shown; lane.level.style.transform = `scaleX(${shown / 100})`; }
  }

  // Whether something of it is still to be heard here.
  #waits(source) {
    const { sound } = this.app, last = source.session.playing.at(-1);
    return sound.isOn && Boolean(last) && !sound.played.has(last.number) && sound.waits.get(this.app.chainKey(source)) > 0.2;
  }

  #words(lane, at, sounding) {
    const { about } = lane, { source, stage } = about;
    let words = "", hears = "";
    if (source) {
      const item = sounding || this.#lastWords(source);
      words = item?.words || "";
      if (!stage && lane.status === "listening") hears = this.app.talk.target === source.id && this.app.talk.isTalking ? "hears you" : "receiving audio";
      if (source.session.problem) hears = source.session.problem;
      const cost = source.session.dollars === null ? "" : this.app.money(source.session.dollars);
      setText(lane.figures, [cost, source.gone].filter(Boolean).join(" · "));
    }
    if (stage) {
      const line = stage.lines.get(stage.hearing.get(about.player.name));
      if (line) hears = `hears ${line.player}`;
      const heard = [...stage.hearing].filter(([, id]) => stage.lines.get(id)?.player === about.player.name).map(([hearer]) => hearer);
      if (heard.length) hears = `heard by ${heard.join(", ")}`;
      if (about.player.lost) hears = about.player.lost;
      if (!words) words = stage.current?.player === about.player.name ? stage.current.said || stage.current.asked : "";
    }
    setText(lane.words, words.slice(-600));
    setText(lane.hears, hears);
    setClass(lane.element, "problem", Boolean(hears) && (hears === source?.session.problem || hears === about.player?.lost));
  }

  // The words that came last; while this page lags behind, those that were heard last.
  #lastWords(source) {
    const { session } = source, { sound } = this.app, last = session.wording || session.speaking;
    if (!sound.isOn || !(sound.waits.get(this.app.chainKey(source)) > 0.5)) return last;
    return session.playing.findLast((item) => sound.played.has(item.number)) ?? (session.playing.length ? null : last);
  }

  #wave(lane, at, sounding) {
    const { canvas, about } = lane, { source } = about;
    if (!source || at === null) return;
    if (!canvas.room) return;
    const { width, height } = canvas.room, scale = Math.min(2, devicePixelRatio || 1);
    const now = width * NOW, first = at - now / PER_SECOND, last = at + (width - now) / PER_SECOND;
    const near = source.session.playing.filter((item) => {
      const from = this.app.placeOf(source, item, at);
      return from < last && from + (item.samples - item.first) / RATE > first;
    });
    if (!near.length && lane.blank && !canvas.stale) return;
    canvas.stale = false;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) { canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale); }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    lane.blank = !near.length;
    pen.fillStyle = this.app.colourOf(lane.element);
    for (const item of near) this.#shape(pen, item, this.app.placeOf(source, item, at), { at, now, width, middle: height / 2 });
    if (sounding) { pen.globalAlpha = 1; pen.fillStyle = this.app.accent; pen.fillRect(now - 1, 0, 2, height); }
  }

  // What has sounded is dark, what is to sound pale, what was cut away is left out.
  #shape(pen, item, from, { at, now, width, middle }) {
    const wave = this.app.waves.of(item.number);
    if (!wave) return;
    const start = now + (from - at) * PER_SECOND, step = PER_SECOND * STEP / RATE, skipped = Math.floor(item.first / STEP);
    const end = Math.min(wave.length, item.cut === null ? Infinity : Math.floor(item.cut / STEP));
    const low = Math.max(skipped, Math.floor(skipped - start / step)), high = Math.min(end, Math.ceil(skipped + (width - start) / step));
    for (const [alpha, one, other] of [[1, low, Math.min(high, Math.ceil(skipped + (now - start) / step))], [0.32, Math.max(low, Math.ceil(skipped + (now - start) / step)), high]]) {
      pen.globalAlpha = alpha;
      pen.beginPath();
      for (let index = one; index < other; index += 1) {
        const tall = Math.max(0.75, (wave.peaks[index] / 255) * middle * 1.25);
        pen.rect(start + (index - skipped) * step, middle - Math.min(middle, tall), Math.max(1, step + 0.3), 2 * Math.min(middle, tall));
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
  }
}
