// The outcomes: the last probes of a game as a drawing, with their latency, and in words.

import { count, drawn, element, milliseconds } from "./words.js";

const MOST = 100;
const WIDE = 4;
const HIGH = 56;
const LEAST = 3;

/** A bar a probe, the newest at the right: as high as it took long, or full and crossed where it failed. */
export function outcomesDrawing(outcomes) {
  const box = element("figure", "outcomes");
  if (outcomes.length === 0) {
    box.append(element("figcaption", "none", "It was not asked yet."));
    return box;
  }
  const times = outcomes.map((each) => each.duration_ms).filter((time) => time !== null);
  const slowest = Math.max(...times, 0);
  const svg = drawn("svg", { viewBox: `0 0 ${MOST * WIDE} ${HIGH}`, role: "img", preserveAspectRatio: "none" });
  svg.setAttribute("aria-label", told(outcomes, times));
  outcomes.forEach((outcome, number) => {
    const x = (MOST - outcomes.length + number) * WIDE;
    svg.append(...bar(outcome, x, slowest));
  });
  box.append(svg, element("figcaption", "", told(outcomes, times)));
  return box;
}

function bar({ outcome, duration_ms: time }, x, slowest) {
  if (outcome === "healthy") {
    // The root lets a slow probe stand out without flattening all others to nothing.
    const high = LEAST + (HIGH - LEAST - 8) * Math.sqrt((time ?? 0) / (slowest || 1));
    return [named("rect", { x, y: HIGH - high, width: WIDE - 1, height: high, class: "healthy" }, milliseconds(time))];
  }
  if (outcome === "inconclusive") {
    return [named("rect", { x: x + 0.5, y: HIGH / 2, width: WIDE - 2, height: HIGH / 2 - 0.5, class: "unknown" }, outcome)];
  }
  return [
    named("rect", { x, y: 0, width: WIDE - 1, height: HIGH, class: "down" }, outcome),
    drawn("rect", { x, y: HIGH / 2 - 1, width: WIDE - 1, height: 2, class: "notch" }),
  ];
}

function named(name, attributes, title) {
  const made = drawn(name, attributes);
  const text = drawn("title", {});
  text.textContent = title;
  made.append(text);
  return made;
}

function told(outcomes, times) {
  const kinds = new Map();
  for (const { outcome } of outcomes) kinds.set(outcome, (kinds.get(outcome) ?? 0) + 1);
  const words = [...kinds].sort((one, other) => other[1] - one[1]).map(([kind, number]) => `${count(number)} ${kind}`);
  if (times.length) {
    const sorted = [...times].sort((one, other) => one - other);
    words.push(`latency ${milliseconds(sorted[Math.floor(sorted.length / 2)])} median, ${milliseconds(sorted.at(-1))} at worst`);
  }
  return words.join(", ");
}
