// Moving a question's thresholds, and what they would have done over the last day.

import { get, query } from "./api.js";
import { acting, el, put } from "./dom.js";
import { Timeline } from "./timeline.js";
import { counted, durationWords } from "./words.js";

const HOURS = 24;
const WAIT_MS = 250; // after the last movement of a hand

export class Thresholds {
  constructor(question, nameOf, { preview, move, say }) {
    this.nameOf = nameOf;
    this.preview = preview;
    this.isTried = false;
    this.strips = new Map();
    this.title = el("summary");
    this.would = el("p", { class: "would", role: "status" });
    this.strip = el("div", { class: "strips" });
    this.apply = el("button", { type: "button", class: "primary" }, "Use these");
    this.reset = el("button", { type: "button" }, "Back to those in force");
    this.inputs = { on: this.pair("on", question), off: this.pair("off", question) };
    acting(this.apply, async () => {
      await move(this.question, this.on, this.off);
      this.isTried = false;
      this.update(this.question);
    }, say);
    this.reset.addEventListener("click", () => {
      this.isTried = false;
      this.update(this.question);
      this.ask();
    });
    this.element = el("details", { class: "thresholds", ontoggle: () => this.toggled() },
      this.title,
      this.inputs.on.element, this.inputs.off.element, this.would, this.strip,
      el("div", { class: "row start" }, this.apply, this.reset));
    this.question = question;
    [this.on, this.off] = [question.on, question.off];
  }

  /** Return a range and a number that say the same. */
  pair(name, question) {
    const words = name === "on" ? "On: an event begins at" : "Off: it ends below";
    const limits = { min: 0.01, max: 0.99, step: 0.01 };
    const key = `${question.id}-${name}`;
    const range = el("input", { type: "range", id: key, ...limits });
    const number = el("input", {
      type: "number", inputmode: "decimal", ...limits, "aria-label": `${words}, as a number`,
    });
    for (const input of [range, number]) {
      input.addEventListener("input", () => this.moved(name, input.valueAsNumber));
    }
    const element = el("div", { class: `row threshold ${name}` },
      el("label", { for: key }, words), range, number);
    return { range, number, element };
  }

  moved(name, value) {
    if (!(value > 0 && value < 1)) return;
    this.isTried = true;
    this[name] = value;
    if (this.off > this.on) this[name === "on" ? "off" : "on"] = value;
    this.show();
    this.preview(this.on, this.off);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), WAIT_MS);
  }

  update(question) {
    this.question = question;
    if (!this.isTried) [this.on, this.off] = [question.on, question.off];
    put(this.title, `Thresholds: on ${question.on.toFixed(2)}, off ${question.off.toFixed(2)}`);
    this.show();
    this.preview(this.on, this.off);
  }

  show() {
    for (const name of ["on", "off"]) {
      const { range, number } = this.inputs[name];
      range.value = this[name];
      if (document.activeElement !== number) number.value = this[name].toFixed(2);
    }
    const isAsInForce = this.on === this.question.on && this.off === this.question.off;
    this.apply.disabled = isAsInForce;
    this.reset.disabled = isAsInForce;
    for (const strip of this.strips.values()) {
      strip.thresholds = { on: this.on, off: this.off };
      strip.redraw();
    }
  }

  async toggled() {
    if (!this.element.open) return;
    try {
      await Promise.all(this.question.sources.map((source) => this.load(source)));
      await this.ask();
    } catch (error) {
      put(this.would, error.message);
    }
  }

  /** Load the last day of one source into its strip. */
  async load(source) {
    let strip = this.strips.get(source);
    if (!strip) {
      strip = new Timeline(HOURS * 3600);
      this.strips.set(source, strip);
      const words = `Presence at ${this.nameOf(source)} over the last day`;
      strip.canvas.setAttribute("aria-label", words);
      const caption = el("figcaption", {}, `${this.nameOf(source)}, the last 24 hours`);
      this.strip.append(el("figure", {}, strip.canvas, caption));
    }
    const values = { source, question: this.question.id, hours: HOURS };
    const past = await get("v1/history" + query(values));
    strip.points = [];
    strip.merge(pointsOf(past));
    this.show();
  }

  /** Ask what these thresholds would have done. */
  async ask() {
    const asked = [this.on, this.off];
    const values = { question: this.question.id, on: this.on, off: this.off, hours: HOURS };
    try {
      const would = await get("v1/what-if" + query(values));
      if (asked[0] !== this.on || asked[1] !== this.off) return;
      put(this.would, this.told(would));
      this.mark(would.events);
    } catch (error) {
      put(this.would, error.message);
    }
  }

  told({ events, n_now }) {
    const total = events.reduce((sum, event) => sum + event.duration_s, 0);
    const places = this.question.sources.length > 1
      ? this.question.sources.map((source) => {
        const n = events.filter((event) => event.source === source).length;
        return `${this.nameOf(source)} ${n}`;
      })
      : [];
    const where = places.length && events.length ? ` (${places.join(", ")})` : "";
    const long = events.length ? `, ${durationWords(total)} in all` : "";
    const kept = `; ${counted(n_now, "event")} with those in force`;
    const made = `${counted(events.length, "event")}${where}${long}`;
    return `Over the last day these would have made ${made}${kept}.`;
  }

  mark(events) {
    for (const [source, strip] of this.strips) {
      strip.events = events
        .filter((event) => event.source === source)
        .map((event) => [Date.parse(event.started_at), event.duration_s])
        .map(([from, durationS]) => [from, from + 1000 * durationS]);
      const n = strip.events.length;
      strip.canvas.setAttribute("aria-label",
        `Presence at ${this.nameOf(source)} over the last day, with ${counted(n, "event")}`);
      strip.redraw();
    }
  }

  gone() {
    clearTimeout(this.timer);
    for (const strip of this.strips.values()) strip.gone();
  }
}

/** Return the points of a history: what was not wholly heard is not. */
export function pointsOf({ times, presence, unknown }) {
  return times.map((at, k) => (
    { at: 1000 * at, presence: presence[k], isHeard: unknown[k] === 0 }
  ));
}
