// Events: what was heard and when, the sound itself, and what a person says of it.

import { get, query, send, show } from "./api.js";
import { acting, byId, el, keyed, put, setOptions } from "./dom.js";
import { durationWords, endingWords, whenWords } from "./words.js";

const PAGE = 10;
const MOST = 200; // kept in the list
const CLIP_AFTER_MS = 7_000; // a clip ends some seconds after its event

const lazy = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    lazy.unobserve(entry.target);
    entry.target.show();
  }
}, { rootMargin: "300px" });

/** The list of events: newest first, older ones on demand. */
export class Events {
  constructor({ nameOf, say, changed }) {
    this.nameOf = nameOf;
    this.say = say;
    this.changed = changed;
    this.events = [];
    this.newestId = null; // of those that were announced or there at first
    this.filter = { question: "", verdict: "" };
    for (const name of ["question", "verdict"]) {
      byId(`filter-${name}`).addEventListener("change", (change) => {
        this.filter[name] = change.target.value;
        this.events = [];
        this.load().catch((error) => say(error.message));
      });
    }
    acting(byId("earlier"), () => this.loadEarlier(), say);
  }

  setQuestions(questions) {
    setOptions(byId("filter-question"), questions.map((q) => [q.id, q.ask]), [["", "every sound"]]);
  }

  page(before = null) {
    return get("v1/events" + query({ limit: PAGE, before, ...this.filter }));
  }

  /** Bring the newest events in; those already shown are renewed. */
  async load() {
    const asked = JSON.stringify(this.filter);
    const newest = await this.page();
    if (asked !== JSON.stringify(this.filter)) return;
    this.announce(newest);
    const ids = new Set(newest.map((event) => event.id));
    const lowest = newest.at(-1)?.id ?? 0;
    const older = this.events.filter((event) => event.id < lowest && !ids.has(event.id));
    if (this.events.length === 0) byId("earlier").hidden = newest.length < PAGE;
    this.events = [...newest, ...older].slice(0, MOST);
    this.render();
  }

  async loadEarlier() {
    const older = await this.page(this.events.at(-1)?.id);
    this.events.push(...older);
    byId("earlier").hidden = older.length < PAGE;
    this.render();
  }

  described({ ask, source, started_at: at }) {
    return `${ask} at ${this.nameOf(source)}, ${whenWords(at)}`;
  }

  /** Say which events are new, to those who cannot see the list. */
  announce(events) {
    const before = this.newestId ?? Infinity;
    for (const event of events.filter(({ id }) => id > before).reverse()) {
      put(byId("announce"), this.described(event));
    }
    this.newestId = Math.max(this.newestId ?? 0, events[0]?.id ?? 0);
  }

  render() {
    byId("no-events").hidden = this.events.length > 0;
    const make = (event) => new EventItem(event, this);
    keyed(byId("event-list"), this.events, (event) => event.id, make);
    this.changed(this.events);
  }

  replace(event) {
    this.events = this.events.map((other) => (other.id === event.id ? event : other));
    this.render();
  }
}

class EventItem {
  constructor(event, events) {
    this.events = events;
    this.title = el("h3");
    this.time = el("p", { class: "when" });
    this.facts = el("p", { class: "facts" });
    this.media = el("div", { class: "media" });
    this.right = this.judging("right", "Right");
    this.wrong = this.judging("false_alarm", "False alarm");
    this.seen = el("button", { type: "button" }, "Acknowledge");
    acting(this.seen, async () => {
      events.replace((await send("POST", `v1/events/${this.event.id}/acknowledge`)) ?? this.event);
    }, events.say);
    this.element = el("li", { class: "event" },
      this.title, this.time, this.facts, this.media,
      el("div", { class: "row start" }, this.right, this.wrong, this.seen));
  }

  /** Return a button that gives a verdict, or takes it back. */
  judging(verdict, words) {
    const button = el("button", { type: "button", class: verdict }, words);
    acting(button, async () => {
      const given = this.event.verdict === verdict ? null : verdict;
      const body = { verdict: given, note: this.event.note };
      this.events.replace(await send("POST", `v1/events/${this.event.id}/verdict`, body));
    }, this.events.say);
    return button;
  }

  update(event) {
    this.event = event;
    const { nameOf } = this.events;
    const isOn = event.ended_at === null;
    const what = this.events.described(event);
    put(this.title, event.ask);
    put(this.time, `${nameOf(event.source)}, ${whenWords(event.started_at)}`);
    const over = `${durationWords(event.duration_s)}, ${endingWords(event.reason)}`;
    const facts = [isOn ? "sounding now" : over];
    facts.push(`peak presence ${event.peak_presence.toFixed(2)} (on ${event.on.toFixed(2)})`);
    if (event.level_dbfs !== null) facts.push(`${Math.round(event.level_dbfs)} dBFS`);
    put(this.facts, facts.join(" · "));
    this.element.dataset.state = isOn ? "on" : "over";
    this.element.dataset.seen = event.acknowledged_at !== null;
    this.right.setAttribute("aria-pressed", event.verdict === "right");
    this.wrong.setAttribute("aria-pressed", event.verdict === "false_alarm");
    this.right.setAttribute("aria-label", `Right: ${what}`);
    this.wrong.setAttribute("aria-label", `False alarm: ${what}`);
    put(this.seen, event.acknowledged_at === null ? "Acknowledge" : "Acknowledged");
    this.seen.disabled = event.acknowledged_at !== null;
    this.seen.setAttribute("aria-label", `${this.seen.textContent}: ${what}`);
    if (event.clip !== null && !isOn && !this.player) this.addMedia(what);
  }

  /** Show the clip and its picture, once they can be seen and are there. */
  addMedia(what) {
    const { id, ended_at: endedAt } = this.event;
    this.player = el("audio", { controls: true, preload: "none", "aria-label": `Clip of ${what}` });
    const alt = `Spectrogram of ${what}`;
    this.picture = el("img", { alt, width: 480, height: 96, hidden: true });
    const note = el("p", { class: "note" });
    this.player.addEventListener("error", () => {
      put(note, "The clip is not kept any more, or not written yet.");
    });
    this.picture.addEventListener("load", () => (this.picture.hidden = false));
    this.media.append(this.picture, this.player, note);
    this.media.show = () => {
      const wait = Date.parse(endedAt) + CLIP_AFTER_MS - Date.now();
      this.timer = setTimeout(() => {
        show(this.player, `v1/events/${id}/clip`).catch((error) => put(note, error.message));
        show(this.picture, `v1/events/${id}/spectrogram.png`).catch(() => {});
      }, Math.min(CLIP_AFTER_MS, Math.max(0, wait)));
    };
    lazy.observe(this.media);
  }

  gone() {
    lazy.unobserve(this.media);
    clearTimeout(this.timer);
    for (const element of [this.player, this.picture]) element?.dispatchEvent(new Event("gone"));
  }
}
