// The sources: whether each listens, how loud it is, and muting.

import { acting, byId, el, keyed, put } from "./dom.js";
import { counted, durationWords, levelWords, stationWords, whenWords } from "./words.js";

const FLOOR_DBFS = -80; // empty meter

/** Return views of the sources in the list; `mute(source)` mutes or unmutes one. */
export function showSources(sources, { mute, say }) {
  byId("no-sources").hidden = sources.length > 0;
  const make = (source) => new SourceCard(source, mute, say);
  return keyed(byId("sources"), sources, (source) => source.id, make);
}

class SourceCard {
  constructor(source, mute, say) {
    this.name = el("h3");
    this.state = el("p", { class: "state" });
    this.message = el("p", { class: "note" });
    this.bar = el("span");
    this.meter = el("div", {
      class: "meter", role: "meter", "aria-valuemin": FLOOR_DBFS, "aria-valuemax": 0,
    }, this.bar);
    this.level = el("span", { class: "figure", "aria-hidden": "true" });
    this.facts = el("p", { class: "facts" });
    this.button = el("button", { type: "button" });
    acting(this.button, () => mute(this.source), say);
    this.element = el("li", { class: "card source" },
      el("div", { class: "row" }, this.name, this.button),
      this.state, this.message,
      el("div", { class: "row level" }, this.meter, this.level),
      this.facts);
    this.isLost = false;
    this.update(source);
  }

  update(source) {
    this.source = source;
    const isMuted = source.state === "muted";
    put(this.name, source.name);
    put(this.button, isMuted ? "Unmute" : "Mute");
    this.button.setAttribute("aria-label", `${isMuted ? "Unmute" : "Mute"} ${source.name}`);
    this.meter.setAttribute("aria-label", `Level of ${source.name}`);
    const facts = [];
    if (source.heard_at) facts.push(`last heard ${whenWords(source.heard_at)}`);
    facts.push(`${durationWords(source.lag_s)} behind`, counted(source.n_windows, "window"));
    if (source.n_dropped) facts.push(`${source.n_dropped} skipped`);
    if (source.n_overflows) facts.push(counted(source.n_overflows, "overflow"));
    if (source.n_restarts) facts.push(counted(source.n_restarts, "restart"));
    put(this.facts, facts.join(" · "));
    this.show();
  }

  /** Take the level of a window that was answered just now. */
  hear(answer) {
    this.source.level_dbfs = answer.level_dbfs;
    this.show();
  }

  setLost(isLost) {
    this.isLost = isLost;
    this.show();
  }

  show() {
    const { state, message, since, level_dbfs: level } = this.source;
    const isLive = !this.isLost && (state === "healthy" || state === "starting");
    this.element.dataset.state = this.isLost ? "lost" : state;
    put(this.state, this.isLost ? "unknown: not connected" : stationWords(state));
    put(this.message, (!this.isLost && message) || `since ${whenWords(since)}`);
    const known = isLive && level != null ? Math.max(FLOOR_DBFS, Math.min(0, level)) : FLOOR_DBFS;
    const words = isLive ? levelWords(level) : "no level";
    this.bar.style.transform = `scaleX(${1 - known / FLOOR_DBFS})`;
    this.meter.setAttribute("aria-valuenow", Math.round(known));
    this.meter.setAttribute("aria-valuetext", words);
    put(this.level, words);
  }
}
