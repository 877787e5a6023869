"use strict";
// What a person does: the tour, the pixels, the plane, buttons and light. Then the page starts.

/** Bring the page into a state from which a prompt of the tour, or a learner, goes on. */
function setUp(kind, beta, layer = "points") {
  state.film = null;
  if (kind !== state.kind) setKind(kind);
  state.layer = layer;
  setBeta(beta);
  document.querySelector(`input[name=beta][value="${beta}"]`).checked = true;
  $("beta-note").innerHTML = math(BETA_NOTES[kind][beta]);
}

function showStop() {
  const { ask, see } = TOUR[state.stop];
  $("tour-count").textContent = `${state.stop + 1}/${TOUR.length}`;
  $("tour-do").innerHTML = math(ask);
  $("tour-see").innerHTML = math(see);
}

function listenToTour() {
  const go = (by) => {
    state.stop = (state.stop + by + TOUR.length) % TOUR.length;
    showStop();
  };
  $("tour-next").addEventListener("click", () => go(1));
  $("tour-back").addEventListener("click", () => go(-1));
  $("tour-run").addEventListener("click", () => {
    TOUR[state.stop].run();
    $("plane").scrollIntoView({ block: "nearest" }); // on a phone it lies below the screen
  });
}

function setPixel(cell, value) {
  state.film = null;
  showX(state.x.map((old, g) => (g === Number(cell.dataset.pixel) ? value : old)));
}

function listenToPixels() {
  const cells = Array.from({ length: 64 }, (_, g) => {
    const name = `row ${(g >> 3) + 1}, column ${(g & 7) + 1}`;
    return element("div", { role: "gridcell", "data-pixel": g, tabindex: g ? -1 : 0, "aria-label": name });
  });
  const rows = Array.from({ length: 8 }, (_, r) => element("div", { role: "row" }, ...cells.slice(8 * r, 8 * r + 8)));
  $("pixels").replaceChildren(...rows);
  let ink = null; // what the pointer draws while it is down
  $("pixels").addEventListener("pointerdown", (event) => {
    if (!event.target.dataset.pixel) return;
    event.target.releasePointerCapture(event.pointerId);
    ink = 1 - state.x[event.target.dataset.pixel];
    setPixel(event.target, ink);
  });
  $("pixels").addEventListener("pointermove", (event) => {
    const cell = document.elementFromPoint(event.clientX, event.clientY);
    if (ink !== null && cell?.dataset.pixel && state.x[cell.dataset.pixel] !== ink) setPixel(cell, ink);
  });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => (ink = null));
  $("pixels").addEventListener("keydown", (event) => {
    const g = Number(event.target.dataset.pixel);
    const [row, column] = [g >> 3, g & 7];
    const moves = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
    };
    if (event.key === " ") setPixel(event.target, 1 - state.x[g]);
    else if (!moves[event.key]) return;
    event.preventDefault();
    const [toRow, toColumn] = moves[event.key] ?? [row, column];
    if (Math.min(toRow, toColumn) < 0 || Math.max(toRow, toColumn) > 7) return;
    cells[g].tabIndex = -1;
    cells[8 * toRow + toColumn].tabIndex = 0;
    cells[8 * toRow + toColumn].focus();
  });
}

function listenToPlane() {
  const move = (event) => {
    const box = $("plane").getBoundingClientRect();
    setZ([toZ((event.clientX - box.left) / box.width), -toZ((event.clientY - box.top) / box.height)]);
  };
  let dragging = false;
  $("plane").addEventListener("pointerdown", (event) => {
    state.film = null;
    dragging = event.target === $("z") || event.pointerType !== "touch"; // a finger on the plane may want to scroll
    if (dragging) $("plane").setPointerCapture(event.pointerId);
  });
  $("plane").addEventListener("pointermove", (event) => dragging && move(event));
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => (dragging = false));
  $("plane").addEventListener("click", (event) => {
    if (event.target !== $("z")) move(event);
    $("z").focus({ preventScroll: true });
  });
  $("z").addEventListener("keydown", (event) => {
    const step = plane.reach / (event.shiftKey ? 10 : 50);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (!moves[event.key]) return;
    event.preventDefault();
    state.film = null;
    setZ(state.z.map((value, j) => value + moves[event.key][j]));
  });
}

function listenToButtons() {
  $("draw-one").addEventListener("click", () => draw(1));
  $("draw-many").addEventListener("click", () => draw(30));
  $("to-mean").addEventListener("click", release);
  $("clear").addEventListener("click", () => setInput(new Float64Array(64)));
  const again = () => pick(state.index === null ? 0 : data().labels[state.index]);
  for (const id of ["another-digit", "another-cell"]) $(id).addEventListener("click", again);
  $("cell-type").addEventListener("change", (event) => pick(Number(event.target.value)));
  for (let digit = 0; digit < 10; digit++) {
    const button = element("button", { type: "button", "aria-pressed": false }, String(digit));
    button.addEventListener("click", () => pick(digit));
    $("digit-buttons").append(button);
  }
  for (const radio of document.querySelectorAll("input[name=kind]")) {
    radio.addEventListener("change", () => setUp(radio.value, 1));
  }
  for (const radio of document.querySelectorAll("input[name=layer]")) {
    radio.addEventListener("change", () => {
      state.layer = radio.value;
      showLayer();
      showOutput();
    });
  }
}

/** Light or dark as the system says, until the button says otherwise. Canvases are painted anew in the new colours. */
function listenToTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const repaint = () => {
    $("theme").textContent = isDark() ? "Light" : "Dark";
    showLayer();
    showOutput();
  };
  $("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    repaint();
  });
  system.addEventListener("change", repaint);
  repaint();
}

/** Compare with PyTorch's numbers, and say how well they agree. */
function showAgreement() {
  const exponent = Math.ceil(Math.log10(disagreement(data())));
  $("agreement").innerHTML =
    `For the same inputs this page and PyTorch agree to 10<sup>${String(exponent).replace("-", "−")}</sup>.`;
}

buildPlane();
listenToPixels();
listenToPlane();
listenToButtons();
listenToTour();
setKind("digits");
setUp("digits", 1);
listenToTheme();
showStop();
$("about").textContent = ABOUT;
$("home").href = IN_REPOSITORY ? EXPLORER_DATA.code.address : "../index.html";

/** For tests, and for the browser's console. */
const explorer = {
  state,
  data,
  numbers,
  setUp,
  setZ,
  disagreement: () => disagreement(data()),
  current: () => current,
};
