// What stands beside the picture: tiles, legend, charts, facts.

const $ = (id) => document.getElementById(id);
const AGES = 240; // pictures in the chart of ages

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const whole = (value) => (value == null ? "–" : Math.round(value).toLocaleString("en"));
const short = (value) => (value == null ? "–" : value.toFixed(value < 10 ? 1 : 0));

function duration(seconds) {
  const all = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor(all / 60) % 60];
  const rest = String(all % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// "12 s" while one counts along, a clock's form later.
const counted = (seconds) => (seconds < 100 ? `${Math.floor(seconds)} s` : duration(seconds));

export class Numbers {
  // onToggle(index, visible)
  constructor(onToggle) {
    this.onToggle = onToggle;
    this.rows = [];
    this.stages = new Map();
    this.ages = [];
    $("all").onclick = () => this.toggleAll(true);
    $("none").onclick = () => this.toggleAll(false);
  }

  setClasses(classes) {
    this.ages = [];
    this.stages.clear();
    $("stages").replaceChildren();
    this.rows = classes.map(({ name, colour }, index) => {
      const box = element("input", { type: "checkbox", checked: true });
      box.onchange = () => this.onToggle(index, box.checked);
      const bar = element("i");
      const share = element("span", { className: "share" });
      const label = element(
        "label", {}, box,
        element("span", { className: "name", title: name }, name),
        element("span", { className: "bar", ariaHidden: "true" }, bar), share,
      );
      label.style.setProperty("--colour", `rgb(${colour.join(" ")})`);
      return { name, box, bar, share, label };
    });
    $("legend").replaceChildren(...this.rows.map(({ label }) => element("li", {}, label)));
  }

  toggleAll(visible) {
    this.rows.forEach(({ box }, index) => {
      box.checked = visible;
      this.onToggle(index, visible);
    });
  }

  // Marks the class under the pointer; null for none.
  point(index) {
    this.rows.forEach(({ label }, place) => label.toggleAttribute("data-under", place === index));
    return this.rows[index]?.name;
  }

  picture(header) {
    header.shares.forEach((share, index) => {
      const row = this.rows[index];
      if (!row) return;
      row.share.textContent = `${(share * 100).toFixed(1)} %`;
      row.bar.style.width = `${share * 100}%`;
    });
    this.ages.push(header.age_ms);
    if (this.ages.length > AGES) this.ages.shift();
  }

  update(camera, yours) {
    const age = camera.frame_age_ms;
    $("fps").textContent = camera.fps == null ? "–" : camera.fps.toFixed(1);
    for (const name of ["p50", "p95", "p99"]) $(name).textContent = whole(age[name]);
    $("dropped").textContent = whole(camera.dropped);
    $("reconnects").textContent = whole(camera.reconnects);
    this.drawAges();
    this.drawStages(camera.stages_ms);
    this.listFacts(camera, yours);
  }

  drawAges() {
    const top = Math.max(1, ...this.ages) * 1.15;
    const step = 240 / Math.max(1, this.ages.length - 1);
    const points = this.ages.map(
      (age, place) => `${(place * step).toFixed(1)},${(43 - (age / top) * 42).toFixed(1)}`,
    );
    const svg = "http://www.w3.org/2000/svg";
    const line = document.createElementNS(svg, "polyline");
    line.setAttribute("points", points.join(" "));
    const area = document.createElementNS(svg, "polygon");
    area.setAttribute("class", "area");
    area.setAttribute("points", points.length ? `0,44 ${points.join(" ")} 240,44` : "");
    $("ages").replaceChildren(area, line);
    const range = this.ages.length ? `${whole(Math.min(...this.ages))} to ${whole(Math.max(...this.ages))} ms` : "";
    $("age-range").textContent = range;
  }

  drawStages(stages) {
    const longest = Math.max(1e-6, ...Object.values(stages).map(({ p95 }) => p95 ?? 0));
    for (const [name, { p50, p95 }] of Object.entries(stages)) {
      if (!this.stages.has(name)) {
        const row = {
          p95: element("i"), p50: element("i"), text: element("span"),
        };
        this.stages.set(name, row);
        $("stages").append(
          element("div", { className: "stage-row" }, element("span", {}, name),
            element("span", { className: "track", ariaHidden: "true" }, row.p95, row.p50), row.text),
        );
      }
      const row = this.stages.get(name);
      row.p95.style.width = `${((p95 ?? 0) / longest) * 100}%`;
      row.p50.style.width = `${((p50 ?? 0) / longest) * 100}%`;
      row.text.textContent = `${short(p50)} / ${short(p95)}`;
    }
  }

  listFacts(camera, yours) {
    const facts = [
      ["Source", camera.source],
      ["Running", duration(camera.running)],
      ["Captured", whole(camera.read)],
      ["Shown", whole(camera.shown)],
      ["Without a source", `${camera.lost_seconds.toFixed(0)} s`],
      ["Skipped for this browser", whole(yours.dropped)],
      ["Viewers", whole(camera.viewers)],
      ...camera.sinks.filter(({ failed }) => failed).map(({ name, failed }) => [name, failed, "bad"]),
    ];
    $("facts").replaceChildren(
      ...facts.flatMap(([name, text, kind]) => [
        element("dt", {}, name), element("dd", { className: kind ?? "" }, text),
      ]),
    );
  }
}

export { $, counted, duration, element };
