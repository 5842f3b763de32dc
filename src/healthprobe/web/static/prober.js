// The health of the prober itself: its ticks, lanes, connections, log and publishers.

import { clock, count, duration, element, gameButton, glyph, milliseconds, setText, timeElement } from "./format.js";

const STUCK_AFTER_WAIT = 3;
const STATES = { probe_failed: "down", probe_recovered: "healthy", probe_ended: "unknown" };

const at = (id) => document.getElementById(id);
const readings = new Map();

/** Shows the prober's part of the document of GET /api/fleet. `open` opens a game. */
export function showProber(fleet, open) {
  const { prober } = fleet;
  const inconclusive = Object.entries(prober.inconclusive);
  showReading("State", prober.trouble ?? "running", { isBad: prober.trouble !== null });
  showReading("Lateness", `${milliseconds(prober.lateness_ms_p50)} median, ${milliseconds(prober.lateness_ms_p99)} p99`);
  showReading("Latency", `${milliseconds(prober.latency_ms_p50)} median, ${milliseconds(prober.latency_ms_p99)} p99`);
  showReading("Lanes", prober.lane_limit ? `${count(prober.lanes_in_use)} of ${count(prober.lane_limit)}` : "between ticks", {
    share: prober.lanes_in_use / Math.max(prober.lane_limit, 1),
  });
  showReading("Connections", `${count(prober.connections)} of ${count(prober.connection_limit)}`, {
    share: prober.connections / Math.max(prober.connection_limit, 1),
  });
  showReading("Tick", prober.tick_overdue_s >= 0.5 ? `late by ${duration(prober.tick_overdue_s)}` : "on time", {
    isBad: prober.tick_overdue_s > prober.interval_s,
  });
  showIfAny("Canaries", prober.blind_s, `none has answered for ${duration(prober.blind_s)}`, { isBad: true });
  showIfAny("Transitions held", prober.decisions_held, `${count(prober.decisions_held)}, until confirmed`);
  showIfAny("Games flapping", prober.games_flapping, count(prober.games_flapping));
  showIfAny("Games silenced", prober.games_silenced, count(prober.games_silenced));
  showReading("Log", prober.log_away_s > 0 ? `unavailable for ${duration(prober.log_away_s)}` : "available", {
    isBad: prober.log_away_s > 1,
  });
  const waiting = count(prober.transitions_waiting);
  showReading("Waiting for the log", prober.longest_wait_s >= 1 ? `${waiting}, for ${duration(prober.longest_wait_s)}` : waiting, {
    isBad: prober.longest_wait_s > STUCK_AFTER_WAIT * prober.interval_s,
  });
  showReading("Ticks dropped", count(prober.ticks_dropped), { isBad: prober.ticks_dropped > 0 });
  showReading("Listing errors", count(prober.listing_errors), { isBad: prober.listing_errors > 0 });
  showReading("Probes", count(prober.probes));
  showReading("Inconclusive", inconclusive.map(([cause, number]) => `${count(number)} × ${cause}`).join(", ") || "0");
  showReading("Settings", `interval ${prober.interval_s}s, timeout ${prober.timeout_s}s, threshold ${prober.failures}`);
  if (prober.shards !== null) showReading("Shards", count(prober.shards));
  showReading("Version", prober.version);
  showReading("Up since", "", { time: prober.started_at });
  showSetAside(prober, open);
  showSilences(fleet.silences);
  showPublishers(fleet);
}

/** Shows a reading from the first time that its number is above zero. It then stays, so that the layout does. */
function showIfAny(name, number, text, { isBad = false } = {}) {
  if (number > 0) showReading(name, text, { isBad });
  else if (readings.has(name)) showReading(name, "none");
}

function showReading(name, text, { isBad = false, share = null, time = null } = {}) {
  const row = readings.get(name) ?? addReading(name, share !== null);
  row.box.classList.toggle("bad", isBad);
  if (time === null) setText(row.value, text);
  else if (row.value.dataset.time !== time) {
    row.value.dataset.time = time;
    row.value.replaceChildren(timeElement(time));
  }
  if (row.level) row.level.style.width = `${Math.min(share, 1) * 100}%`;
}

function addReading(name, hasLevel) {
  const box = element("div");
  const row = { box, value: element("span"), level: hasLevel ? element("i", "level") : null };
  const cell = element("dd");
  cell.append(row.value);
  if (row.level) {
    const scale = element("span", "scale");
    scale.append(row.level);
    cell.append(scale);
  }
  box.append(element("dt", "", name), cell);
  at("prober-facts").append(box);
  readings.set(name, row);
  return row;
}

/** Lists the games that the log cannot hold, with the reason. */
function showSetAside({ games_set_aside: number, set_aside: games }, open) {
  at("set-aside-part").hidden = number === 0;
  const list = at("set-aside");
  const key = JSON.stringify([number, games]);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  const rows = games.map(({ game_id, event_type, error }) => {
    const row = element("li", "row");
    row.append(glyph(STATES[event_type] ?? "unknown"), gameButton(game_id, open), element("span", "cause", error));
    return row;
  });
  if (number > games.length) rows.push(element("li", "more", `and ${count(number - games.length)} more`));
  list.replaceChildren(...rows);
}

/** Lists what holds back alarms now: which games, until when, who made it and why. */
function showSilences(silences) {
  at("silences-part").hidden = silences.length === 0;
  const list = at("silences");
  const key = JSON.stringify(silences);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...silences.map((each) => {
      const item = element("li", "stacked");
      const labels = Object.entries(each.labels).map(([name, value]) => `${name}=${value}`);
      const games = [each.games.join(", "), each.host && `host ${each.host}`, ...labels].filter(Boolean).join(" and ");
      const why = [each.who && `by ${each.who}`, each.why].filter(Boolean).join(": ");
      item.append(element("span", "", games), element("span", "", `until ${clock(each.ends_at)}${why && `, ${why}`}`));
      return item;
    }),
  );
}

function showPublishers(fleet) {
  const { publishers } = fleet;
  const rows = publishers.map(({ name, lag, parked, error }) => {
    const parts = [lag || error ? `${count(lag)} pending` : "up to date"];
    if (parked) parts.push(`${count(parked)} refused`);
    if (error) parts.push(`delivery failing: ${error}`);
    return { name, text: parts.join(", "), isBad: parked > 0 || error !== null };
  });
  if (rows.length === 0) rows.push({ name: "none configured", text: "", isBad: false });
  const key = JSON.stringify(rows);
  const list = at("publishers");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...rows.map((each) => {
      const item = element("li", each.isBad ? "bad" : "");
      item.append(element("span", "", each.name), element("span", "", each.text));
      return item;
    }),
  );
}
