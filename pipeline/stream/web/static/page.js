// The page: tabs, modes, buttons and keys, and what is said about a camera that shows nothing new.

import { Connection } from "./connection.js";
import { $, Numbers, counted, duration, element } from "./numbers.js";
import { Picture } from "./picture.js";
import { Recorder, saveSnapshot } from "./save.js";

const STATES = {
  starting: "Starting", live: "Live", stalled: "Stalled", lost: "Camera lost", ended: "Ended",
  away: "No server",
};

const IDLE = 3000; // ms after which the buttons of the full screen fade

const picture = new Picture($("picture"));
const numbers = new Numbers((index, visible) => picture.show(index, visible));
const recorder = new Recorder($("picture"), showRecording);
const connection = new Connection({
  picture: async (data) => numbers.picture(await picture.take(data)),
  words: hear,
  away: (text) => say("away", text),
  here: () => { if (state.name === "away") say("starting"); },
  neededWhileHidden: () => recorder.running,
});

// What the banner says: a state, since when (of performance.now()), and words for "away".
const state = { name: "starting", since: performance.now(), text: "" };
let watched = Number(new URLSearchParams(location.hash.slice(1)).get("camera")) || 1;
let classes = "";

function hear({ hello, cameras, camera, yours }) {
  if (hello) {
    // A server that came back has the same classes; what was switched off stays so.
    const now = JSON.stringify(hello);
    if (now !== classes) {
      classes = now;
      picture.clear();
      picture.setClasses(hello.classes.map(({ colour }) => colour));
      numbers.setClasses(hello.classes);
    }
    return;
  }
  showTabs(cameras);
  numbers.update(camera, yours);
  $("picture").setAttribute("aria-label", `Live picture of ${camera.source}`);
  say(camera.state, camera.reason, camera.since);
}

function say(name, text = "", seconds = 0) {
  state.name = name;
  state.text = text;
  state.since = performance.now() - seconds * 1000;
  $("state").textContent = STATES[name];
  $("state").dataset.state = name;
  $("frame").toggleAttribute("data-stale", !["live", "starting"].includes(name));
  showBanner();
}

function showBanner() {
  const seconds = Math.floor((performance.now() - state.since) / 1000);
  const text = {
    live: "",
    starting: "Waiting for the first picture",
    stalled: `No new picture for ${counted(seconds)}: the picture is old`,
    lost: `Camera lost ${counted(seconds)} ago, connecting again: the picture is old`,
    ended: `${state.text.charAt(0).toUpperCase()}${state.text.slice(1)}: this is the last picture`,
    away: state.text,
  }[state.name];
  const banner = $("banner");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
  banner.toggleAttribute("data-quiet", ["starting", "ended"].includes(state.name));
}

function showTabs(cameras) {
  const wanted = JSON.stringify([cameras, watched]);
  if (wanted === showTabs.shown) return;
  showTabs.shown = wanted;
  const focused = $("tabs").contains(document.activeElement);
  const names = shortNames(cameras.map(({ source }) => source));
  $("tabs").replaceChildren(
    ...cameras.map(({ number, source, state: health }, place) => {
      const light = element("i", { "data-state": health, ariaHidden: "true" });
      const tab = element(
        "button",
        { type: "button", role: "tab", title: `${source}: ${STATES[health]}` },
        light, element("span", {}, names[place]),
      );
      tab.setAttribute("aria-selected", String(number === watched));
      tab.setAttribute("aria-controls", "panel");
      tab.setAttribute("aria-label", `${source}, ${STATES[health]}`);
      tab.tabIndex = number === watched ? 0 : -1;
      tab.dataset.camera = number;
      tab.onclick = () => watch(number);
      return tab;
    }),
  );
  if (focused) $("tabs").querySelector("[aria-selected=true]")?.focus();
}

// Files without their folders, as many of them as tell the files apart; addresses without a scheme.
function shortNames(sources) {
  const paths = sources.map((source) =>
    (source.includes("://") ? [source.split("://")[1]] : source.split("/")));
  const end = (path, parts) => path.slice(-parts).join("/");
  return paths.map((path, place) => {
    let parts = 1;
    while (parts < path.length && paths.some((other, at) => at !== place && end(other, parts) === end(path, parts))) {
      parts += 1;
    }
    return end(path, parts);
  });
}

function watch(number) {
  if (recorder.running) recorder.toggle();
  watched = number;
  classes = "";
  history.replaceState(null, "", `#camera=${number}`);
  picture.clear();
  say("starting");
  connection.watch(number);
}

// Arrow keys move within a group of which one is chosen.
function moveWith(event, group, choose) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...group.querySelectorAll("button")];
  const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  next.focus();
  choose(next);
}

function setMode(mode) {
  picture.mode = mode;
  $("picture").toggleAttribute("data-both", mode === "both");
  for (const button of $("modes").children) {
    button.setAttribute("aria-checked", String(button.dataset.mode === mode));
    button.tabIndex = button.dataset.mode === mode ? 0 : -1;
  }
  $("opacity").disabled = mode !== "overlay";
  picture.redraw();
  remember("mode", mode);
}

function setOpacity(percent) {
  picture.opacity = percent / 100;
  $("opacity").value = percent;
  $("opacity-value").textContent = `${percent} %`;
  picture.redraw();
  remember("opacity", percent);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function toggleTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(theme);
  remember("theme", theme);
}

// Some browsers refuse storage; the page works without.
function remember(name, value) {
  try { localStorage.setItem(`roadseg-${name}`, value); } catch { /* as it is */ }
}

function remembered(name) {
  try { return localStorage.getItem(`roadseg-${name}`); } catch { return null; }
}

function showRecording(running) {
  $("record").setAttribute("aria-pressed", String(running));
  $("record").querySelector("span").textContent = running ? "Stop" : "Record";
  $("recording").hidden = !running;
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("stage").requestFullscreen?.();
}

function setPanel(shown) {
  document.body.toggleAttribute("data-wide", !shown);
  $("panel-switch").setAttribute("aria-pressed", String(shown));
  remember("numbers", shown ? "shown" : "hidden");
}

// In full screen the buttons lie over the picture, while somebody moves or types.
function stayAwake() {
  $("stage").removeAttribute("data-idle");
  clearTimeout(stayAwake.timer);
  stayAwake.timer = setTimeout(() => $("stage").toggleAttribute("data-idle", true), IDLE);
}

function togglePanel() {
  setPanel(document.body.hasAttribute("data-wide"));
}

function showKeys() {
  if ($("keys").open) $("keys").close();
  else $("keys").showModal();
}

function pointAt(event) {
  const canvas = $("picture");
  const box = canvas.getBoundingClientRect();
  // The picture keeps its shape inside the canvas's box.
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const left = box.left + (box.width - canvas.width * scale) / 2;
  const top = box.top + (box.height - canvas.height * scale) / 2;
  const index = picture.classAt(
    (event.clientX - left) / (canvas.width * scale), (event.clientY - top) / (canvas.height * scale),
  );
  const name = numbers.point(index);
  $("under").textContent = name ?? "";
  $("under").hidden = !name;
}

function start() {
  const light = matchMedia("(prefers-color-scheme: light)");
  const byItself = () => { if (!remembered("theme")) setTheme(light.matches ? "light" : "dark"); };
  setTheme(remembered("theme") ?? "dark");
  byItself();
  light.addEventListener("change", byItself);

  const modes = ["overlay", "mask", "camera", "both"];
  setMode(modes.includes(remembered("mode")) ? remembered("mode") : "overlay");
  setOpacity(Number(remembered("opacity") ?? 55));
  $("modes").onclick = ({ target }) => target.dataset.mode && setMode(target.dataset.mode);
  $("modes").onkeydown = (event) => moveWith(event, $("modes"), ({ dataset }) => setMode(dataset.mode));
  $("tabs").onkeydown = (event) => moveWith(event, $("tabs"), ({ dataset }) => watch(Number(dataset.camera)));
  $("opacity").oninput = ({ target }) => setOpacity(Number(target.value));
  setPanel(remembered("numbers") !== "hidden");
  $("panel-switch").onclick = togglePanel;
  $("help").onclick = showKeys;
  $("theme").onclick = toggleTheme;
  $("snapshot").onclick = () => saveSnapshot($("picture"));
  $("record").onclick = () => recorder.toggle();
  $("record").hidden = !recorder.possible;
  $("full").onclick = toggleFull;
  $("full").hidden = !document.fullscreenEnabled;
  $("picture").onpointermove = pointAt;
  $("picture").onpointerleave = () => { $("under").hidden = true; numbers.point(null); };

  const keys = {
    1: () => setMode("overlay"), 2: () => setMode("mask"), 3: () => setMode("camera"),
    4: () => setMode("both"), t: toggleTheme, s: () => $("snapshot").click(),
    r: () => $("record").click(), f: toggleFull, n: togglePanel, "?": showKeys,
  };
  document.addEventListener("keydown", (event) => {
    stayAwake();
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if ($("keys").open && event.key !== "?") return;
    keys[event.key.toLowerCase()]?.();
  });
  $("stage").addEventListener("pointermove", stayAwake);
  $("stage").addEventListener("pointerdown", stayAwake);
  document.addEventListener("fullscreenchange", stayAwake);
  new ResizeObserver(() => picture.redraw()).observe($("frame"));
  setInterval(() => {
    showBanner();
    if (recorder.running) $("recorded").textContent = duration(recorder.seconds);
  }, 250);
  connection.watch(watched);
}

start();
