// Charts of one game: its last outcomes with their latency, and its last 30 days, each with its description.

import { count, duration, element, milliseconds, svgElement, timeElement } from "./format.js";

const MAX_BARS = 100;
const BAR_WIDTH = 4;
const HEIGHT = 56;
const MIN_BAR = 3;

/** Draws a bar per probe, the newest on the right: its height is the latency, or full if the probe failed. */
export function outcomesChart(outcomes) {
  const box = element("figure", "outcomes");
  if (outcomes.length === 0) {
    box.append(element("figcaption", "none", "Not probed yet."));
    return box;
  }
  const times = outcomes.map((each) => each.duration_ms).filter((time) => time !== null);
  const slowest = Math.max(...times, 0);
  const svg = svgElement("svg", { viewBox: `0 0 ${MAX_BARS * BAR_WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" });
  svg.setAttribute("aria-label", description(outcomes, times));
  outcomes.forEach((outcome, number) => {
    const x = (MAX_BARS - outcomes.length + number) * BAR_WIDTH;
    svg.append(...bar(outcome, x, slowest));
  });
  box.append(svg, element("figcaption", "", description(outcomes, times)));
  return box;
}

function bar({ outcome, duration_ms: time }, x, slowest) {
  if (outcome === "healthy") {
    // A square root scale: a slow probe stands out without flattening all others.
    const high = MIN_BAR + (HEIGHT - MIN_BAR - 8) * Math.sqrt((time ?? 0) / (slowest || 1));
    return [titled("rect", { x, y: HEIGHT - high, width: BAR_WIDTH - 1, height: high, class: "healthy" }, milliseconds(time))];
  }
  if (outcome === "inconclusive") {
    return [titled("rect", { x: x + 0.5, y: HEIGHT / 2, width: BAR_WIDTH - 2, height: HEIGHT / 2 - 0.5, class: "unknown" }, outcome)];
  }
  return [
    titled("rect", { x, y: 0, width: BAR_WIDTH - 1, height: HEIGHT, class: "down" }, outcome),
    svgElement("rect", { x, y: HEIGHT / 2 - 1, width: BAR_WIDTH - 1, height: 2, class: "notch" }),
  ];
}

const DAY_WIDTH = 10;

/** Draws a bar per day, the newest on the right: up from below, down from above, and what nobody watched left open. */
export function daysStrip(found) {
  const box = element("figure", "outcomes days");
  const svg = svgElement("svg", { viewBox: `0 0 ${found.days.length * DAY_WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" });
  const text = availabilityText(found);
  svg.setAttribute("aria-label", text);
  found.days.forEach((day, number) => svg.append(dayBar(day, number * DAY_WIDTH)));
  const caption = element("figcaption", "", text);
  caption.append(" Since ", timeElement(found.since), ".");
  box.append(svg, caption);
  return box;
}

function dayBar({ up_s: up, down_s: down, unwatched_s: unwatched }, x) {
  const whole = up + down + unwatched || 1;
  const [width, upHigh] = [DAY_WIDTH - 2, (HEIGHT * up) / whole];
  // A minute down is seen, too.
  const downHigh = down > 0 ? Math.max((HEIGHT * down) / whole, MIN_BAR) : 0;
  const words = [`up ${duration(up)}`, `down ${duration(down)}`, `unwatched ${duration(unwatched)}`].join(", ");
  const group = titled("g", {}, words);
  group.append(svgElement("rect", { x, y: 0, width, height: HEIGHT, class: "unwatched" }));
  if (upHigh > 0) group.append(svgElement("rect", { x, y: HEIGHT - upHigh, width, height: upHigh, class: "healthy" }));
  if (downHigh > 0) group.append(svgElement("rect", { x, y: 0, width, height: downHigh, class: "down" }));
  return group;
}

/** Returns the figures in words. A share is rounded down: 99.9996% is not 100%. */
function availabilityText({ availability_percent: percent, incidents, down_s: down, longest_s: longest, unwatched_percent: unwatched }) {
  const parts = [percent === null ? "Nobody watched it" : `Available ${(Math.floor(percent * 1000) / 1000).toFixed(3)}%`];
  parts.push(incidents ? `${count(incidents)} incident${incidents === 1 ? "" : "s"}, down ${duration(down)}, the longest ${duration(longest)}` : "no incident");
  if (unwatched >= 0.05) parts.push(`${unwatched.toFixed(1)}% of the time unwatched`);
  return `${parts.join("; ")}.`;
}

function titled(name, attributes, title) {
  const made = svgElement(name, attributes);
  const text = svgElement("title", {});
  text.textContent = title;
  made.append(text);
  return made;
}

function description(outcomes, times) {
  const kinds = new Map();
  for (const { outcome } of outcomes) kinds.set(outcome, (kinds.get(outcome) ?? 0) + 1);
  const words = [...kinds].sort((one, other) => other[1] - one[1]).map(([kind, number]) => `${count(number)} ${kind}`);
  if (times.length) {
    const sorted = [...times].sort((one, other) => one - other);
    words.push(`latency ${milliseconds(sorted[Math.floor(sorted.length / 2)])} median, ${milliseconds(sorted.at(-1))} maximum`);
  }
  return words.join(", ");
}
