// The prober's own health: whether it is late, how full its lanes are, and how far behind its relays.

import { alarmsOf } from "./headline.js";
import { count, element, lasting, milliseconds, moment, say } from "./words.js";

const at = (id) => document.getElementById(id);
const readings = new Map();

/** Shows how the prober does. */
export function showProber(fleet) {
  const { prober } = fleet;
  const inconclusive = Object.entries(prober.inconclusive);
  read("State", prober.trouble ?? "well", { isBad: prober.trouble !== null });
  read("Lateness", `${milliseconds(prober.lateness_ms_p50)} median, ${milliseconds(prober.lateness_ms_p99)} p99`);
  read("Latency", `${milliseconds(prober.latency_ms_p50)} median, ${milliseconds(prober.latency_ms_p99)} p99`);
  read("Lanes", prober.lane_limit ? `${count(prober.lanes_in_use)} of ${count(prober.lane_limit)}` : "between ticks", {
    share: prober.lanes_in_use / Math.max(prober.lane_limit, 1),
  });
  read("Connections", `${count(prober.connections)} of ${count(prober.connection_limit)}`, {
    share: prober.connections / Math.max(prober.connection_limit, 1),
  });
  read("Tick", prober.tick_overdue_s >= 0.5 ? `late by ${lasting(prober.tick_overdue_s)}` : "on time", {
    isBad: prober.tick_overdue_s > prober.interval_s,
  });
  readIfAny("Sight", prober.blind_s, `blind for ${lasting(prober.blind_s)}: no canary answers`, { isBad: true });
  readIfAny("Decisions held", prober.decisions_held, `${count(prober.decisions_held)}, until they fail again`);
  readIfAny("Flapping", prober.games_flapping, count(prober.games_flapping));
  readIfAny("Silenced", prober.games_silenced, count(prober.games_silenced));
  read("Log", prober.log_away_s > 0 ? `away for ${lasting(prober.log_away_s)}` : "takes events", {
    isBad: prober.log_away_s > 1,
  });
  read("Waiting for the log", count(prober.transitions_waiting));
  read("Ticks dropped", count(prober.ticks_dropped), { isBad: prober.ticks_dropped > 0 });
  read("Listing errors", count(prober.listing_errors), { isBad: prober.listing_errors > 0 });
  read("Probes", count(prober.probes));
  read("Told nothing", inconclusive.map(([cause, number]) => `${count(number)} × ${cause}`).join(", ") || "0");
  read("Rule", `every ${prober.interval_s}s, ${prober.timeout_s}s to answer, ${prober.failures} in a row`);
  if (prober.shards !== null) read("Shards", count(prober.shards));
  read("Version", prober.version);
  read("Up since", "", { time: prober.started_at });
  showRelays(fleet);
}

/** A reading that is only of interest where there is something; once it was, it stays, so that nothing jumps. */
function readIfAny(name, number, told, { isBad = false } = {}) {
  if (number > 0) read(name, told, { isBad });
  else if (readings.has(name)) read(name, "none");
}

function read(name, told, { isBad = false, share = null, time = null } = {}) {
  const row = readings.get(name) ?? made(name, share !== null);
  row.box.classList.toggle("bad", isBad);
  if (time === null) say(row.told, told);
  else if (row.told.dataset.time !== time) {
    row.told.dataset.time = time;
    row.told.replaceChildren(moment(time));
  }
  if (row.level) row.level.style.width = `${Math.min(share, 1) * 100}%`;
}

function made(name, hasLevel) {
  const box = element("div");
  const row = { box, told: element("span"), level: hasLevel ? element("i", "level") : null };
  const value = element("dd");
  value.append(row.told);
  if (row.level) {
    const scale = element("span", "scale");
    scale.append(row.level);
    value.append(scale);
  }
  box.append(element("dt", "", name), value);
  at("prober-facts").append(box);
  readings.set(name, row);
  return row;
}

function showRelays(fleet) {
  const { publishers } = fleet;
  const told = publishers.map(({ name, lag, parked }) => {
    const behind = lag ? `${count(lag)} behind` : "up to date";
    return { name, told: parked ? `${behind}, ${count(parked)} refused` : behind, isBad: parked > 0 };
  });
  if (told.length === 0) told.push({ name: alarmsOf(fleet).told, told: "", isBad: false });
  const key = JSON.stringify(told);
  const list = at("relays");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...told.map((each) => {
      const item = element("li", each.isBad ? "bad" : "");
      item.append(element("span", "", each.name), element("span", "", each.told));
      return item;
    }),
  );
}
