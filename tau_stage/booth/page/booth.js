// The booth: what comes is folded into the state at once, and drawn once a frame.

import { Connection } from "./connection.js";
import { $, clock, dollars, make, setFlag, setHidden, setText, span } from "./dom.js";
import { EventTable } from "./events.js";
import { drawFigures } from "./figures.js";
import { Lanes } from "./lanes.js";
import { Lines } from "./lines.js";
import { Prompter } from "./prompter.js";
import { Score } from "./score.js";
import { median } from "./session.js";
import { newMixer, Sound } from "./sound.js";
import { HUES } from "./stage.js";
import { apply, chainKey, clockOf, createState, looseSessions, sessionsOf } from "./state.js";
import { Talk } from "./talk.js";
import { Replay } from "./timeline.js";
import { Waves } from "./waves.js";

const RATE = 24000;
const now = () => performance.now() / 1000;

export const state = createState();
export const sound = new Sound();
const waves = new Waves();

let isChanged = true, hasNews = false, newest = 0, scope = null, chosen = "", showsGone = false, tab = "events", drawn = 0;
const wishes = new Map();
const places = new WeakMap(); // where an item sounds, on its source's clock, once this page has played it

// ---- what the parts of the page may use

export const app = {
  state, sound, waves,
  accent: "",
  targets: [],
  money: dollars,
  chainKey: (source) => chainKey(state, source),
  changed: () => { isChanged = true; },
  hueOf: (source) => {
    const owner = source.run && [...state.sources.values()].find((one) => one.stage && one.run === source.run);
    const player = (owner || source).stage?.players.find((one) => one.name === source.player);
    return player ? player.hue : source.id % HUES;
  },
  colourOf: (element) => {
    element.colour ??= getComputedStyle(element).getPropertyValue("--own").trim();
    return element.colour;
  },
  // While an item is played here, it stands where it is heard; those that wait behind it stand as much later.
  placeOf: (source, item, at) => {
    if (!sound.isOn) return places.get(item) ?? item.from;
    const played = sound.played.get(item.number), chain = app.chainKey(source);
    if (sound.playing.get(chain) === item.number && played !== undefined) {
      const place = at - (played - item.first) / RATE;
      places.set(item, place);
      app.delays.set(chain, place - item.from);
      return place;
    }
    if (places.has(item)) return places.get(item);
    return item.from + (item.done && played === undefined && !sound.waits.get(chain) ? 0 : app.delays.get(chain) ?? 0);
  },
  delays: new Map(),
  mute: ({ source }) => { sound.set(source.id, { muted: !sound.mixer(source.id).muted }); isChanged = true; },
  solo: ({ source }) => { sound.set(source.id, { solo: !sound.mixer(source.id).solo }); isChanged = true; },
  volume: ({ source }, volume) => { sound.set(source.id, { volume }); },
  talkTo: ({ source }) => { app.talk.choose(app.talk.target === source.id ? null : source.id); isChanged = true; },
  note: (words) => { state.notices.push(words); isChanged = true; },
  ask: (source, wish, about = "") => {
    const id = app.connection.ask({ to: source.id, ...wish });
    if (id === null) return app.note("The booth is not connected, so nothing was sent.");
    wishes.set(id, { source, wish, about });
    if (source.connected && (wish.do === "retake" || wish.do === "pick")) app.note(`${about}: scheduled for the end of the performance.`);
  },
};

// ---- what comes

const wholeItems = (source) => {
  for (const item of source.session.playing) {
    if (item.cut !== null && item.soundCut !== item.cut) { item.soundCut = item.cut; sound.cut(item.number, item.cut); }
    if (item.done && !item.told) { item.told = true; sound.end(item.number); }
  }
};

const onMessage = (message) => {
  hasNews = true;
  const { epoch } = state;
  try {
    apply(state, message, now());
    if (epoch && epoch !== state.epoch) { waves.clear(); sound.reset(); }
    if (message?.type === "welcome" || message?.type === "source") bindMixers();
  } catch (error) {
    app.note(`Invalid message: ${error.message}`);
  }
  if (message?.type === "event" && message.event && !message.samples) {
    const source = state.sources.get(message.source);
    if (source?.session) wholeItems(source);
    if (source && message.event.type === "input_audio_buffer.speech_started" && app.talk.target === source.id && app.talk.isTalking) sound.stopSource(source.id);
  }
  if (message?.type === "welcome" || message?.type === "source") for (const piece of early.splice(0)) onSound(piece);
  if (message?.type === "forgotten") sound.forget(message.source);
  if (message?.type === "source") endGone(state.sources.get(message.source?.id));
  for (const { id, problem } of state.answers.splice(0)) answered(id, problem);
};

// A mixer stays with its session, whatever number that has in another booth.
const bindMixers = () => {
  for (const source of state.sources.values()) if (source.session) sound.bind(source.id, (source.mixer ??= newMixer()));
};

// Nothing more comes of a source that is gone.
const endGone = (source) => {
  if (!source?.session || source.connected) return;
  for (const item of source.session.playing) item.done = true;
  wholeItems(source);
};

// Whoever is gone, and was heard to its end, is not heard alone any more: else nobody would be.
const endSolos = () => {
  for (const source of state.sources.values()) {
    if (source.connected || !source.mixer?.solo || sound.waits.get(app.chainKey(source)) > 0) continue;
    sound.set(source.id, { solo: false });
    isChanged = true;
  }
};

const answered = (id, problem) => {
  const asked = wishes.get(id);
  wishes.delete(id);
  const what = asked?.about || (asked ? `${asked.wish.do}, ${asked.source.name}` : "");
  if (problem) app.note(what ? `${what}: ${problem}` : problem);
  else if (asked?.about) app.note(`${what}: done.`);
};

const HEADER = 16, MOST_EARLY = 200;
const early = []; // sound of those who were not told of yet

const onSound = (data) => {
  const view = new DataView(data);
  for (let at = 0, end = 0; at + HEADER <= data.byteLength; at = end) {
    const [id, item, first, count] = [0, 4, 8, 12].map((place) => view.getUint32(at + place, true));
    end = at + HEADER + 2 * count;
    const source = state.sources.get(id);
    if (!source && end <= data.byteLength) early.push(data.slice(at, end));
    if (early.length > MOST_EARLY) early.shift();
    if (!source || !count || end > data.byteLength) continue;
    const samples = new Int16Array(data.slice(at + HEADER, end));
    waves.add(item, first, samples);
    sound.feed(app.chainKey(source), id, item, first, samples);
  }
};

app.connection = new Connection({ seen: () => ({ epoch: state.epoch, number: state.seen }), onMessage, onSound, onChange: () => { isChanged = true; drawLink(); } });

// ---- the parts

const score = new Score({ box: $("score"), system: $("system"), scale: $("scale"), follow: $("follow"), onHear: (line) => app.replay.hear(line), onSeek: (seconds) => { if (scope?.kind === "take") app.replay.seek(seconds); } });
app.replay = new Replay({ changed: () => { isChanged = true; }, failed: app.note, volume: () => sound.volume });
app.talk = new Talk(app);
const lanes = new Lanes($("lanes"), app), lines = new Lines(app), events = new EventTable(app), prompter = new Prompter(app);
events.show(state.log);

// ---- which performance is shown

const pickScope = () => {
  const stages = [...state.sources.values()].filter((source) => source.stage), loose = looseSessions(state);
  const options = [...(loose.length || !stages.length ? [["sessions", `Sessions (${loose.length})`]] : []), ...stages.map((source) => [`source ${source.id}`, `${source.kind === "take" ? "Take: " : ""}${source.stage.title || source.name}`])];
  const live = stages.findLast((source) => source.connected);
  if (!options.some(([key]) => key === chosen)) chosen = "";
  const key = chosen || (live ? `source ${live.id}` : loose.some((source) => source.connected) ? "sessions" : stages.length ? `source ${stages.at(-1).id}` : "sessions");
  const select = $("scope"), mark = JSON.stringify(options);
  if (select.dataset.mark !== mark) {
    select.dataset.mark = mark;
    select.replaceChildren(...options.map(([value, words]) => make("option", { value }, words)));
  }
  if (select.value !== key) select.value = key;
  setHidden(select.parentElement, options.length < 2);
  scope = key === "sessions" ? null : state.sources.get(Number(key.slice(7))) ?? null;
};

$("scope").addEventListener("change", () => { chosen = $("scope").value; isChanged = true; });

const laneList = () => {
  if (scope) {
    const own = sessionsOf(state, scope.run || "-");
    return scope.stage.players.map((player) => {
      const source = own.findLast((one) => one.player === player.name) ?? null;
      return { key: `${scope.id} ${player.name}`, name: player.name, what: player.human ? `a person (${player.human})` : [player.voice, player.model].filter(Boolean).join(", "), hue: player.hue, source, stage: scope.stage, player };
    });
  }
  const loose = looseSessions(state), live = loose.filter((source) => source.connected);
  return (showsGone || !live.length ? loose.slice(-64) : live).map((source) => ({ key: `session ${source.id}`, name: source.name, what: modelOf(source), hue: source.id % HUES, source, stage: null, player: null }));
};

const modelOf = (source) => {
  const { settings } = source.session, voice = settings.audio?.output?.voice ?? settings.voice;
  return [typeof voice === "string" ? voice : "", typeof source.hello.model === "string" ? source.hello.model : ""].filter(Boolean).join(", ");
};

// A person who plays in this page is prompted, whatever is shown.
const prompted = () => {
  const waits = ({ stage, connected }) => connected && stage?.prompt && stage.players.some((player) => player.name === stage.prompt.player && player.human === "booth");
  return [...state.sources.values()].find(waits) ?? scope;
};

// ---- what is drawn

const drawLink = () => {
  const { isOpen, wait } = app.connection;
  setFlag($("link"), "data-state", isOpen ? "open" : "lost");
  setText($("link-words"), isOpen ? "connected" : `no connection to the booth; retrying in ${span(Math.max(1, Math.round(wait)))}`);
};

const drawNotices = () => {
  const list = $("notice-list"), shown = state.notices.slice(-6), mark = JSON.stringify(shown) + state.notices.length;
  if (list.dataset.mark === mark) return;
  list.dataset.mark = mark;
  list.replaceChildren(...shown.map((words) => make("li", { dir: "auto" }, words)));
  setHidden($("notices"), !shown.length);
};

const fact = (name, value, note = "") => make("div", {}, make("dt", {}, name), make("dd", {}, value, note ? make("small", {}, ` ${note}`) : null));

const drawHead = (shown) => {
  const stage = scope?.stage ?? null;
  setText($("title"), stage ? stage.title : state.sources.size ? "Sessions" : "The booth");
  document.title = stage ? `${stage.title} · the booth` : "The booth";
  setText($("when"), stage ? progress(stage) : shown.length ? `${shown.filter((lane) => lane.source.connected).length} open now` : "");
  const facts = [], latencies = shown.flatMap((lane) => lane.source?.session.latencies ?? []);
  const known = shown.map((lane) => lane.source?.session.dollars ?? null).filter((each) => each !== null);
  const spent = stage ? Math.max(stage.spent, known.reduce((sum, each) => sum + each, 0)) : known.length ? known.reduce((sum, each) => sum + each, 0) : null;
  if (stage) facts.push(fact("Duration", clock(stage.seconds)));
  if (shown.length) facts.push(fact("Cost", dollars(spent), stage?.budget ? `of ${dollars(stage.budget)}` : "an estimate"));
  const firsts = stage ? stage.spoken.map((line) => line.firstAudio).filter((each) => each !== null) : latencies;
  if (firsts.length) facts.push(fact("First audio", span(median(firsts)), "median"));
  if (stage?.warnings.length) facts.push(fact("Warnings", String(stage.warnings.length), stage.warnings.at(-1).slice(0, 120)));
  const mark = facts.map((each) => each.textContent).join("|");
  if ($("facts").dataset.mark !== mark) { $("facts").dataset.mark = mark; $("facts").replaceChildren(...facts); }
  drawControls(stage);
};

const progress = (stage) => {
  const all = stage.lines.size, done = stage.spoken.length;
  if (stage.problem) return `${stage.ended}: ${stage.problem}`;
  if (scope.kind === "take") return `${stage.started ? `take from ${stage.started.slice(0, 16).replace("T", " ")}` : "earlier take"}, ${stage.ended || "not finished"}`;
  if (stage.ended) return `${stage.ended}: ${done} of ${all} lines`;
  return stage.current ? `line ${Math.min(all, done + 1)} of ${all}: ${stage.current.player}` : stage.players.some((player) => player.opened) ? `${done} of ${all} lines` : "opening the sessions";
};

// Who waits to open a session, of all performances: they pass one gate.
const drawGate = (pageNow) => {
  const stages = [...state.sources.values()].filter((source) => source.stage && source.connected && source.stage.opening.size);
  const waiting = stages.flatMap((source) => [...source.stage.opening].map(([player, opening]) => ({ name: stages.length > 1 ? `${source.name}/${player}` : player, source, ...opening })));
  waiting.sort((one, other) => Number(other.began !== null) - Number(one.began !== null) || one.since + one.source.offset - other.since - other.source.offset);
  const list = $("gate");
  while (list.childElementCount > waiting.length) list.lastChild.remove();
  waiting.forEach(({ name, source, since, began, refused }, index) => {
    const line = list.children[index] ?? list.appendChild(make("li", { dir: "auto" })), at = clockOf(source, pageNow);
    const passed = at === null || since === null ? "" : ` for ${Math.max(0, Math.floor(at - since))} s`;
    setText(line, `${name}: ${began === null ? "waiting" : "opening, queued"}${passed}${refused ? `; refused: ${refused}` : ""}`);
  });
  setHidden(list, !waiting.length);
  setHidden($("gate-title"), !waiting.length);
};

const drawControls = (stage) => {
  const can = (what) => stage && scope.can.includes(what), last = app.replay.line ?? stage?.spoken.at(-1), controls = $("controls");
  const wanted = [];
  if (can("stop") && scope.connected && !stage.ended) wanted.push(["Stop after this line", { do: "stop" }, "stop after this line"]);
  if (can("retake") && last) wanted.push([`Another take of ${last.id}`, { do: "retake", line: last.id }, `another take of ${last.id}`]);
  const mark = JSON.stringify([scope?.id, wanted]);
  if (controls.dataset.mark === mark) return;
  controls.dataset.mark = mark;
  const source = scope;
  controls.replaceChildren(...wanted.map(([words, wish, about]) => make("button", { type: "button", class: "strong", onclick: () => app.ask(source, wish, about) }, words)));
  setHidden(controls, !wanted.length);
};

const drawReplay = () => {
  const { replay } = app, isTake = scope?.kind === "take";
  replay.show(scope);
  setHidden($("timeline"), !scope || !scope.stage.spoken.length);
  for (const id of ["play", "line-back", "line-next", "seek"]) setHidden($(id), !isTake && id !== "play");
  setHidden($("play"), !isTake && !replay.playing);
  setText($("play"), replay.playing ? "Pause" : "Play");
  setFlag($("play"), "aria-label", replay.playing ? "Pause" : "Play");
  $("seek").max = String(Math.max(0.1, replay.seconds));
  if (document.activeElement !== $("seek") || replay.playing) $("seek").value = String(replay.at);
  setFlag($("seek"), "aria-valuetext", clock(replay.at));
  setText($("place"), clock(replay.at));
  setHidden($("place"), !isTake && !replay.playing);
  const line = replay.current;
  setText($("replayed"), line ? `${line.player}: ${line.said}` : isTake ? (scope.stage.mix ? "the whole mix" : "line by line, because there is no mix") : "Click a line to hear it again.");
  score.point(replay.playing || (isTake && replay.at) || replay.line ? replay.at : null, line);
};

const drawSlow = (shown) => {
  pickScopeNames(shown);
  if (tab === "words") {
    lines.show(scope ? `stage ${scope.id}` : "sessions");
    if (scope) lines.drawStage(scope); else lines.drawSessions(shown.map((lane) => lane.source).filter(Boolean));
  } else if (tab === "figures") drawFigures(shown, scope);
};

const pickScopeNames = (shown) => {
  events.setPlayers([...new Set([...shown.map((lane) => lane.name), ...[...state.sources.values()].map((source) => source.player || source.name)])].sort());
  events.setTypes();
};

const drawAll = (time) => {
  pickScope();
  const shown = laneList();
  app.targets = [...state.sources.values()].filter((source) => source.session && source.connected);
  followHash();
  lanes.show(shown);
  setHidden($("empty"), state.sources.size > 0);
  setHidden($("lanes-part"), !shown.length || (scope?.kind === "take"));
  setHidden($("score-part"), !scope);
  setHidden($("tabs-part"), !state.sources.size);
  const gone = looseSessions(state).filter((source) => !source.connected).length;
  setHidden($("gone"), Boolean(scope) || !gone || gone === shown.length && !showsGone);
  setText($("gone"), showsGone ? "Hide ended sessions" : `Show ${gone} ended ${gone === 1 ? "session" : "sessions"}`);
  setText($("tab-words"), scope ? "Lines" : "Conversation");
  drawHead(shown);
  drawNotices();
  drawListen();
  app.talk.draw();
  score.show(scope);
  drawReplay();
  if (time - drawn > SLOW_MS || !drawn) { drawn = time; drawSlow(shown); } else isLate = true;
};

let isLate = false;

const drawListen = () => {
  setFlag($("listen"), "aria-pressed", sound.isOn);
  setText($("listen"), sound.isOn ? "Listening" : "Listen");
  const behind = Math.max(0, ...sound.waits.values());
  setText($("behind"), sound.isOn && behind > 2 ? `${clock(behind)} behind` : "");
  setHidden($("catch-up"), !(sound.isOn && behind > 2));
};

$("gone").addEventListener("click", () => { showsGone = !showsGone; setFlag($("gone"), "aria-pressed", showsGone); isChanged = true; });

// News of sources are drawn ten times a second, what a hand does at once; many lanes are drawn in fewer frames.
const NEWS_MS = 100, SLOW_MS = 250, FEW = 5, MANY = 12, SOME_MS = 30, MANY_MS = 75;
let lit = 0;
let frame = 0;
const everyFrame = (time) => {
  requestAnimationFrame(everyFrame);
  frame += 1;
  if (isChanged || ((hasNews || isLate) && time - newest > NEWS_MS)) {
    isChanged = hasNews = isLate = false;
    newest = time;
    drawAll(time);
  }
  const count = lanes.shown.length;
  if (time - lit >= (count < FEW ? 0 : count < MANY ? SOME_MS : MANY_MS)) { lit = time; lanes.draw(now()); }
  if (scope) score.draw();
  if (tab === "events") events.draw(time);
  prompter.draw(prompted(), now());
  app.talk.drawLevel();
  if (frame % 15 === 0) { drawListen(); drawGate(now()); endSolos(); }
};

// ---- hands on the page

const listen = async () => {
  if (sound.isOn) sound.stop();
  else {
    try { await sound.start(); } catch (error) { app.note(`Cannot play audio: ${error.message || error.name}`); }
  }
  isChanged = true;
};
$("listen").addEventListener("click", listen);
$("volume").addEventListener("input", () => sound.setVolume(Number($("volume").value)));
$("catch-up").addEventListener("click", () => sound.skipAll());
$("notices-clear").addEventListener("click", () => { state.notices = []; isChanged = true; });
$("play").addEventListener("click", () => app.replay.toggle());
$("line-back").addEventListener("click", () => app.replay.step(-1));
$("line-next").addEventListener("click", () => app.replay.step(1));
$("seek").addEventListener("input", () => app.replay.seek(Number($("seek").value)));

const tabs = ["words", "events", "figures"];
const showTab = (name, focus = false) => {
  tab = name;
  for (const each of tabs) {
    setFlag($(`tab-${each}`), "aria-selected", each === name);
    $(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    setHidden($(`panel-${each}`), each !== name);
  }
  if (focus) $(`tab-${name}`).focus();
  drawn = 0;
  isChanged = true;
};
for (const each of tabs) $(`tab-${each}`).addEventListener("click", () => showTab(each));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by) { showTab(tabs[(tabs.indexOf(tab) + by + 3) % 3], true); event.preventDefault(); event.stopPropagation(); }
});

const isTyping = (element) => element.closest("select, textarea, input:not([type=range])");

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented || $("keys").open) return;
  if (isTyping(event.target)) { if (event.key === "Escape") event.target.blur(); return; }
  const near = event.target.closest("button, a, [role=grid]"), key = event.key.toLowerCase();
  if (/^[1-9]$/.test(event.key)) { const lane = lanes.shown[Number(event.key) - 1]; if (lane?.source) app.talkTo(lane); }
  else if (key === "l") listen();
  else if (key === "t") { if (!event.repeat) app.talk.hold(); }
  else if (key === "i") app.talk.interrupt();
  else if (event.key === "/") { showTab("events"); $("filter-text").focus(); }
  else if (event.key === "?") $("keys").showModal();
  else if (event.key === " " && !near && scope?.kind === "take") app.replay.toggle();
  else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !near && scope?.kind === "take" && event.target.id !== "seek") app.replay.step(event.key === "ArrowLeft" ? -1 : 1);
  else return;
  event.preventDefault();
});
document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "t") app.talk.release(); });
addEventListener("blur", () => app.talk.release());
addEventListener("online", () => app.connection.openNow());
document.addEventListener("visibilitychange", () => { if (!document.hidden) app.connection.openNow(); });
$("keys-open").addEventListener("click", () => $("keys").showModal());

// tau-stage talk opens the page at its session
let followed = false;
const followHash = () => {
  const [, process] = /^#talk=(\d+)$/.exec(location.hash) ?? [];
  if (followed || !process) return;
  const talk = app.targets.findLast((source) => source.hello.pid === Number(process));
  if (!talk) return;
  followed = true;
  app.talk.choose(talk.id);
  showTab("words");
};

// ---- house lights

const looks = ["", "light", "dark"], names = ["system", "light", "dark"];
let look = 0;
const light = () => {
  if (looks[look]) document.documentElement.dataset.theme = looks[look]; else delete document.documentElement.dataset.theme;
  setText($("theme"), `Theme: ${names[look]}`);
  recolour();
};
const recolour = () => {
  app.accent = getComputedStyle(document.documentElement).getPropertyValue("--curtain").trim();
  for (const element of document.querySelectorAll(".lanes > .lane")) element.colour = undefined;
};
try { look = Math.max(0, looks.indexOf(localStorage.getItem("tau-stage-lights") || "")); } catch { look = 0; }
$("theme").addEventListener("click", () => {
  look = (look + 1) % looks.length;
  light();
  try { localStorage.setItem("tau-stage-lights", looks[look]); } catch { look += 0; }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

light();
drawLink();
showTab("events");
app.connection.open();
requestAnimationFrame(everyFrame);
