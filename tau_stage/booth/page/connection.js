// The page's one socket. It comes back by itself, later and later, and says what it has seen.

const FIRST_WAIT_S = 0.5, LONGEST_WAIT_S = 8;
const SLICE_MS = 12; // of messages at a time: the page stays quick

export class Connection {
  #socket = null;
  #waits = 0;
  #timer = 0;
  #queue = [];
  #draining = false;
  #asked = 0;

  // `seen` tells the epoch and the last event; `onMessage`, `onSound` and `onChange` are told what comes.
  constructor({ seen, onMessage, onSound, onChange }) {
    Object.assign(this, { seen, onMessage, onSound, onChange });
    this.isOpen = false;
    this.wait = 0;
  }

  open() {
    clearTimeout(this.#timer);
    const { epoch, number } = this.seen(), url = new URL("./watch", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ epoch, seen: String(number) });
    const socket = (this.#socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => { this.isOpen = true; this.#waits = 0; this.onChange(); });
    socket.addEventListener("message", (message) => this.#take(message.data));
    socket.addEventListener("close", () => this.#again(socket));
  }

  #again(socket) {
    if (socket !== this.#socket) return;
    this.isOpen = false;
    this.wait = Math.min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** this.#waits) * (0.85 + 0.3 * Math.random());
    this.#waits += 1;
    this.#timer = setTimeout(() => this.open(), 1000 * this.wait);
    this.onChange();
  }

  openNow() {
    if (!this.isOpen && this.#socket?.readyState !== WebSocket.CONNECTING) this.open();
  }

  #take(data) {
    if (data instanceof ArrayBuffer) return void this.onSound(data);
    let messages = [];
    try { messages = JSON.parse(data); } catch { messages = []; }
    for (const message of Array.isArray(messages) ? messages : [messages]) this.#queue.push(message);
    if (!this.#draining) this.#drain();
  }

  #drain() {
    const until = performance.now() + SLICE_MS;
    let index = 0;
    while (index < this.#queue.length) {
      this.onMessage(this.#queue[index]);
      index += 1;
      if (index % 64 === 0 && performance.now() > until) break;
    }
    this.#queue.splice(0, index);
    this.#draining = this.#queue.length > 0;
    if (this.#draining) setTimeout(() => this.#drain());
  }

  // Loses the connection, as a network does.
  cut() { this.#socket.close(); }

  // Sends a wish; returns its number, by which the answer is known.
  ask(wish) {
    if (!this.isOpen) return null;
    this.#asked += 1;
    this.#socket.send(JSON.stringify({ id: this.#asked, ...wish }));
    return this.#asked;
  }

  sendSound(to, samples) {
    if (!this.isOpen) return false;
    const message = new DataView(new ArrayBuffer(4 + 2 * samples.length));
    message.setUint32(0, to, true);
    new Int16Array(message.buffer, 4).set(samples);
    this.#socket.send(message.buffer);
    return true;
  }
}
