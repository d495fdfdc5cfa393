// The microphone: opened when it is first wanted, closed when it is not any more.

const RATE = 24000;

export class Microphone {
  #stream = null;
  #context = null;
  #opening = null;

  constructor(onPiece) {
    this.onPiece = onPiece; // told (samples, level) every 20 ms
    this.level = 0;
  }

  get isOpen() { return this.#stream !== null; }

  async open() {
    this.#opening ??= this.#open().finally(() => { this.#opening = null; });
    return this.#opening;
  }

  async #open() {
    if (this.#stream) return;
    if (!navigator.mediaDevices) throw new Error("this page cannot use a microphone: open it at http://127.0.0.1 or localhost");
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
    const { context, source } = await this.#contextFor(stream);
    await context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url));
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    recorder.port.onmessage = ({ data }) => { this.level = data.level; this.onPiece(data.samples, data.level); };
    source.connect(recorder);
    this.#stream = stream;
    this.#context = context;
  }

  // Some browsers take a microphone only into a context of its own rate; the recorder resamples then.
  async #contextFor(stream) {
    let context = new AudioContext({ sampleRate: RATE });
    try {
      return { context, source: context.createMediaStreamSource(stream) };
    } catch {
      await context.close();
      context = new AudioContext();
      return { context, source: context.createMediaStreamSource(stream) };
    }
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#context?.close();
    this.#stream = this.#context = null;
    this.level = 0;
  }
}
