// Hands on its input as 16-bit samples at 24 kHz, in pieces of 20 ms, whatever the rate of its context is.

const RATE = 24000, PIECE = 480;

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / RATE; // samples of the input for one of the output
    this.rest = this.step;
    this.sum = 0;
    this.piece = new Int16Array(PIECE);
    this.length = 0;
    this.peak = 0;
  }

  // Each sample of the output is the mean of the input that it covers.
  take(sample) {
    let left = 1;
    while (left > 0) {
      const part = Math.min(left, this.rest);
      this.sum += sample * part;
      left -= part;
      this.rest -= part;
      if (this.rest > 1e-9) continue;
      this.put(this.sum / this.step);
      this.rest += this.step;
      this.sum = 0;
    }
  }

  put(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.piece[this.length] = Math.round(clipped * 32767);
    this.peak = Math.max(this.peak, Math.abs(clipped));
    this.length += 1;
    if (this.length < PIECE) return;
    const samples = this.piece;
    this.port.postMessage({ samples, level: this.peak }, [samples.buffer]);
    this.piece = new Int16Array(PIECE);
    this.length = 0;
    this.peak = 0;
  }

  process(inputs) {
    const [channel] = inputs[0];
    if (channel) for (const sample of channel) this.take(sample);
    return true;
  }
}

registerProcessor("recorder", Recorder);
