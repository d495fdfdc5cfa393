// Talk: the microphone and typed words, to the one session that is chosen, and to no other.

import { $, make, setFlag, setHidden, setText } from "./dom.js";
import { Microphone } from "./microphone.js";
import { soundingAt } from "./session.js";
import { clockOf } from "./state.js";

const TAIL_S = 1.5; // of silence after a turn that the server is to find the end of
const LINGER_S = 15; // that the microphone stays open, unheard, so that the next word is not cut off
const PIECES = 50; // a second

export class Talk {
  #chosen = null;
  #held = false;
  #open = false;
  #tail = 0; // pieces of silence that are still to be sent
  #turn = 0; // pieces that were sent since the turn began
  #linger = 0;
  #person = null; // where a person of this page performs

  constructor(app) {
    this.app = app;
    this.microphone = new Microphone((samples, level) => this.#piece(samples, level));
    const talk = $("talk");
    talk.addEventListener("pointerdown", (event) => { talk.setPointerCapture(event.pointerId); this.hold(); });
    for (const end of ["pointerup", "pointercancel", "blur"]) talk.addEventListener(end, () => this.release());
    talk.addEventListener("keydown", (event) => { if ((event.key === " " || event.key === "Enter") && !event.repeat) { event.preventDefault(); this.hold(); } });
    talk.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") { event.preventDefault(); this.release(); } });
    $("open-mic").addEventListener("click", () => this.setOpen(!this.#open));
    $("talk-to").addEventListener("change", () => this.choose(Number($("talk-to").value) || null));
    $("say-form").addEventListener("submit", (event) => { event.preventDefault(); this.say($("say").value); });
    $("interrupt").addEventListener("click", () => this.interrupt());
  }

  // Numbers begin anew with another booth: a session is known by itself, and by nothing else.
  get source() { return this.#chosen && this.app.state.sources.get(this.#chosen.id) === this.#chosen ? this.#chosen : null; }
  get target() { return this.source?.id ?? null; }
  get isTalking() { return this.#held || this.#open || this.#person !== null; }

  // Another session is chosen: nothing that is said goes on to it by itself.
  choose(id) {
    if (id === this.target) return;
    this.setOpen(false);
    this.#held = false;
    this.#tail = 0;
    this.#chosen = this.app.state.sources.get(id) ?? null;
    this.draw();
    this.app.changed();
  }

  async #listen() {
    try {
      await this.microphone.open();
      return true;
    } catch (error) {
      this.#held = this.#open = false;
      this.app.note(`Cannot use the microphone: ${error.message || error.name}`);
      return false;
    }
  }

  async hold() {
    if (this.#held || this.#open || !this.source?.connected) return;
    this.#held = true;
    this.#turn = 0;
    this.draw();
    await this.#listen();
    this.draw();
  }

  release() {
    if (!this.#held) return;
    this.#held = false;
    this.#end();
    this.draw();
  }

  // Ends a turn: the server finds its end by the silence, or is told.
  #end() {
    const { source } = this;
    if (!source || !this.#turn) return;
    if (this.#detectsTurns(source)) this.#tail = TAIL_S * PIECES;
    else this.app.ask(source, { do: "commit" });
    this.#turn = 0;
  }

  async setOpen(open) {
    if (open === this.#open) return;
    this.#open = open && Boolean(this.source?.connected);
    if (this.#open) this.#turn = 0; else this.#end();
    this.draw();
    if (this.#open) await this.#listen();
    this.draw();
  }

  #detectsTurns(source) {
    const settings = source?.session?.settings ?? {};
    return Boolean(settings.audio?.input?.turn_detection ?? settings.turn_detection);
  }

  #piece(samples, level) {
    if (this.#person) return void this.app.connection.sendSound(this.#person.id, samples);
    const { source } = this;
    if (source?.connected && this.isTalking) {
      this.#linger = LINGER_S * PIECES;
      if (this.app.connection.sendSound(source.id, samples)) this.#turn += 1;
    } else if (source?.connected && this.#tail > 0) {
      this.#tail -= 1;
      this.app.connection.sendSound(source.id, new Int16Array(samples.length));
    } else if (this.#linger-- <= 0) this.microphone.close();
    this.level = level;
  }

  say(words) {
    const source = this.source;
    if (!words.trim() || !source) return;
    this.app.ask(source, { do: "say", text: words });
    $("say").value = "";
  }

  // Cuts the session short; it learns how much of it was heard here.
  interrupt() {
    const source = this.source;
    if (!source) return;
    const at = clockOf(source, performance.now() / 1000), { sound } = this.app;
    const number = sound.isOn ? sound.playing.get(this.app.chainKey(source)) : null;
    const item = source.session.playing.findLast((one) => one.number === number) ?? (at === null ? null : soundingAt(source.session, at));
    const heard = item && sound.heard(item.number);
    sound.stopSource(source.id);
    this.app.ask(source, { do: "interrupt", ...(heard === null || heard === undefined ? {} : { samples: heard }) });
  }

  // ---- a person's part

  // Opens the microphone before it is heard: that takes a moment.
  prepare() { this.#linger = LINGER_S * PIECES; return this.#listen(); }

  async perform(source) {
    this.#person = source;
    if (!(await this.prepare())) this.#person = null;
  }

  leave() {
    this.#person = null;
    this.#linger = 0;
  }

  // ---- what is shown

  draw() {
    const { source } = this, ready = Boolean(source?.connected), hears = ready && source.hello.listens !== false;
    $("talk").disabled = !hears && !this.#held;
    $("open-mic").disabled = !hears && !this.#open;
    $("interrupt").disabled = !ready;
    $("say").disabled = !ready;
    setFlag($("open-mic"), "aria-pressed", this.#open);
    setText($("open-mic"), this.#open ? "Close microphone" : "Open microphone");
    $("talk").classList.toggle("live", this.#held);
    const name = source?.name ?? "";
    setText($("talk-state"), !source ? "Choose a session to talk to." : !ready ? `${name} is disconnected.` : !hears ? `${name} does not accept audio from a page: type instead.` : this.#open || this.#held ? `${name} hears you` : "");
    setHidden($("desk"), this.app.targets.length === 0 && !source);
    this.#list();
  }

  #list() {
    const select = $("talk-to"), targets = this.app.targets, key = targets.map((one) => `${one.id} ${one.name}`).join("\n");
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(make("option", { value: "" }, "nobody"), ...targets.map((one) => make("option", { value: one.id }, one.name)));
    }
    const value = this.target === null ? "" : String(this.target);
    if (select.value !== value) select.value = value;
  }

  drawLevel() {
    const level = this.microphone.isOpen && this.isTalking ? Math.round(100 * Math.sqrt(this.microphone.level)) : 0;
    if (level === this.shown) return;
    this.shown = level;
    setFlag($("mic-level"), "aria-valuenow", level);
    $("mic-level").firstChild.style.transform = `scaleX(${level / 100})`;
  }
}
