// What a person does: the tour, the pixels, the plane, the networks, buttons and light. Then the page starts.

/** Bring the page into a state from which a prompt of the tour, or a learner, goes on. */
function setUp(set, index = null, layer = state.layer) {
  state.film = null;
  if (set !== state.set) setData(set);
  state.layer = layer;
  setModel(index ?? state.model);
}

function showStop() {
  const { ask, see } = TOUR[state.stop];
  $("tour-count").textContent = `${state.stop + 1}/${TOUR.length}`;
  $("tour-do").innerHTML = math(ask);
  $("tour-see").innerHTML = math(see);
}

function listenToTour() {
  $("tour").hidden = false;
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
  showStop();
}

function setPixel(cell, value) {
  state.film = null;
  setDrawing(state.drawing.map((old, g) => (g === Number(cell.dataset.pixel) ? value : old)));
}

function listenToPixels() {
  const cells = range(64).map((g) => {
    const name = `row ${(g >> 3) + 1}, column ${(g & 7) + 1}`;
    return element("div", { role: "gridcell", "data-pixel": g, tabindex: g ? -1 : 0, "aria-label": name });
  });
  const rows = range(8).map((r) => element("div", { role: "row" }, ...cells.slice(8 * r, 8 * r + 8)));
  $("pixels").replaceChildren(...rows);
  let ink = null; // what the pointer draws while it is down
  $("pixels").addEventListener("pointerdown", (event) => {
    if (!event.target.dataset.pixel) return;
    event.target.releasePointerCapture(event.pointerId);
    ink = 1 - state.drawing[event.target.dataset.pixel];
    setPixel(event.target, ink);
  });
  $("pixels").addEventListener("pointermove", (event) => {
    const cell = document.elementFromPoint(event.clientX, event.clientY);
    if (ink !== null && cell?.dataset.pixel && state.drawing[cell.dataset.pixel] !== ink) setPixel(cell, ink);
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
    if (event.key === " ") setPixel(event.target, 1 - state.drawing[g]);
    else if (!moves[event.key]) return;
    event.preventDefault();
    const [toRow, toColumn] = moves[event.key] ?? [row, column];
    if (Math.min(toRow, toColumn) < 0 || Math.max(toRow, toColumn) > 7) return;
    cells[g].tabIndex = -1;
    cells[8 * toRow + toColumn].tabIndex = 0;
    cells[8 * toRow + toColumn].focus();
  });
}

/** z is dragged; a click elsewhere takes the nearest input; a mouse that only passes shows what would be decoded. */
function listenToPlane() {
  const at = (event) => {
    const box = $("plane").getBoundingClientRect();
    return [toZ((event.clientX - box.left) / box.width), -toZ((event.clientY - box.top) / box.height)];
  };
  let isDragging = false;
  $("z").addEventListener("pointerdown", (event) => {
    state.film = null;
    isDragging = true;
    preview(null);
    $("z").setPointerCapture(event.pointerId);
  });
  $("plane").addEventListener("pointermove", (event) => {
    if (isDragging) setZ(at(event));
    else if (event.pointerType !== "touch" && event.buttons === 0) preview(event.target === $("z") ? null : at(event));
  });
  $("plane").addEventListener("pointerleave", () => preview(null));
  for (const end of ["pointerup", "pointercancel"]) $("z").addEventListener(end, () => (isDragging = false));
  $("plane").addEventListener("click", (event) => {
    if (event.target !== $("z")) {
      preview(null);
      pickNearest(at(event));
    }
    $("z").focus({ preventScroll: true });
  });
  $("z").addEventListener("keydown", (event) => {
    if (event.key === "Enter") return pickNearest(state.z);
    const step = plane.reach / (event.shiftKey ? 10 : 50);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (!moves[event.key]) return;
    event.preventDefault();
    state.film = null;
    setZ(state.z.map((value, j) => value + moves[event.key][j]));
  });
}

/** Encoder and decoder open and close; pointer or arrow keys choose a hidden unit. */
function listenToNetworks() {
  for (const network of ["encoder", "decoder"]) {
    const [box, button] = [$(`${network}-units`), document.querySelector(`#${network} button`)];
    const bars = box.querySelector(".bars");
    const choose = (unit) => {
      box.unit = unit === null ? null : clamp(unit, 0, box.count - 1);
      showUnits();
    };
    button.addEventListener("click", () => {
      box.hidden = !box.hidden;
      $(network).classList.toggle("open", !box.hidden);
      button.setAttribute("aria-expanded", !box.hidden);
      button.textContent = box.hidden ? "Open" : "Close";
      choose(null);
    });
    bars.addEventListener("pointermove", (event) => {
      const frame = bars.getBoundingClientRect();
      const column = Math.floor(((event.clientX - frame.left) / frame.width) * box.columns);
      const row = Math.floor(((event.clientY - frame.top) / frame.height) * box.down);
      choose(clamp(column, 0, box.columns - 1) * box.down + clamp(row, 0, box.down - 1));
    });
    bars.addEventListener("pointerleave", () => choose(null));
    bars.addEventListener("focus", () => bars.matches(":focus-visible") && choose(0));
    bars.addEventListener("blur", () => choose(null));
    bars.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -box.down, ArrowRight: box.down }[event.key];
      if (!by) return;
      event.preventDefault();
      choose((box.unit ?? 0) + by);
    });
  }
}

function listenToButtons() {
  $("draw-one").addEventListener("click", () => draw(1));
  $("draw-many").addEventListener("click", () => draw(30));
  $("to-mean").addEventListener("click", release);
  $("clear").addEventListener("click", () => {
    state.film = null;
    state.held = false;
    setDrawing(new Float64Array(64));
  });
  const again = () => pick(state.index === null ? 0 : data().labels[state.index]);
  for (const id of ["another-digit", "another-cell"]) $(id).addEventListener("click", again);
  $("cell-type").addEventListener("change", (event) => pick(Number(event.target.value)));
  for (const digit of range(10)) {
    const button = element("button", { type: "button", "aria-pressed": false }, String(digit));
    button.addEventListener("click", () => pick(digit));
    $("digit-buttons").append(button);
  }
  for (const radio of document.querySelectorAll("input[name=layer]")) {
    radio.addEventListener("change", () => {
      state.layer = radio.value;
      showLayer();
      showOutput();
      announce();
    });
  }
}

/**
 * Light or dark as the course's pages are, which keep the reader's choice as "mode"; else as the system says. In a
 * frame as what surrounds it. Canvases are painted anew in the new colours.
 */
function listenToTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const adopt = (mode) => {
    if (mode === "light" || mode === "dark") root.dataset.theme = mode;
    else delete root.dataset.theme;
  };
  const name = () => ($("theme").textContent = isDark() ? "Light" : "Dark");
  const repaint = () => {
    name();
    showInput();
    showLayer();
    showOutput();
  };
  if (isFramed) followTheme();
  else adopt(kept("mode"));
  $("theme").addEventListener("click", () => {
    adopt(isDark() ? "light" : "dark");
    for (const key of ["mode", "theme"]) keep(key, root.dataset.theme);
  });
  addEventListener("storage", ({ key, newValue }) => !isFramed && key === "mode" && adopt(newValue));
  system.addEventListener("change", repaint);
  new MutationObserver(repaint).observe(root, { attributeFilter: ["data-theme"] });
  name();
}

/** What the browser keeps for the course's pages, where it does. */
function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    if (!isFramed) localStorage.setItem(name, value);
  } catch {
    // the choice holds until the page is closed
  }
}

/** Compare with PyTorch's numbers, and say how well they agree. */
function showAgreement() {
  const exponent = Math.ceil(Math.log10(disagreement(data())));
  $("agreement").innerHTML =
    `For the same inputs this page and PyTorch agree to 10<sup>${String(exponent).replace("-", "−")}</sup>.`;
}

buildPlane();
buildUnits();
buildChoice(
  $("kinds"),
  "kind",
  DATA.sets.map(({ name }) => name),
  (set) => setUp(set),
);
listenToPixels();
listenToPlane();
listenToNetworks();
listenToButtons();
listenToTheme();
readAddress();
if (DATA.isCourse) listenToTour();
$("lead").innerHTML = math(lead());
$("about").textContent = about();
$("home").href = DATA.home;
document.documentElement.classList.toggle("framed", isFramed);
addEventListener("hashchange", readAddress);
new ResizeObserver(fitFrame).observe(document.documentElement);

/** What a generator returns in the end. */
function finished(steps) {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** For tests, and for the browser's console. */
window.explorer = {
  state,
  plane,
  data,
  means,
  numbers,
  setUp,
  setZ,
  pick,
  middleOf,
  labelOf,
  toZ,
  asDigit,
  integrate: (...given) => finished(integrate(...given)),
  meanLogLikelihood: (...given) => finished(meanLogLikelihood(...given)),
  disagreement: () => disagreement(data()),
  current: () => current,
};
