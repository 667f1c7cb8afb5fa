// What the service says, in words for people.

// Why an answer is unknown: listen_edge/lines/answer.py, and two reasons of this page.
export const REASONS = {
  uncertain: "it may or may not be there",
  unfamiliar: "its name is unlike all that was trained on",
  silent_input: "the microphone delivers only zeros",
  inaudible: "nothing is louder than the noise floor",
  too_short: "too little sound was heard",
  narrow_band: "the source's band is too narrow",
  speech_codec: "a speech codec changes what is heard",
  clipped: "the input is overdriven",
  damaged: "the device delivers samples far beyond full scale",
  overflow: "samples were lost on their way",
  not_finite: "the device delivers numbers that are none",
  overloaded: "windows were skipped to keep up",
  warming_up: "less than a whole window was heard so far",
  stale: "nothing has arrived since the last window",
  no_audio: "nothing comes from it",
  muted: "the source is muted, its device is closed",
  below_gate: "quieter than the level gate",
  lost: "not connected to the service",
  waiting: "no answer yet",
};

const ENDINGS = {
  not_heard: "no longer heard",
  no_audio: "nothing could be heard any more",
  end_of_stream: "the recording ended",
  stopped: "the service was stopped",
  muted: "the source was muted",
  interrupted: "the service was interrupted",
};

const STATIONS = {
  starting: "starting",
  healthy: "listening",
  alarmed: "nothing arrives",
  recovering: "being opened again",
  failed: "failed, tried again now and then",
  muted: "muted: its device is closed",
};

/** Return "present", "absent" or "cannot tell: …" of an answer. */
export function stateWords(state, reason) {
  if (state === "unknown") return `cannot tell: ${REASONS[reason] ?? reason ?? "no reason given"}`;
  return reason ? `${state} (${REASONS[reason] ?? reason})` : state;
}

export const stationWords = (state) => STATIONS[state] ?? state;
export const endingWords = (reason) => ENDINGS[reason] ?? reason ?? "";

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const clockS = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const day = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });

/** Return the time of day; `at` in ms since the epoch or as ISO 8601. */
export const timeWords = (at, seconds = false) => (seconds ? clockS : clock).format(new Date(at));

/** Return day and time of day, the day left out for today. */
export function whenWords(at) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clockS.format(date) : `${day.format(date)}, ${clockS.format(date)}`;
}

/** Return a duration in the largest units that matter. */
export function durationWords(s) {
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Return a level for people; null is digital silence, undefined is nothing measured. */
export function levelWords(dbfs) {
  return dbfs == null ? "no level" : `${Math.round(dbfs)} dBFS`;
}

export const presenceWords = (presence) => (presence == null ? "–" : presence.toFixed(2));

/** Return "1 event", "3 events". */
export const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
