// Presence over time on a canvas. What no answer covers is hatched: it was not heard.

const PAD = 5; // above presence 1
const AXIS = 15; // below presence 0, for the times
const NEAR_MS = 900; // a kept point this close to a live one is the same window
const HEARD = new Set([null, "uncertain", "below_gate"]); // reasons of a window that was heard

const sized = new ResizeObserver((entries) => {
  for (const entry of entries) entry.target.timeline.resize();
});
const inView = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.timeline.seen(entry.isIntersecting);
});
const all = new Set();
const redrawAll = () => all.forEach((timeline) => timeline.redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  Timeline.colours = null;
  redrawAll();
});
document.addEventListener("visibilitychange", redrawAll);

/** A strip of presence: `spanS` seconds up to the newest time.
 *  Points are {at: ms, presence: number|null, isHeard, isPresent}; the last is left out of kept
 *  ones, whose presence is compared with the threshold. */
export class Timeline {
  static colours = null;

  constructor(spanS) {
    this.spanMs = spanS * 1000;
    this.points = [];
    this.events = []; // [from, until] in ms: until is null while it goes on
    this.thresholds = { on: null, off: null };
    this.until = 0;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "timeline";
    this.canvas.setAttribute("role", "img");
    this.canvas.timeline = this;
    this.isSeen = false;
    sized.observe(this.canvas);
    inView.observe(this.canvas);
    all.add(this);
  }

  /** Forget the canvas; the timeline is not used any more. */
  gone() {
    sized.unobserve(this.canvas);
    inView.unobserve(this.canvas);
    all.delete(this);
  }

  /** Take one answer; those that are older than the span leave. */
  add(point) {
    const last = this.points.at(-1);
    if (last && point.at <= last.at) return;
    this.points.push(point);
    this.until = Math.max(this.until, point.at);
    const oldest = this.until - this.spanMs;
    let n = 0;
    while (this.points[n].at < oldest) n += 1;
    if (n > 60) this.points.splice(0, n);
    this.redraw();
  }

  /** Put in what was kept; points that came live say more and stay. */
  merge(points) {
    const live = this.points;
    let k = 0;
    const missing = points.filter(({ at }) => {
      while (k < live.length && live[k].at < at - NEAR_MS) k += 1;
      return k === live.length || live[k].at > at + NEAR_MS;
    });
    this.points = [...live, ...missing].sort((a, b) => a.at - b.at);
    this.until = Math.max(this.until, this.points.at(-1)?.at ?? 0);
    this.redraw();
  }

  /** Let time go on without an answer, `quietMs` after the newest: it was not heard. */
  advance(quietMs) {
    this.until = Math.max(this.until, (this.points.at(-1)?.at ?? 0) + quietMs);
    this.redraw();
  }

  /** Typical time between two answers, in ms. */
  get hopMs() {
    const recent = this.points.slice(-60);
    const gaps = recent.slice(1).map((point, k) => point.at - recent[k].at).sort((a, b) => a - b);
    return gaps[gaps.length >> 1] ?? 2000;
  }

  seen(isSeen) {
    this.isSeen = isSeen;
    this.redraw();
  }

  resize() {
    this.redraw();
  }

  /** Draw before the next frame, if anybody can see it. */
  redraw() {
    if (this.isDue || !this.isSeen || document.hidden) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.draw();
    });
  }

  draw() {
    const { canvas } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const brush = canvas.getContext("2d");
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    brush.clearRect(0, 0, width, height);
    const colours = (Timeline.colours ??= readColours());
    const area = { width, bottom: height - AXIS, height: height - AXIS - PAD };
    const columns = this.columns(width);
    hatch(brush, area, columns, colours);
    this.drawPresence(brush, area, columns, colours);
    this.drawThresholds(brush, area, colours);
    this.drawEvents(brush, area, colours);
    this.drawAxis(brush, area, height, colours);
  }

  /** Return what each pixel column shows: highest presence (-1: none), and its marks. */
  columns(width) {
    const presence = new Float32Array(width).fill(-1);
    const isPresent = new Uint8Array(width);
    const nHeard = new Float32Array(width); // share of the column that was heard
    const perMs = width / this.spanMs;
    const from = this.until - this.spanMs;
    const longest = 2.5 * this.hopMs;
    const on = this.thresholds.on ?? 1;
    let before = -Infinity;
    for (const point of this.points) {
      const start = point.at - before <= longest ? before : point.at - longest / 2.5;
      before = point.at;
      if (point.at < from) continue;
      const left = Math.max(0, (start - from) * perMs);
      const right = Math.min(width, (point.at - from) * perMs);
      for (let x = Math.floor(left); x < right; x += 1) {
        if (point.presence !== null) presence[x] = Math.max(presence[x], point.presence);
        if (point.isPresent ?? point.presence >= on) isPresent[x] = 1;
        if (point.isHeard) nHeard[x] += Math.min(right, x + 1) - Math.max(left, x);
      }
    }
    return { presence, isPresent, nHeard };
  }

  drawPresence(brush, area, { presence, isPresent }, colours) {
    const y = (value) => area.bottom - value * area.height;
    for (let x = 0; x < area.width; x += 1) {
      if (presence[x] < 0) continue;
      const top = y(presence[x]);
      brush.fillStyle = isPresent[x] ? colours.presentFill : colours.presenceFill;
      brush.fillRect(x, top, 1, area.bottom - top);
    }
    for (const wanted of [0, 1]) {
      brush.beginPath();
      for (let x = 0; x < area.width; x += 1) {
        if (presence[x] < 0 || isPresent[x] !== wanted) continue;
        const joins = x > 0 && presence[x - 1] >= 0;
        brush.moveTo(joins ? x - 0.5 : x, y(joins ? presence[x - 1] : presence[x]));
        if (joins) brush.lineTo(x - 0.5, y(presence[x]));
        brush.lineTo(x + 0.5, y(presence[x]));
      }
      brush.strokeStyle = wanted ? colours.present : colours.presence;
      brush.lineWidth = 1.6;
      brush.stroke();
    }
  }

  drawThresholds(brush, area, colours) {
    for (const name of ["on", "off"]) {
      const value = this.thresholds[name];
      if (value === null) continue;
      const y = Math.round(area.bottom - value * area.height) + 0.5;
      brush.strokeStyle = colours[name];
      brush.lineWidth = 1;
      brush.setLineDash(name === "on" ? [] : [4, 3]);
      brush.beginPath();
      brush.moveTo(0, y);
      brush.lineTo(area.width, y);
      brush.stroke();
    }
    brush.setLineDash([]);
  }

  drawEvents(brush, area, colours) {
    const x = (at) => ((at - this.until + this.spanMs) / this.spanMs) * area.width;
    brush.fillStyle = colours.present;
    for (const [from, until] of this.events) {
      const left = Math.max(0, x(from));
      const right = until === null ? area.width : x(until);
      if (right > 0 && left < area.width) brush.fillRect(left, 0, Math.max(2, right - left), 3);
    }
  }

  drawAxis(brush, area, height, colours) {
    const stepMs = tickStep(this.spanMs, area.width);
    const zoneMs = new Date(this.until).getTimezoneOffset() * 60_000;
    const from = this.until - this.spanMs;
    brush.fillStyle = colours.axis;
    brush.strokeStyle = colours.rule;
    brush.lineWidth = 1;
    brush.font = `11px ${colours.font}`;
    brush.textBaseline = "bottom";
    brush.beginPath();
    brush.moveTo(0, area.bottom + 0.5);
    brush.lineTo(area.width, area.bottom + 0.5);
    const first = Math.ceil((from - zoneMs) / stepMs) * stepMs + zoneMs;
    for (let at = first; at < this.until; at += stepMs) {
      const x = Math.round(((at - from) / this.spanMs) * area.width) + 0.5;
      brush.moveTo(x, area.bottom);
      brush.lineTo(x, area.bottom + 3);
      const words = clock.format(at);
      const half = brush.measureText(words).width / 2;
      if (x > half && x < area.width - half) brush.fillText(words, x - half, height);
    }
    brush.stroke();
  }
}

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });

/** Return the time between two ticks, so that their words do not meet. */
function tickStep(spanMs, width) {
  const minutes = [1, 2, 5, 10, 30, 60, 120, 180, 360, 720];
  const room = (spanMs / 60_000) * (56 / width);
  return (minutes.find((step) => step >= room) ?? 1440) * 60_000;
}

/** Hatch the columns that were not wholly heard. */
function hatch(brush, area, { nHeard }, colours) {
  const isHeard = (x) => nHeard[x] > 0.98;
  for (let x = 0; x < area.width; x += 1) {
    if (isHeard(x)) continue;
    const from = x;
    while (x < area.width && !isHeard(x)) x += 1;
    brush.save();
    brush.beginPath();
    brush.rect(from, PAD, x - from, area.height);
    brush.clip();
    brush.fillStyle = colours.unheardFill;
    brush.fillRect(from, PAD, x - from, area.height);
    brush.strokeStyle = colours.unheard;
    brush.lineWidth = 1.2;
    brush.beginPath();
    for (let k = Math.floor((from - area.height) / 7) * 7; k < x; k += 7) {
      brush.moveTo(k, area.bottom);
      brush.lineTo(k + area.height, PAD);
    }
    brush.stroke();
    brush.restore();
  }
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    presence: of("presence"), presenceFill: of("presence-fill"),
    present: of("present"), presentFill: of("present-fill"),
    on: of("on"), off: of("off"), unheard: of("unheard"), unheardFill: of("unheard-fill"),
    axis: of("quiet"), rule: of("rule"), font: style.fontFamily,
  };
}

/** Return the point of an answer line. */
export function pointOf(answer) {
  return {
    at: Date.parse(answer.ts),
    presence: answer.presence,
    isPresent: answer.state === "present",
    isHeard: answer.presence !== null && HEARD.has(answer.reason),
  };
}
