// What is heard: which sources, how loud, and how far each item was played.

const RATE = 24000;

export const newMixer = () => ({ volume: 1, muted: false, solo: false });

export class Sound {
  #node = null;
  #mixers = new Map();
  #starting = null;

  constructor() {
    this.isOn = false;
    this.context = null;
    this.master = null;
    this.played = new Map(); // item -> samples that were heard
    this.playing = new Map(); // chain -> the item that sounds
    this.waits = new Map(); // chain -> seconds that wait
    this.underruns = 0;
    this.volume = 1;
  }

  async start() {
    this.#starting ??= this.#open().catch((error) => { this.#starting = null; throw error; });
    await this.#starting;
    await this.context.resume();
    this.isOn = true;
  }

  async #open() {
    this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    await this.context.audioWorklet.addModule(new URL("./player-worklet.js", import.meta.url));
    this.#node = new AudioWorkletNode(this.context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.#report(data);
    this.master = new GainNode(this.context, { gain: this.volume });
    this.#node.connect(this.master).connect(this.context.destination);
    for (const source of this.#mixers.keys()) this.#tell(source, true);
  }

  stop() {
    this.isOn = false;
    this.#node?.port.postMessage({ do: "clear" });
    this.playing.clear();
    this.waits.clear();
  }

  #report({ played, waits, underruns }) {
    for (const [item, [at, over]] of played) {
      this.played.set(item, at);
      if (over && this.played.size > 2000) this.played.delete(this.played.keys().next().value);
    }
    this.playing = new Map(waits.filter(([, , item]) => item).map(([chain, , item]) => [chain, item]));
    this.waits = new Map(waits.map(([chain, seconds]) => [chain, seconds]));
    this.underruns = underruns;
  }

  feed(chain, source, item, first, samples) {
    if (this.isOn) this.#node.port.postMessage({ do: "sound", chain, source, item, first, samples }, [samples.buffer]);
  }

  end(item) { this.#node?.port.postMessage({ do: "end", item }); }
  cut(item, at) { this.#node?.port.postMessage({ do: "cut", item, at }); }
  stopSource(source) { this.#node?.port.postMessage({ do: "stop", source }); }
  skipAll() { this.#node?.port.postMessage({ do: "clear" }); }

  // Samples of an item that have reached the ear; null where it is not played here.
  heard(item) {
    if (!this.isOn || !this.played.has(item)) return null;
    const behind = (this.context.outputLatency || this.context.baseLatency || 0) * RATE;
    return Math.max(0, Math.round(this.played.get(item) - behind));
  }

  // ---- who is heard

  mixer(source) {
    if (!this.#mixers.has(source)) this.bind(source, newMixer());
    return this.#mixers.get(source);
  }

  // Lets a source be heard as this mixer says, and as the solos of others allow.
  bind(source, mixer) {
    if (this.#mixers.get(source) === mixer) return;
    this.#mixers.set(source, mixer);
    this.#tell(source, true);
  }

  set(source, changes) {
    Object.assign(this.mixer(source), changes);
    for (const each of this.#mixers.keys()) this.#tell(each);
  }

  isAudible(source) {
    const mixer = this.mixer(source), solos = [...this.#mixers.values()].some((one) => one.solo);
    return solos ? mixer.solo && !mixer.muted : !mixer.muted;
  }

  #tell(source, atOnce = false) {
    const gain = this.isAudible(source) ? this.mixer(source).volume : 0;
    this.#node?.port.postMessage({ do: "volume", source, gain, at_once: atOnce });
  }

  // Forgets a source, and whether it was to be heard alone.
  forget(source) {
    const { solo } = this.mixer(source);
    this.#mixers.delete(source);
    if (solo) for (const each of this.#mixers.keys()) this.#tell(each);
  }

  // Forgets all items and sources: their numbers begin anew.
  reset() {
    this.#node?.port.postMessage({ do: "reset" });
    for (const known of [this.played, this.playing, this.waits, this.#mixers]) known.clear();
  }

  setVolume(volume) {
    this.volume = volume;
    if (this.master) this.master.gain.setTargetAtTime(volume, this.context.currentTime, 0.01);
  }
}
