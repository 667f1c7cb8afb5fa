// What is heard unasked, and the outputs.

import { get, query, send } from "./api.js";
import { acting, byId, el, keyed, put, setOptions } from "./dom.js";

/** "What does it hear?": the sounds of the first minutes; `ask(sound)` adds a question. */
export class Heard {
  constructor({ ask, say }) {
    this.ask = ask;
    this.say = say;
    acting(byId("heard-again"), () => this.load(), say);
  }

  async load() {
    const heard = await get("v1/heard");
    byId("heard").hidden = heard.length === 0;
    put(byId("heard-note"), heard.length
      ? "Most heard in the first minutes after the start, whether or not anybody asked."
      : "Nothing that it knows was heard in the first minutes, or they are not over.");
    keyed(byId("heard").tBodies[0], heard, ({ name }) => name, ({ name }) => this.row(name));
  }

  row(name) {
    const share = el("td", { class: "figure" });
    const highest = el("td", { class: "figure" });
    const button = el("button", { type: "button", "aria-label": `Ask for ${name}` }, "Ask");
    acting(button, () => this.ask(`${name}?`), this.say);
    return {
      element: el("tr", {}, el("th", { scope: "row" }, name), share, highest, el("td", {}, button)),
      update(sound) {
        put(share, `${Math.round(100 * sound.share)} %`);
        put(highest, sound.highest.toFixed(2));
      },
    };
  }
}

/** The outputs, each with a test. */
export class Outputs {
  constructor({ say }) {
    this.say = say;
  }

  setQuestions(questions, nameOf) {
    this.places = questions.flatMap((question) =>
      question.sources.map((source) => ({ question, source })));
    setOptions(byId("test-question"), this.places.map(({ question, source }, k) =>
      [String(k), `${question.ask} at ${nameOf(source)}`]));
    byId("test-of").hidden = this.places.length === 0;
  }

  async load() {
    const outputs = await get("v1/outputs");
    if (outputs.length === 0) {
      put(byId("outputs-note"), "No output is configured: events are kept and shown here only.");
    }
    keyed(byId("outputs"), outputs, ({ name }) => name, ({ name }) => this.item(name));
  }

  item(name) {
    const state = el("span", { class: "note" });
    const result = el("p", { class: "note", role: "status" });
    const button = el("button", { type: "button", "aria-label": `Test ${name}` }, "Send a test");
    acting(button, async () => {
      const place = this.places[Number(byId("test-question").value)];
      put(result, "sending …");
      const body = { question: place?.question.id, source: place?.source };
      const tried = await send("POST", `v1/outputs/${encodeURIComponent(name)}/test`, body);
      const errors = tried.map(({ error }) => error).filter((error) => error !== null);
      put(result, errors.length ? `failed: ${errors.join("; ")}` : "arrived");
    }, (text) => put(result, text));
    return {
      element: el("li", { class: "output" },
        el("div", { class: "row" }, el("strong", {}, name), state, button), result),
      update(output) {
        put(state, output.n_pending ? `${output.n_pending} waiting` : "");
      },
    };
  }
}
