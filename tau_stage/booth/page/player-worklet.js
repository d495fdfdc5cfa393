// Plays what comes, sample by sample, at the rate of its context (24 kHz).
//
// A chain is what is heard one after the other: a session, or all players of one performance. It begins to sound when a
// little of it has come, so that pieces which are late leave no gap; where one is very late, it fades out, waits for
// more than before, and goes on where it stopped. Nothing is skipped, stretched or played twice.

const FIRST_NEED = 2400; // samples: 100 ms
const WAIT = 0.75; // of these, until a piece alone is played
const MOST_NEED = 7200;
const PATIENCE = 24000; // samples that an item which does not go on is waited for, when another waits behind it
const DECAY = Math.exp(-1 / 48); // of the last sample when a sound stops: no click
const SMOOTH = 1 - Math.exp(-1 / 120); // of a change of volume
const REPORT = 6; // blocks

class Item {
  constructor(source, number, first) {
    Object.assign(this, { source, number, at: first, pieces: [], offset: 0, have: 0, isWhole: false, cut: Infinity });
  }

  add(samples) { this.pieces.push(samples); this.have += samples.length; }

  next() {
    const piece = this.pieces[0], sample = piece[this.offset];
    this.offset += 1;
    this.at += 1;
    this.have -= 1;
    if (this.offset === piece.length) { this.pieces.shift(); this.offset = 0; }
    return sample / 32768;
  }

  get isOver() { return this.at >= this.cut || (this.isWhole && this.have === 0); }
}

class Chain {
  constructor() {
    this.items = [];
    this.plays = false;
    this.need = FIRST_NEED;
    this.previous = 0; // the last sample that was heard
    this.rest = 0; // fades away what would be a jump
    this.starved = 0;
    this.broke = false; // within an item
    this.waited = 0; // samples, since what does not play yet has come
  }

  mix(out, gainOf, report) {
    for (let index = 0; index < out.length; index += 1) out[index] += this.next(gainOf, report);
    const item = this.items[0];
    if (!item) return;
    report.played.set(item.number, [item.at, 0]);
    this.starved = item.have ? 0 : this.starved + out.length;
    if (this.starved > PATIENCE && this.items.length > 1) item.isWhole = true;
  }

  next(gainOf, report) {
    while (this.items.length && this.items[0].isOver) this.leave(this.items.shift(), report);
    const item = this.items[0];
    if (item && item.have && !this.plays && this.mayBegin(item)) { this.plays = true; this.waited = 0; }
    this.rest = Math.abs(this.rest) < 1e-5 ? 0 : this.rest * DECAY;
    if (!item || !this.plays || item.have === 0) {
      if (item && this.plays) { this.need = Math.min(MOST_NEED, 2 * this.need); this.broke = true; }
      this.plays = false;
      this.rest += this.previous;
      this.previous = 0;
      return this.rest;
    }
    const gain = gainOf(item.source), sample = item.next() * gain.now;
    gain.now += (gain.wanted - gain.now) * SMOOTH;
    if (this.broke) { this.rest -= sample; this.broke = false; report.underruns += 1; }
    this.previous = sample;
    return sample + this.rest;
  }

  // The next piece may come as late as this one is long, and later: what waits before it sounds makes up for that.
  mayBegin(item) {
    this.waited += 1;
    if (item.isWhole || item.have >= 3 * this.need) return true;
    return item.have >= this.need && (item.pieces.length > 1 || this.waited >= WAIT * this.need);
  }

  leave(item, report) {
    report.played.set(item.number, [item.at, 1]);
    this.starved = this.waited = 0;
    this.broke = false;
    this.need = Math.max(FIRST_NEED, this.need >> 1);
    if (item.have === 0) return;
    this.rest += this.previous; // it was cut
    this.previous = 0;
  }

  get isSilent() { return this.items.length === 0 && this.previous === 0 && this.rest === 0; }

  get waits() { return this.items.reduce((sum, item) => sum + Math.max(0, Math.min(item.have, item.cut - item.at)), 0); }
}

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.chains = new Map();
    this.items = new Map();
    this.stopped = new Set(); // items of which nothing more is to be heard
    this.gains = new Map();
    this.blocks = 0;
    this.report = { played: new Map(), underruns: 0 };
    this.port.onmessage = ({ data }) => this[data.do]?.(data);
  }

  gain(source) {
    let gain = this.gains.get(source);
    if (!gain) this.gains.set(source, (gain = { now: 1, wanted: 1 }));
    return gain;
  }

  sound({ chain, source, item, first, samples }) {
    let own = this.items.get(item);
    if (this.stopped.has(item)) return;
    if (!own) {
      own = new Item(source, item, first);
      this.items.set(item, own);
      if (!this.chains.has(chain)) this.chains.set(chain, new Chain());
      this.chains.get(chain).items.push(own);
    }
    own.add(samples);
  }

  end({ item }) { const own = this.items.get(item); if (own) own.isWhole = true; }

  cut({ item, at }) {
    const own = this.items.get(item);
    if (own) own.cut = Math.min(own.cut, at);
    this.forbid(item);
  }

  stop({ source }) {
    for (const own of this.items.values()) if (own.source === source) this.cut({ item: own.number, at: own.at });
  }

  clear() { for (const own of this.items.values()) own.cut = Math.min(own.cut, own.at); }

  reset() {
    this.clear();
    this.items.clear();
    this.stopped.clear();
    this.gains.clear();
  }

  forbid(item) {
    this.stopped.add(item);
    if (this.stopped.size > 1000) this.stopped.delete(this.stopped.values().next().value);
  }

  volume({ source, gain, at_once }) { const own = this.gain(source); own.wanted = gain; if (at_once) own.now = gain; }

  process(_inputs, outputs) {
    const [out] = outputs[0], { report } = this;
    for (const chain of this.chains.values()) chain.mix(out, (source) => this.gain(source), report);
    for (const [key, chain] of this.chains) if (chain.isSilent) this.chains.delete(key);
    this.blocks += 1;
    if (this.blocks % REPORT === 0 && report.played.size) {
      const waits = [...this.chains].map(([key, chain]) => [key, chain.waits / sampleRate, chain.plays ? chain.items[0]?.number ?? 0 : 0]);
      this.port.postMessage({ played: [...report.played], waits, underruns: report.underruns });
      for (const [item, [, over]] of report.played) if (over) this.items.delete(item);
      report.played.clear();
    }
    return true;
  }
}

registerProcessor("player", Player);
