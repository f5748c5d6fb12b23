// Reads what a page really shows. `watch` runs inside the page: at each animation frame it looks at the visible
// picture, notes when it changed and, where the picture carries the clock of tests/tools, when it was made.

/** Serialised into the page; must not use anything of this module. */
function install() {
  const CELLS = 32;
  const strip = document.createElement("canvas");
  strip.width = CELLS * 4;
  strip.height = 4;
  const stripContext = strip.getContext("2d", { willReadFrequently: true });
  const small = document.createElement("canvas");
  small.width = 32;
  small.height = 24;
  const smallContext = small.getContext("2d", { willReadFrequently: true });

  const surfaces = (root, found = []) => {
    for (const element of root.querySelectorAll("canvas, video")) found.push(element);
    for (const element of root.querySelectorAll("*")) if (element.shadowRoot) surfaces(element.shadowRoot, found);
    return found;
  };
  const size = (surface) => [surface.videoWidth ?? surface.width, surface.videoHeight ?? surface.height];

  const read = (surface) => {
    const [width, height] = size(surface);
    if (width < 16 || height < 16) return undefined;
    // the strip is 32 rows of 480; take its middle, whatever the size is
    const rows = (height * 32) / 480;
    stripContext.drawImage(surface, 0, rows * 0.25, width, rows * 0.5, 0, 0, strip.width, strip.height);
    const cells = stripContext.getImageData(0, 0, strip.width, strip.height).data;
    let bits = "";
    for (let cell = 0; cell < CELLS; cell++) {
      let sum = 0;
      for (const x of [1, 2]) for (const y of [1, 2]) sum += cells[(y * strip.width + cell * 4 + x) * 4 + 1];
      bits += sum > 4 * 128 ? "1" : "0";
    }
    const value = parseInt(bits.slice(2, 26), 2);
    let check = 0;
    for (let shift = 0; shift < 24; shift += 4) check += (value >> shift) & 15;
    const stamp = bits.startsWith("10") && bits.endsWith("01") && (check & 15) === parseInt(bits.slice(26, 30), 2) ? value : undefined;
    smallContext.drawImage(surface, 0, 0, small.width, small.height);
    const data = smallContext.getImageData(0, 0, small.width, small.height).data;
    let hash = 0;
    for (let at = 0; at < data.length; at += 4) hash = (Math.imul(hash, 31) + data[at + 1]) | 0;
    return { stamp, hash };
  };

  /** Age in milliseconds of a 24-bit stamp. */
  const age = (stamp, now) => {
    const distance = (Math.floor(now) - stamp) & 0xffffff;
    return distance > 0x7fffff ? distance - 0x1000000 : distance;
  };

  window.fanlightWatch = {
    surfaces,
    read,
    age,
    now: () => performance.timeOrigin + performance.now(),
    /** Watches for `ms`, picking the largest visible surface anew at each frame; `root` narrows it down. */
    run: (ms, selector) =>
      new Promise((resolve) => {
        const result = { started: window.fanlightWatch.now(), frames: 0, pictures: [], ages: [], unreadable: 0 };
        let last;
        const look = () => {
          const now = window.fanlightWatch.now();
          result.frames += 1;
          const root = selector ? document.querySelector(selector) : document;
          const list = root ? (root.shadowRoot ? surfaces(root.shadowRoot) : surfaces(root)) : [];
          let best, area = 0;
          for (const surface of list) {
            const [width, height] = size(surface);
            if (width * height > area && surface.style.opacity !== "0") [best, area] = [surface, width * height];
          }
          const seen = best && read(best);
          if (seen) {
            const key = seen.stamp ?? `h${seen.hash}`;
            if (seen.stamp === undefined) result.unreadable += 1;
            else result.ages.push(age(seen.stamp, now));
            if (key !== last) {
              last = key;
              result.pictures.push({ at: now, stamp: seen.stamp, hash: seen.hash, age: seen.stamp === undefined ? undefined : age(seen.stamp, now) });
            }
          }
          if (now - result.started >= ms) resolve(result);
          else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
      }),
  };
}

export async function installWatch(page) {
  await page.addInitScript(install);
}

/** Watches a page for `seconds`; gives pictures a second, ages and gaps. */
export async function watch(page, seconds, selector) {
  const result = await page.evaluate(([ms, where]) => window.fanlightWatch.run(ms, where), [seconds * 1000, selector]);
  // The first picture was there before the watch began: it counts as the start, not as an arrival.
  const arrivals = result.pictures.slice(1);
  const stamps = new Set(arrivals.map((picture) => picture.stamp).filter((stamp) => stamp !== undefined));
  const times = result.pictures.map((picture) => picture.at);
  return {
    ...result,
    arrivals,
    distinct: stamps.size,
    fps: arrivals.length / seconds,
    firstSeen: summary(arrivals.map((picture) => picture.age).filter((age) => age !== undefined)),
    age: summary(result.ages),
    longestGap: Math.max(0, ...times.slice(1).map((time, at) => time - times[at])),
  };
}

/** Quantiles by nearest rank: the smallest value that at least that part of all does not exceed. */
export function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
  return { n: sorted.length, min: sorted[0], p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) };
}
