// Hear again: one line of a performance, an item of a conversation, or a whole take from any place on.

const TICK_MS = 40;

export class Replay {
  #solo = new Audio();
  #mix = new Audio();
  #voices = new Map();
  #timer = 0;
  #anchor = 0;

  // `changed` is told after each change and forty milliseconds.
  constructor({ changed, failed, volume }) {
    Object.assign(this, { changed, failed, volume, source: null, playing: "", at: 0, line: null, words: "" });
    this.#solo.addEventListener("ended", () => this.halt());
    this.#mix.addEventListener("ended", () => { this.halt(); this.at = 0; this.changed(); });
  }

  get stage() { return this.source?.stage ?? null; }
  get seconds() { return this.stage?.seconds ?? 0; }

  show(source) {
    if (source === this.source) return;
    this.halt();
    this.source = source;
    this.at = 0;
    this.line = null;
    this.#mix.removeAttribute("src");
  }

  url(file) { return new URL(`./take/${this.source.id}/${file.split("/").map(encodeURIComponent).join("/")}`, document.baseURI).href; }

  halt() {
    clearInterval(this.#timer);
    this.#solo.pause();
    this.#mix.pause();
    for (const voice of this.#voices.values()) voice.pause();
    this.#voices.clear();
    this.playing = "";
    this.changed();
  }

  #begin(how) {
    this.playing = how;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.changed();
  }

  #play(voice, url, place) {
    if (voice.src !== url || voice === this.#solo) voice.src = url; // another take may have the line's name by now
    voice.volume = Math.min(1, this.volume());
    voice.currentTime = place;
    voice.play().catch((error) => {
      if (error.name === "AbortError") return;
      this.halt();
      this.failed(`Cannot play this audio: ${error.message || error.name}`);
    });
  }

  hear(line, file = line.file) {
    this.halt();
    this.line = line;
    this.at = line.offset === null ? 0 : line.offset / this.stage.rate;
    if (!file) return this.failed(`There is no audio for ${line.id}.`);
    this.#play(this.#solo, this.url(file), 0);
    this.#begin("line");
  }

  hearItem(source, item) {
    this.halt();
    this.line = null;
    this.#play(this.#solo, new URL(`./sound/${source.id}/${encodeURIComponent(item.id)}`, document.baseURI).href, 0);
    this.#begin("item");
  }

  perform() {
    if (!this.stage) return;
    if (this.at >= this.seconds - 0.05) this.at = 0;
    this.line = null;
    if (this.stage.mix) this.#play(this.#mix, this.url(this.stage.mix), this.at);
    else this.#anchor = performance.now() - 1000 * this.at;
    this.#begin(this.stage.mix ? "mix" : "lines");
  }

  toggle() { if (this.playing) this.halt(); else this.perform(); }

  seek(seconds) {
    const was = this.playing;
    this.halt();
    this.line = null;
    this.at = Math.max(0, Math.min(this.seconds, seconds));
    if (was === "mix" || was === "lines") this.perform(); else this.changed();
  }

  step(by) {
    const lines = this.stage?.spoken ?? [];
    if (!lines.length) return;
    const here = this.line ? lines.indexOf(this.line) : lines.findLastIndex((line) => line.offset / this.stage.rate <= this.at + 0.001);
    const line = lines[Math.max(0, Math.min(lines.length - 1, here + by))], was = this.playing;
    this.seek(line.offset / this.stage.rate);
    if (was === "line") this.hear(line);
    else if (!was) { this.line = line; this.changed(); }
  }

  #tick() {
    if (this.playing === "line" && this.line.offset !== null) this.at = this.line.offset / this.stage.rate + this.#solo.currentTime;
    else if (this.playing === "mix") this.at = this.#mix.currentTime;
    else if (this.playing === "lines") this.#chorus();
    this.changed();
  }

  // Without a mix, each line sounds where it stands.
  #chorus() {
    this.at = (performance.now() - this.#anchor) / 1000;
    const { rate } = this.stage;
    for (const line of this.stage.spoken) {
      const from = line.offset / rate, end = from + line.samples / rate;
      if (from > this.at) break;
      if (this.at < end && line.file && !this.#voices.has(line)) {
        const voice = new Audio();
        this.#voices.set(line, voice);
        this.#play(voice, this.url(line.file), this.at - from);
      }
    }
    for (const [line, voice] of this.#voices) if (this.at >= (line.offset + line.samples) / rate) { voice.pause(); this.#voices.delete(line); }
    if (this.at >= this.seconds) { this.halt(); this.at = 0; }
  }

  // The line that sounds now.
  get current() {
    if (this.line) return this.line;
    if (!this.stage || !this.playing) return null;
    return this.stage.spoken.findLast((line) => line.offset / this.stage.rate <= this.at) ?? null;
  }
}
