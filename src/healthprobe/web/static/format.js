// Formats numbers, times and durations, and makes the elements that show them.

const SVG = "http://www.w3.org/2000/svg";
const COUNT = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** A whole number with thousands separators. */
export const count = (number) => COUNT.format(number);

/** Formats seconds as 12s, 4m12s, 2h01m or 1d03h, as the prober does. */
export function duration(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m${two(whole % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${two(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
}

/** Formats milliseconds with three digits at most. */
export function milliseconds(value) {
  if (value === null) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
  return `${value >= 100 ? Math.round(value) : value.toFixed(value >= 10 ? 1 : 2)} ms`;
}

/** Formats an instant as local time, with the date if it is not today. */
export function clock(instant) {
  const date = new Date(instant);
  const time = CLOCK.format(date);
  return date.toDateString() === new Date().toDateString() ? time : `${DAY.format(date)} ${time}`;
}

/** Makes an element with a class and a text. The text is never taken for markup. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

/** Makes a time element: it shows the local time, and the exact instant as a tooltip. */
export function timeElement(instant, className = "") {
  const made = element("time", className, clock(instant));
  made.dateTime = made.title = instant;
  return made;
}

/** Makes an SVG element. */
export function svgElement(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

/** Makes the icon of a state. */
export function glyph(state) {
  const made = svgElement("svg", { class: `glyph ${state}`, "aria-hidden": "true", focusable: "false" });
  made.append(svgElement("use", { href: `#glyph-${state}` }));
  return made;
}

/** Sets a text only if it differs, so that nothing is repainted or announced again. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Makes a button that opens a game. */
export function gameButton(gameId, open) {
  const made = element("button", "game", gameId);
  made.type = "button";
  made.title = gameId;
  made.addEventListener("click", () => open(gameId, made));
  return made;
}
