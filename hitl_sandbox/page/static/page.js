// Updates the page, counts down to timeouts, and submits forms without a reload.
"use strict";

const loaded = { real: Date.now() / 1000, now: 0, speed: 1 };

function readClock(body) {
  loaded.real = Date.now() / 1000;
  loaded.now = Number(body.dataset.now);
  loaded.speed = Number(body.dataset.speed);
}

const now = () => loaded.now + (Date.now() / 1000 - loaded.real) * loaded.speed;

function span(seconds) {
  if (seconds <= 0) return "now";
  const [d, h, m, s] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return `${m}:${String(s).padStart(2, "0")}`;
}

function tick() {
  for (const time of document.querySelectorAll("[data-until]")) {
    const left = Number(time.dataset.until) - now();
    time.textContent = time.closest(".card") ? `${span(left)} left` : `in ${span(left)}`;
    time.classList.toggle("soon", left < 300);
  }
  for (const time of document.querySelectorAll("time.running")) time.dataset.at = now();
  for (const time of document.querySelectorAll("[data-at]")) {
    const second = time.classList.contains("seconds") ? "2-digit" : undefined;
    const form = { hour: "2-digit", minute: "2-digit", second };
    time.textContent = new Date(Number(time.dataset.at) * 1000).toLocaleTimeString([], form);
  }
}

// Colours come from the request; the content security policy forbids style attributes.
function paint(root) {
  for (const tile of root.querySelectorAll("[data-color]")) tile.style.setProperty("--tile", tile.dataset.color);
}

// Inserts new and changed children and leaves the others, with the text typed in them, in place.
function sync(region, update) {
  const children = new Map([...region.children].map((child) => [child.dataset.key, child]));
  const target = [...update.children].map((child) => {
    const old = children.get(child.dataset.key);
    if (old && old.dataset.version === child.dataset.version) return old;
    const drawn = document.importNode(child, true);
    if (old && old.open) drawn.open = true;
    if (!old) drawn.classList.add("fresh");
    return drawn;
  });
  for (const child of [...region.children]) if (!target.includes(child)) child.remove();
  let position = region.firstElementChild;
  for (const child of target) {
    if (child === position) position = position.nextElementSibling;
    else region.insertBefore(child, position);
  }
}

async function refresh() {
  const reply = await fetch("/", { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  readClock(page.body);
  for (const region of document.querySelectorAll("[data-live]"))
    sync(region, page.querySelector(`[data-live="${region.dataset.live}"]`));
  const total = page.querySelector(".total").textContent;
  document.querySelector(".total").textContent = total;
  document.title = total === "0" ? "HITL.sh sandbox" : `(${total}) HITL.sh sandbox`;
  paint(document);
  tick();
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

let current = Promise.resolve();
let next = null;

// Runs one refresh at a time, with a pause between two. The promise resolves after a refresh that starts after the
// call, so that it shows the caller's own change.
function update() {
  next ??= current.then(() => {
    next = null;
    const refreshed = refresh().catch(() => {});
    current = refreshed.then(() => pause(150));
    return refreshed;
  });
  return next;
}

function announce(text) {
  document.querySelector(".announcement").textContent = text;
}

// Moves the focus to the next card when a card is removed.
function focusNext(index) {
  const cards = document.querySelectorAll(".queue .card");
  const next = cards[Math.min(index, cards.length - 1)];
  const target = next ? next.querySelector("form input, form textarea") : document.querySelector("#queue-title");
  target.focus({ preventScroll: !next });
}

async function send(event) {
  const form = event.target;
  event.preventDefault();
  const button = event.submitter;
  const card = form.closest(".card");
  const index = card ? [...card.parentElement.children].indexOf(card) : 0;
  const body = new URLSearchParams(new FormData(form, button));
  if (button) button.disabled = true;
  const target = (button && button.getAttribute("formaction")) || form.getAttribute("action");
  try {
    const reply = await fetch(target, { method: "POST", body, headers: { Accept: "application/json" } });
    const { problem } = await reply.json();
    report(form, problem);
    if (problem) return;
    await update();
    if (card && !card.isConnected) {
      announce(`Done. ${document.querySelector(".total").textContent} open.`);
      focusNext(index);
    }
  } catch {
    report(form, "The sandbox does not answer. Check that it is running.");
  } finally {
    if (button) button.disabled = false;
  }
}

function report(form, problem) {
  const output = form.querySelector(".problem");
  if (!output) return announce(problem || "");
  output.textContent = problem || "";
  output.hidden = !problem;
}

function updateLabel(event) {
  const field = event.target;
  const label = field.labels && field.labels[0];
  const count = label && label.querySelector(".count");
  if (count) count.textContent = field.value.length;
  const reading = label && label.querySelector(".reading");
  if (reading) reading.textContent = field.value;
}

function listen() {
  const stream = new EventSource("/sandbox/live");
  const indicator = document.querySelector(".live");
  stream.onmessage = () => update();
  stream.onopen = () => Object.assign(indicator, { textContent: "live", className: "live" });
  stream.onerror = () => Object.assign(indicator, { textContent: "reconnecting", className: "live lost" });
}

readClock(document.body);
paint(document);
tick();
setInterval(tick, 1000);
document.addEventListener("submit", send);
document.addEventListener("input", updateLabel);
listen();
