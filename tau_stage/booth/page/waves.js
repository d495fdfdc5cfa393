// How sounds look: the highest sample of each fiftieth of a second, by the number of the item.

export const STEP = 480;
const MOST = 1500;

export class Waves {
  #waves = new Map();

  add(item, first, samples) {
    let wave = this.#waves.get(item);
    if (!wave) {
      wave = { peaks: new Uint8Array(256), length: 0 };
      this.#waves.set(item, wave);
      if (this.#waves.size > MOST) this.#waves.delete(this.#waves.keys().next().value);
    }
    const end = Math.ceil((first + samples.length) / STEP);
    if (end > wave.peaks.length) {
      const longer = new Uint8Array(Math.max(end, 2 * wave.peaks.length));
      longer.set(wave.peaks);
      wave.peaks = longer;
    }
    for (let index = 0; index < samples.length; index += 1) {
      const height = Math.min(255, Math.abs(samples[index]) >> 7), place = Math.floor((first + index) / STEP);
      if (height > wave.peaks[place]) wave.peaks[place] = height;
    }
    wave.length = Math.max(wave.length, end);
  }

  of(item) { return this.#waves.get(item) || null; }
  clear() { this.#waves.clear(); }
}

export const peaksOf = (samples, columns) => {
  const peaks = new Uint8Array(columns);
  for (let column = 0; column < columns; column += 1) {
    const from = Math.floor(column * samples.length / columns), to = Math.floor((column + 1) * samples.length / columns);
    let highest = 0;
    for (let index = from; index < to; index += 1) { const height = Math.abs(samples[index]); if (height > highest) highest = height; }
    peaks[column] = Math.min(255, highest >> 7);
  }
  return peaks;
};

// The samples of a WAV of 16 bits; of its first channel.
export const readWav = (buffer) => {
  const view = new DataView(buffer);
  const tag = (at) => String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
  if (buffer.byteLength < 12 || tag(0) !== "RIFF") return null;
  let channels = 1, bits = 16, rate = 24000;
  for (let at = 12; at + 8 <= buffer.byteLength;) {
    const size = view.getUint32(at + 4, true), start = at + 8;
    if (tag(at) === "fmt ") { channels = view.getUint16(start + 2, true); rate = view.getUint32(start + 4, true); bits = view.getUint16(start + 14, true); }
    if (tag(at) === "data") {
      if (bits !== 16) return null;
      const frames = Math.floor(Math.min(size, buffer.byteLength - start) / (2 * channels)), samples = new Int16Array(frames);
      for (let index = 0; index < frames; index += 1) samples[index] = view.getInt16(start + 2 * channels * index, true);
      return { samples, rate };
    }
    at = start + size + (size & 1);
  }
  return null;
};
