// Words: numbers, times and durations as people read them, and the elements that carry them.

const SVG = "http://www.w3.org/2000/svg";
const COUNT = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** A whole number with its thousands apart. */
export const count = (number) => COUNT.format(number);

/** Seconds at the precision that people want: 12s, 4m12s, 2h01m, 1d03h; the same as the prober writes. */
export function lasting(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m${two(whole % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${two(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
}

/** Milliseconds with three digits at most. */
export function milliseconds(value) {
  if (value === null) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
  return `${value >= 100 ? Math.round(value) : value.toFixed(value >= 10 ? 1 : 2)} ms`;
}

/** The time of day where the reader is, with the day where it is another. */
export function clock(instant) {
  const date = new Date(instant);
  const time = CLOCK.format(date);
  return date.toDateString() === new Date().toDateString() ? time : `${DAY.format(date)} ${time}`;
}

/** An element with a class and, as text, what it says. Text is never markup, whoever wrote it. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

/** A moment as an element: the local time, and the exact one for whoever points at it. */
export function moment(instant, className = "") {
  const made = element("time", className, clock(instant));
  made.dateTime = made.title = instant;
  return made;
}

/** An element of a drawing. */
export function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

/** The shape of a state, in its colour. */
export function glyph(state) {
  const made = drawn("svg", { class: `glyph ${state}`, "aria-hidden": "true", focusable: "false" });
  made.append(drawn("use", { href: `#glyph-${state}` }));
  return made;
}

/** Sets the text only where it differs, so that nothing is painted, or read out, for nothing. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** A button that opens a game. */
export function opener(gameId, open) {
  const made = element("button", "game", gameId);
  made.type = "button";
  made.title = gameId;
  made.addEventListener("click", () => open(gameId, made));
  return made;
}
