// The changes from the prober: one stream for all tabs of a browser. This file is also the script of their shared worker.
//
// Over HTTP/1.1 a browser opens six connections to a host at most, and a stream holds one of them as long as it lasts.

/** After so many milliseconds of silence the connection is lost: the prober sends something every second. */
export const MAX_SILENCE = 4_000;

const CHECK_INTERVAL = 500;
const MAX_KEPT = 120;
const MAX_FAILURES = 2;

/** Follows the stream of cells for any number of followers, each a function that takes the name and the data of an event. */
class Changes {
  #followers = new Map();
  #source = null;
  #checks = 0;
  #lastSeen = 0;
  #began = 0;
  #kept = [];
  #latest = new Map();

  /** Sends `follower` what has changed since a version. After `reload` or `lost` it gets nothing more. */
  follow(follower, version) {
    this.#followers.set(follower, version);
    if (this.#source === null) this.#open(version);
    else if (version < this.#began) this.#end("reload", [follower]);
    else this.#catchUp(follower);
  }

  /** Sends `follower` nothing more. The last one closes the stream. */
  leave(follower) {
    this.#followers.delete(follower);
    if (this.#followers.size === 0) this.#close();
  }

  #open(version) {
    const source = new EventSource(`api/cells/stream?after=${version}`);
    this.#source = source;
    this.#began = version;
    this.#lastSeen = Date.now();
    this.#checks = setInterval(() => Date.now() - this.#lastSeen > MAX_SILENCE && this.#end("lost"), CHECK_INTERVAL);
    const on = (name, take) => source.addEventListener(name, (event) => source === this.#source && take(event));
    for (const name of ["cells", "fleet", "incidents"]) {
      on(name, (event) => {
        this.#lastSeen = Date.now();
        this.#pass(name, JSON.parse(event.data));
      });
    }
    on("reload", () => this.#end("reload"));
    on("error", () => this.#end("lost"));
  }

  #close() {
    this.#source?.close();
    this.#source = null;
    clearInterval(this.#checks);
    this.#kept = [];
    this.#latest.clear();
  }

  #pass(name, data) {
    if (name !== "cells") this.#latest.set(name, data);
    else if (this.#kept.push(data) > MAX_KEPT) this.#began = this.#kept.shift().version;
    for (const follower of this.#followers.keys()) this.#send(follower, name, data);
  }

  #catchUp(follower) {
    for (const delta of this.#kept) this.#send(follower, "cells", delta);
    for (const [name, data] of this.#latest) this.#send(follower, name, data);
  }

  /** Sends an event, unless it is a change that the follower has: it may have read the cells after that change. */
  #send(follower, name, data) {
    if (name === "cells") {
      if (data.version <= this.#followers.get(follower)) return;
      this.#followers.set(follower, data.version);
    }
    follower(name, data);
  }

  #end(name, followers = [...this.#followers.keys()]) {
    for (const follower of followers) this.leave(follower);
    for (const follower of followers) follower(name, {});
  }
}

const ours = new Changes();
let failures = 0;
const canShare = () => "SharedWorker" in globalThis && failures < MAX_FAILURES;

/**
 * Follows the changes after a version, on the stream that all tabs share, and returns a function that ends it.
 *
 * A browser without shared workers gets a stream for each of its tabs, which ends while the tab is hidden.
 */
export function followChanges(version, follower) {
  const worker = sharedWorker(() => follower("lost", {}));
  if (worker === null) {
    ours.follow(follower, version);
    return () => ours.leave(follower);
  }
  const { port } = worker;
  port.onmessage = ({ data: { name, data } }) => {
    failures = 0;
    follower(name, data);
  };
  port.postMessage({ version });
  return () => {
    port.postMessage({ version: null });
    port.close();
  };
}

/** Connects to the shared worker, or returns null where there is none. `onError` is called if it does not start. */
function sharedWorker(onError) {
  if (!canShare()) return null;
  try {
    const worker = new SharedWorker(new URL("changes.js", import.meta.url), { type: "module", name: "healthprobe" });
    worker.addEventListener("error", () => {
      failures += 1;
      onError();
    });
    return worker;
  } catch {
    failures = MAX_FAILURES; // the settings of the browser forbid it
    return null;
  }
}

/** Whether a hidden tab should end its stream, as it would keep a connection from the other tabs. */
export const yieldsWhenHidden = () => !canShare();

globalThis.onconnect = ({ ports: [port] }) => {
  const follower = (name, data) => port.postMessage({ name, data });
  port.onmessage = ({ data: { version } }) => (version === null ? ours.leave(follower) : ours.follow(follower, version));
};
