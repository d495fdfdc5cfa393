// The table of events: only the rows that can be seen are in the page.

import { $, amount, make, setHidden, setText, span, timeOfDay } from "./dom.js";
import { EventLog, summarise } from "./event_log.js";

const ROW = 28, OVER = 8;
const PAUSE_MS = 150; // between two drawings of what is new
const SLICE = 1500; // rows that are filtered at a time

export class EventTable {
  #log = null;
  #shown = []; // rows that pass the filter
  #looked = 0; // how far in the log's rows the filter has come, counted from its beginning
  #removed = 0;
  #pool = [];
  #selected = null;
  #filter = { type: "", player: "", text: "", from: "" };
  #still = false;
  #sticks = true;
  #drawn = 0;

  constructor(app) {
    this.app = app;
    this.box = $("events");
    this.rows = $("rows");
    this.box.addEventListener("scroll", () => { this.#drawn = 0; this.#sticks = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - ROW; });
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.rows.addEventListener("click", (event) => { const row = event.target.closest("[role=row]")?.row; if (row) this.#select(row, true); });
    for (const [id, name] of [["filter-type", "type"], ["filter-player", "player"], ["filter-text", "text"], ["filter-from", "from"]]) {
      $(id).addEventListener("input", () => { this.#filter[name] = $(id).value.trim().toLowerCase(); this.#again(); });
    }
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("pause").addEventListener("click", () => { this.#still = !this.#still; $("pause").setAttribute("aria-pressed", String(this.#still)); });
    $("export").addEventListener("click", () => this.export());
    $("detail-close").addEventListener("click", () => { setHidden($("detail"), true); this.box.focus(); });
    $("detail-copy").addEventListener("click", () => navigator.clipboard?.writeText($("detail-json").textContent).catch(() => getSelection().selectAllChildren($("detail-json"))));
  }

  show(log) { this.#log = log; this.#again(); }

  #again() {
    this.#drawn = 0;
    this.#shown = [];
    this.#looked = this.#log.removed;
    this.#removed = this.#log.removed;
    this.#sticks = true;
    if (this.#log.rows.length) this.#look();
  }

  #passes(row) {
    const { type, player, text, from } = this.#filter;
    return (!type || row.type.toLowerCase().includes(type)) && (!player || row.name.toLowerCase() === player) && (!from || row.from === from)
      && (!text || EventLog.searched(row).includes(text));
  }

  // Looks at the rows that are new; many are looked at over several frames.
  #look() {
    const { rows, removed } = this.#log;
    if (removed !== this.#removed) {
      const first = rows[0]?.number ?? Infinity;
      let gone = 0;
      while (gone < this.#shown.length && this.#shown[gone].number < first) gone += 1;
      this.#shown.splice(0, gone);
      if (!this.#sticks) this.box.scrollTop -= gone * ROW;
      this.#removed = removed;
      this.#looked = Math.max(this.#looked, removed);
    }
    const end = Math.min(rows.length, this.#looked - removed + SLICE);
    for (let index = this.#looked - removed; index < end; index += 1) if (this.#passes(rows[index])) this.#shown.push(rows[index]);
    this.#looked = removed + end;
    return end < rows.length;
  }

  draw(time) {
    if (!this.#log || this.#still || time - this.#drawn < PAUSE_MS) return;
    this.#drawn = time;
    const more = this.#look(), height = `${this.#shown.length * ROW}px`;
    if (this.rows.style.height !== height) this.rows.style.height = height;
    if (this.#sticks) this.box.scrollTop = this.box.scrollHeight;
    this.#fill();
    this.#note(more);
  }

  #note(more) {
    const { kept, dropped, missed, lost } = this.#log, filtered = this.#shown.length !== this.#log.rows.length;
    const words = [`${amount(kept)} events kept`];
    if (filtered) words.push(more ? "searching" : `${amount(this.#shown.length)} rows shown`);
    words.push(dropped ? `${amount(dropped)} older events dropped` : "none dropped");
    if (missed) words.push(`${amount(missed)} occurred while no booth was running`);
    if (lost) words.push(`${amount(lost)} lost before they reached the booth`);
    setText($("events-note"), words.join(" · "));
    this.box.setAttribute("aria-rowcount", String(this.#shown.length));
  }

  #fill() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - OVER);
    const last = Math.min(this.#shown.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + OVER);
    while (this.#pool.length < last - first) this.#pool.push(this.#make());
    const size = this.#pool.length; // a row that stays keeps its line
    this.#pool.forEach((line, place) => {
      const index = first + (place - first % size + size) % size, within = index < last;
      setHidden(line, !within);
      if (within) this.#write(line, this.#shown[index], index);
    });
    const chosen = this.#pool.find((line) => !line.hidden && line.row === this.#selected);
    if (chosen) this.box.setAttribute("aria-activedescendant", chosen.id); else this.box.removeAttribute("aria-activedescendant");
  }

  #make() {
    const cells = ["time", "who", "from", "type", "what", "took"].map((name) => make("span", { role: "gridcell", class: name, dir: name === "what" || name === "who" ? "auto" : null }));
    const line = make("div", { role: "row", id: `row-${this.#pool.length}` }, ...cells);
    this.rows.append(line);
    return line;
  }

  #write(line, row, index) {
    const place = `${index} ${row.number} ${row.count} ${row.latency} ${row === this.#selected} ${row.source.offset}`;
    if (line.place === place && line.row === row) return;
    line.place = place;
    line.row = row;
    line.style.transform = `translateY(${index * ROW}px)`;
    line.className = `${row.from}${row.source.session ? ` hue${this.app.hueOf(row.source)}` : ""}${row.type === "error" ? " error" : ""}`;
    line.setAttribute("aria-rowindex", String(index + 1));
    line.setAttribute("aria-selected", String(row === this.#selected));
    const [time, who, from, type, what, took] = line.children;
    const at = this.#time(row);
    setText(time, at.replace(/^\d\d:(?=\d\d:)/, ""));
    time.title = at;
    setText(who, row.name);
    setText(from, { client: "→", server: "←", stage: "·" }[row.from]);
    from.setAttribute("title", { client: "from the client to the server", server: "from the server to the client", stage: "from the stage" }[row.from]);
    setText(type, row.count > 1 ? `${row.type} ×${row.count}` : row.type);
    setText(what, summarise(row).slice(0, 300));
    setText(took, row.latency === null ? "" : span(row.latency));
    took.title = row.what;
  }

  #time(row) {
    if (row.at === null) return "";
    return row.source.offset === Infinity || row.source.kind === "take" ? `+${row.at.toFixed(3)}` : timeOfDay(row.at + row.source.offset);
  }

  // ---- one event

  #select(row, opens) {
    this.#selected = row;
    if (opens || !$("detail").hidden) this.#open(row);
    this.#fill();
  }

  #open(row) {
    const shown = row.events.slice(0, 200), more = row.events.length - shown.length;
    setText($("detail-title"), `${row.type}, ${row.name}${row.latency === null ? "" : `, ${span(row.latency)}: ${row.what}`}`);
    const json = shown.map((told) => JSON.stringify(told.event ?? told.record, null, 2)).join("\n");
    $("detail-json").textContent = json + (more > 0 ? `\n… and ${more} more; use Export to get all of them` : "");
    setHidden($("detail"), false);
    $("detail-json").scrollTop = 0;
  }

  #key(event) {
    const index = this.#shown.indexOf(this.#selected), page = Math.floor(this.box.clientHeight / ROW), last = this.#shown.length - 1;
    const next = { ArrowDown: index + 1, ArrowUp: index < 0 ? last : index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: last }[event.key];
    if (next !== undefined && last >= 0) {
      const place = Math.max(0, Math.min(last, next));
      this.box.scrollTop = Math.min(place * ROW, Math.max(this.box.scrollTop, (place + 1) * ROW - this.box.clientHeight));
      this.#sticks = place === last;
      this.#select(this.#shown[place], false);
    } else if (event.key === "Enter" && this.#selected) this.#select(this.#selected, true);
    else if (event.key === "Escape") setHidden($("detail"), true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // ---- out

  lines() {
    while (this.#look()) continue;
    const shown = this.#shown.flatMap((row) => row.events.map((told) => ({ row, told }))).sort((one, other) => one.told.came - other.told.came);
    return shown.map(({ row, told }) => JSON.stringify({ n: told.n, source: row.name, at: told.at, from: row.from, latency: told.latency, samples: told.samples, event: told.event, record: told.record }));
  }

  export() {
    const url = URL.createObjectURL(new Blob(this.lines().map((line) => `${line}\n`), { type: "application/x-ndjson" }));
    make("a", { href: url, download: `booth-events-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jsonl` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  setPlayers(names) {
    const select = $("filter-player"), key = names.join("\n");
    if (select.dataset.key === key) return;
    const chosen = select.value;
    select.dataset.key = key;
    select.replaceChildren(make("option", { value: "" }, "all"), ...names.map((name) => make("option", { value: name }, name)));
    select.value = names.includes(chosen) ? chosen : "";
    if (select.value !== chosen) select.dispatchEvent(new Event("input"));
  }

  setTypes() {
    const types = [...this.#log.types.keys()].slice(0, 300).sort();
    if ($("types").childElementCount !== types.length) $("types").replaceChildren(...types.map((type) => make("option", { value: type })));
  }
}
