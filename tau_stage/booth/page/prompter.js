// A person's part: shows the line, counts down, records, and sends it to the performance.

import { $, setFlag, setHidden, setText } from "./dom.js";
import { clockOf } from "./state.js";

export class Prompter {
  #prompt = null;
  #begins = 0;
  #state = "";

  constructor(app) {
    this.app = app;
    $("prompt-done").addEventListener("click", () => this.done());
  }

  // Whether a person in this page plays the part that is prompted.
  #isOurs(stage) { return stage.players.find((player) => player.name === this.#prompt.player)?.human === "booth"; }

  draw(source, pageNow) {
    const prompt = source?.stage?.prompt ?? null;
    if (prompt !== this.#prompt) this.#show(source, prompt, pageNow);
    if (!prompt) return;
    setFlag($("prompt"), "data-state", this.#state);
    const left = this.#begins - pageNow, ours = this.#isOurs(source.stage);
    if (left > 0) setText($("prompt-count"), String(Math.ceil(left)));
    else if (this.#state === "counting") this.#begin(source, prompt, ours);
  }

  #show(source, prompt, pageNow) {
    if (this.#state === "recording") this.app.talk.leave();
    this.#prompt = prompt;
    this.#state = prompt ? "counting" : "";
    setHidden($("prompt"), !prompt);
    setHidden($("prompt-done"), true);
    if (!prompt) return;
    const at = clockOf(source, pageNow);
    this.#begins = pageNow + prompt.in - (at === null || prompt.at === null ? 0 : Math.max(0, at - prompt.at));
    setText($("prompt-who"), this.#isOurs(source.stage) ? `${prompt.player}: your line` : `${prompt.player} is played by a person elsewhere`);
    setText($("prompt-title"), prompt.words || (prompt.listens ? "Speak with them." : "Say whatever comes to mind."));
    setText($("prompt-direction"), prompt.direction);
    setText($("prompt-count"), "");
  }

  #begin(source, prompt, ours) {
    this.#state = "recording";
    setText($("prompt-count"), ours ? "Speak now." : "");
    if (!ours) return;
    setHidden($("prompt-done"), false);
    $("prompt-done").focus();
    this.app.talk.perform(source);
  }

  done() {
    this.app.talk.finish();
    this.#state = "sent";
    setHidden($("prompt-done"), true);
    setText($("prompt-count"), "Thank you.");
  }
}
