// A person's part: shows the line, counts down, records, and sends it to the performance; or sends what is typed.

import { $, setFlag, setHidden, setText } from "./dom.js";
import { clockOf } from "./state.js";

export class Prompter {
  #source = null;
  #prompt = null;
  #begins = 0;
  #state = "";

  constructor(app) {
    this.app = app;
    $("prompt-done").addEventListener("click", () => this.#done());
    $("prompt-form").addEventListener("submit", (event) => { event.preventDefault(); this.#type($("prompt-words").value.trim()); });
  }

  // Whether a person in this page plays the part that is prompted.
  #isOurs(stage) { return stage.players.find((player) => player.name === this.#prompt.player)?.human === "booth"; }

  draw(source, pageNow) {
    const prompt = source?.stage?.prompt ?? null;
    if (prompt !== this.#prompt) this.#show(source, prompt, pageNow);
    if (!prompt) return;
    setFlag($("prompt"), "data-state", this.#state);
    const left = this.#begins - pageNow, ours = this.#isOurs(source.stage);
    if (this.#state === "counting" && left > 0) setText($("prompt-count"), String(Math.ceil(left)));
    else if (this.#state === "counting") this.#begin(source, ours);
  }

  #show(source, prompt, pageNow) {
    const isAnother = prompt?.line !== this.#prompt?.line || source !== this.#source;
    if (this.#state === "recording") this.app.talk.leave();
    this.#source = source;
    this.#prompt = prompt;
    this.#state = prompt ? "counting" : "";
    setHidden($("prompt"), !prompt);
    if (!prompt) return;
    const at = clockOf(source, pageNow), ours = this.#isOurs(source.stage);
    this.#begins = pageNow + prompt.in - (at === null || prompt.at === null ? 0 : Math.max(0, at - prompt.at));
    setText($("prompt-who"), ours ? (prompt.listens ? `${prompt.player}: you` : `${prompt.player}: your line`) : `${prompt.player} is played by a person on another page`);
    setText($("prompt-title"), prompt.words || (prompt.listens ? "Talk to the players." : "Say anything you like."));
    setText($("prompt-direction"), prompt.direction);
    setText($("prompt-done"), prompt.listens ? "Close the microphone" : "Done");
    setText($("prompt-count"), "");
    setHidden($("prompt-answer"), !ours);
    setHidden($("prompt-done"), true);
    if (isAnother) $("prompt-words").value = "";
    if (ours) this.app.talk.prepare();
  }

  #begin(source, ours) {
    this.#state = "recording";
    setText($("prompt-count"), ours ? "Speak now." : "");
    if (!ours) return;
    setHidden($("prompt-done"), false);
    if (document.activeElement !== $("prompt-words")) $("prompt-done").focus();
    this.app.talk.perform(source);
  }

  #type(words) {
    if (!words || !this.#prompt) return;
    this.app.ask(this.#source, { do: "say", text: words });
    $("prompt-words").value = "";
    if (!this.#prompt.listens) this.#end();
  }

  #done() {
    this.app.ask(this.#source, { do: "finish" });
    this.#end();
  }

  #end() {
    this.app.talk.leave();
    this.#state = "sent";
    setHidden($("prompt-answer"), true);
    setText($("prompt-count"), "Thank you.");
  }
}
