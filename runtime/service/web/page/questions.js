// The questions: each with a strip of presence and its state for every source it is asked of.

import { acting, byId, el, keyed, put } from "./dom.js";
import { Thresholds } from "./thresholds.js";
import { Timeline, pointOf } from "./timeline.js";
import { durationWords, presenceWords, stateWords, timeWords } from "./words.js";

export const LIVE_S = 600; // of the strips
const PATIENCE = 4; // hops without an answer, and at least:
const PATIENCE_MS = 12_000;

/** Return views of the questions in the list. */
export function showQuestions(questions, nameOf, { remove, move, say }) {
  const make = (question) => new QuestionCard(question, nameOf, { remove, move, say });
  return keyed(byId("questions"), questions, (question) => question.id, make);
}

class QuestionCard {
  constructor(question, nameOf, { remove, move, say }) {
    this.nameOf = nameOf;
    this.title = el("h3");
    this.notes = el("p", { class: "notes" });
    this.rows = el("ul", { class: "rows" });
    this.removal = el("button", { type: "button" }, "Remove");
    acting(this.removal, () => remove(this.question), say);
    this.thresholds = new Thresholds(question, nameOf, {
      preview: (on, off) => this.draw(on, off), move, say,
    });
    this.element = el("li", { class: "card question" },
      el("div", { class: "row" }, this.title, this.removal), this.notes, this.rows,
      this.thresholds.element);
    this.update(question);
  }

  update(question) {
    this.question = question;
    put(this.title, question.ask);
    this.removal.hidden = question.from_config;
    this.removal.setAttribute("aria-label", `Remove ${question.ask}`);
    const notes = [];
    if (question.priority === "safety") notes.push("safety: answered first");
    if (question.is_quiet) notes.push("quiet hours: no events now");
    if (!question.calibrated) notes.push("not calibrated: presence is a score");
    const isPlain = question.concept === question.ask.replace(/\?$/, "");
    if (!isPlain) notes.push(`asks for “${question.concept}”`);
    put(this.notes, notes.join(" · "));
    const places = question.sources.map((source) => ({ source, question }));
    const make = (place) => new Row(place, this.nameOf);
    this.views = keyed(this.rows, places, (place) => place.source, make);
    this.thresholds.update(question);
    this.draw(this.thresholds.on, this.thresholds.off);
  }

  /** Draw thresholds into the strips, those in force or those that are tried. */
  draw(on, off) {
    for (const row of this.views.values()) {
      row.timeline.thresholds = { on, off };
      row.timeline.redraw();
    }
  }

  gone() {
    for (const row of this.views.values()) row.gone();
    this.thresholds.gone();
  }
}

/** One question at one source. */
class Row {
  constructor({ source, question }, nameOf) {
    this.source = source;
    this.question = question;
    this.nameOf = nameOf;
    this.timeline = new Timeline(LIVE_S);
    this.name = el("span", { class: "place" });
    this.state = el("p", { class: "state" });
    this.presence = el("span", { class: "figure" });
    this.element = el("li", {},
      el("div", { class: "row" }, this.name, this.presence), this.state, this.timeline.canvas);
    this.answer = null;
    this.cameAt = performance.now(); // the newest answer, by this browser's clock
    this.isLost = false;
    this.isSounding = false;
    this.show();
  }

  update({ question }) {
    this.question = question;
    this.show();
  }

  gone() {
    this.timeline.gone();
  }

  hear(answer) {
    this.answer = answer;
    this.cameAt = performance.now();
    this.timeline.add(pointOf(answer));
    this.show();
  }

  /** Begin or end what the service calls an event. */
  setEvents(spans) {
    this.isSounding = spans.some(([, until]) => until === null);
    this.timeline.events = spans;
    this.timeline.redraw();
    this.show();
  }

  setLost(isLost) {
    this.isLost = isLost;
    if (isLost) this.answer = null;
    this.show();
  }

  /** Notice that answers have stopped coming: time goes on without them. */
  lookAtClock(now) {
    const quietMs = now - this.cameAt;
    if (quietMs < Math.max(PATIENCE_MS, PATIENCE * this.timeline.hopMs)) return;
    this.timeline.advance(quietMs);
    if (!this.isLost) this.show(`cannot tell: no answer for ${durationWords(quietMs / 1000)}`);
  }

  show(instead = null) {
    const { answer } = this;
    const reason = answer === null ? (this.isLost ? "lost" : "waiting") : answer.reason;
    const state = instead || answer === null ? "unknown" : answer.state;
    const words = instead ?? stateWords(state, reason);
    const presence = presenceWords(instead ? null : answer?.presence);
    this.element.dataset.state = state;
    this.element.dataset.sounding = this.isSounding && !this.isLost;
    put(this.name, this.nameOf(this.source));
    put(this.state, words);
    put(this.presence, presence);
    this.timeline.canvas.setAttribute("aria-label", this.described(words));
  }

  described(words) {
    let highest = null;
    for (const point of this.timeline.points) {
      if (point.presence !== null && point.presence >= (highest?.presence ?? 0)) highest = point;
    }
    const most = highest
      ? `highest ${highest.presence.toFixed(2)} at ${timeWords(highest.at, true)}`
      : "nothing heard";
    const what = `Presence of ${this.question.ask} at ${this.nameOf(this.source)}`;
    return `${what} in the last 10 minutes: ${most}; now ${words}`;
  }
}
