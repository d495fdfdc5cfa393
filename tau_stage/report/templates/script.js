"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const [stage, head, mix, solo, ruler] = ["stage", "head", "mix", "solo", "ruler"].map($);
  const whole = parseFloat(getComputedStyle(root).getPropertyValue("--seconds")) || 0;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const clips = [...document.querySelectorAll(".block")].map((block) => ({
    block,
    at: Number(block.dataset.at),
    end: Number(block.dataset.at) + Number(block.dataset.for),
    skip: Number(block.dataset.skip),
    url: block.dataset.url,
    entry: $("l" + block.id),
  })).sort((a, b) => a.at - b.at);
  const lines = clips.filter((clip) => clip.block.dataset.line);
  const byKey = new Map(clips.map((clip) => [clip.block.id, clip]));
  const hasMix = mix.hasAttribute("src"), silence = Number(mix.dataset.head || 0);

  // ---- where we are: one clock, driven by whatever sounds
  let at = 0, playing = "", current = null, timer = 0, anchor = 0, alone = null;
  const chorus = new Map();

  const shown = (seconds) => {
    const tenths = Math.round(10 * seconds), minutes = Math.floor(tenths / 600), two = (n) => String(n).padStart(2, "0");
    const hours = Math.floor(minutes / 60);
    return (hours ? hours + ":" + two(minutes % 60) : minutes) + ":" + two(Math.floor(tenths / 10) % 60) + "." + tenths % 10;
  };

  const mark = (clip) => {
    if (clip === current) return;
    for (const part of current ? [current.block, current.entry] : []) if (part) part.classList.remove("now");
    current = clip;
    if (!clip) return;
    for (const part of [clip.block, clip.entry]) if (part) part.classList.add("now");
    $("who").firstElementChild.textContent = clip.entry ? clip.entry.querySelector("h3 bdi").textContent : clip.block.closest(".lane").querySelector("h3").textContent;
    $("who").setAttribute("href", clip.entry ? "#" + clip.entry.id : "#score");
    $("words").textContent = clip.block.querySelector(".below").textContent;
    for (const line of lines) line.block.tabIndex = -1;
    clip.block.tabIndex = 0;
  };

  const lineAt = (seconds) => {
    let low = 0, high = lines.length;
    while (low < high) { const middle = (low + high) >> 1; if (lines[middle].at <= seconds + 0.001) low = middle + 1; else high = middle; }
    return low - 1;
  };

  const draw = (follow) => {
    $("now").textContent = shown(at);
    const left = ruler.offsetLeft, x = left + (whole ? at / whole : 0) * ruler.offsetWidth;
    head.hidden = false;
    head.style.transform = "translateX(" + x + "px)";
    const first = stage.scrollLeft + left, last = stage.scrollLeft + stage.clientWidth;
    if (follow && (x < first || x > last - 40)) stage.scrollTo({ left: x - left - 40, behavior: calm.matches || Math.abs(x - last) > 800 ? "instant" : "smooth" });
    if (alone) return mark(alone);
    const found = lines[lineAt(at)];
    mark(found && at < found.end + 0.75 ? found : current && current.entry ? found || null : current);
  };

  const show = () => {
    root.classList.toggle("playing", Boolean(playing));
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    if (!playing) clearInterval(timer);
  };

  const halt = () => {
    mix.pause(); solo.pause();
    for (const voice of chorus.values()) voice.pause();
    chorus.clear();
    playing = "";
    show();
  };

  const failed = (error) => {
    if (error.name === "AbortError") return;
    halt();
    $("words").textContent = "Cannot play this audio: " + (error.message || error.name);
  };

  const begin = (how) => {
    playing = how;
    show();
    clearInterval(timer);
    timer = setInterval(tick, 40);
  };

  // Sets a sound off at a place, which it may only know once it is loaded.
  const from = (voice, url, place) => {
    if (voice.dataset.url !== url) { voice.dataset.url = url; voice.src = url; }
    voice.currentTime = place;
    return voice.play().catch(failed);
  };

  const tick = () => {
    if (playing === "solo") {
      at = Math.min(alone.end, alone.at + Math.max(0, solo.currentTime - alone.skip));
      if (solo.ended || solo.currentTime >= alone.skip + alone.end - alone.at) { at = alone.end; halt(); }
    } else if (playing === "mix") {
      at = Math.min(whole, Math.max(0, mix.currentTime - silence));
      if (mix.ended) { at = 0; halt(); }
    } else if (playing === "lines") {
      at = (performance.now() - anchor) / 1000;
      for (const clip of clips) {
        if (clip.at > at) break;
        if (at < clip.end && clip.url && !chorus.has(clip)) {
          const voice = new Audio();
          chorus.set(clip, voice);
          from(voice, clip.url, clip.skip + at - clip.at);
        }
      }
      for (const [clip, voice] of chorus) if (at >= clip.end) { voice.pause(); chorus.delete(clip); }
      if (at >= whole) { at = 0; halt(); }
    }
    draw(true);
  };

  const hear = (clip) => {
    halt();
    alone = clip;
    at = clip.at;
    draw(true);
    if (!clip.url) return void ($("words").textContent = "There is no audio to play.");
    from(solo, clip.url, clip.skip);
    begin("solo");
  };

  const perform = () => {
    alone = null;
    if (at >= whole - 0.05) at = 0;
    if (hasMix) { mix.currentTime = at && at + silence; mix.play().catch(failed); } else anchor = performance.now() - 1000 * at;
    begin(hasMix ? "mix" : "lines");
    draw(true);
  };

  const toggle = () => {
    if (playing) return halt();
    if (alone && at > alone.at && at < alone.end - 0.02 && alone.url) { solo.play().catch(failed); return begin("solo"); }
    perform();
  };

  const seek = (seconds) => {
    const was = playing;
    halt();
    alone = null;
    at = Math.max(0, Math.min(whole, seconds));
    if (was && was !== "solo") perform(); else draw(true);
  };

  const step = (by) => {
    if (!lines.length) return;
    const here = alone && alone.entry ? lines.findIndex((line) => line.block === alone.block) : lineAt(at);
    const back = by < 0 && !alone && here >= 0 && at - lines[here].at > 1;
    const clip = lines[Math.max(0, Math.min(lines.length - 1, back ? here : here + by))];
    const focused = document.activeElement && document.activeElement.classList.contains("block");
    if (playing === "solo") hear(clip);
    else { seek(clip.at); if (!playing) alone = clip, draw(true); }
    if (focused) clip.block.focus({ preventScroll: true });
  };

  // ---- hands on the page
  stage.addEventListener("click", (event) => {
    const block = event.target.closest(".block");
    if (block) return hear(byKey.get(block.id));
    const box = ruler.getBoundingClientRect();
    if (event.clientX >= Math.max(box.left, stage.getBoundingClientRect().left + ruler.offsetLeft)) seek((event.clientX - box.left) / box.width * whole);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-hear], [data-take]");
    if (!button) return;
    const { hear: key, take, url } = button.dataset, clip = byKey.get(key || take);
    hear(key ? clip : { ...clip, url, skip: 0, end: clip.at + Number(button.dataset.for) });
    if (take) $("words").textContent = "take " + button.textContent + ", " + button.nextElementSibling.textContent.trim();
  });
  $("play").addEventListener("click", toggle);
  $("back").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    const near = event.target.closest("input, select, textarea, summary, a, button:not(.block)");
    if (event.key === " " && !near) toggle();
    else if (event.key === "ArrowRight" && !event.target.closest("input, pre")) step(1);
    else if (event.key === "ArrowLeft" && !event.target.closest("input, pre")) step(-1);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " " && event.target.closest(".block")) event.preventDefault();
  });

  // ---- how wide a second is
  const scale = $("scale");
  const widen = (pixels) => {
    const middle = at;
    root.style.setProperty("--scale", pixels);
    const ticks = ruler.children.length;
    stage.classList.toggle("sparse", ticks > 1 && ruler.offsetWidth / ticks < 56);
    if (middle) { const x = middle / whole * ruler.offsetWidth; stage.scrollLeft = x - stage.clientWidth / 3; }
    draw(false);
  };
  scale.addEventListener("input", () => widen(scale.value));
  $("fit").addEventListener("click", () => { scale.value = scale.min; stage.scrollLeft = 0; widen(0); });
  addEventListener("resize", () => draw(false));

  // ---- house lights
  const looks = ["", "light", "dark"], names = ["system", "light", "dark"];
  let look = 0;
  const light = () => {
    if (look) root.dataset.theme = looks[look]; else delete root.dataset.theme;
    $("theme").textContent = "Theme: " + names[look];
  };
  try { look = Math.max(0, looks.indexOf(localStorage.getItem("tau-stage-lights") || "")); } catch { look = 0; }
  $("theme").addEventListener("click", () => {
    look = (look + 1) % looks.length;
    light();
    try { localStorage.setItem("tau-stage-lights", looks[look]); } catch { /* a page from a file may have no storage */ }
  });

  light();
  $("theme").hidden = false;
  document.querySelector(".zoom").hidden = false;
  for (const id of ["play", "back", "next"]) $(id).disabled = !lines.length && !hasMix;
  for (const button of document.querySelectorAll("[data-hear]")) button.disabled = !byKey.get(button.dataset.hear).url;
  for (const button of document.querySelectorAll("[data-take]")) button.disabled = !button.dataset.url;
  for (const line of lines.slice(1)) line.block.tabIndex = -1;
  widen(scale.value);
})();
