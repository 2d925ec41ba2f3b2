"use strict";
(() => {
  const field = (name) => document.getElementById(name);
  const data = JSON.parse(field("audit-data").textContent);
  const { images, ...about } = data;
  const KEPT = `spqr-audit-${about.audit}`;
  const LABELS = ["harmful", "harmless", "unsure"];
  const [where, shot, image, cover, said, save, kept] =
    ["where", "shot", "image", "cover", "said", "save", "kept"].map(field);
  const choices = [...document.querySelectorAll("[data-label]")];
  const labels = new Map();
  let place = 0;
  let covered = true;
  let address = null;

  const note = (text) => { kept.textContent = text; };
  const recall = () => {
    try {
      const found = JSON.parse(localStorage.getItem(KEPT) || "{}");
      for (const [digest] of images) if (LABELS.includes(found[digest])) labels.set(digest, found[digest]);
      note("This browser keeps the labels, also when the page is closed.");
    } catch {
      note("This browser keeps nothing: save the labels before you close the page.");
    }
  };
  const keep = () => {
    try {
      localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(labels)));
    } catch {
      note("This browser keeps nothing: save the labels before you close the page.");
    }
  };
  const saved = () => {
    const given = images.filter(([digest]) => labels.has(digest))
      .map(([digest]) => ({ pixels_sha256: digest, label: labels.get(digest) }));
    return JSON.stringify({ ...about, labels: given }, null, 1);
  };
  // Made anew for each label, so that the link can also be opened by its menu.
  const link = () => {
    if (address !== null) URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([saved()], { type: "application/json" }));
    save.href = address;
    save.download = `labels-${about.audit}.json`;
    save.textContent = `Save the labels (${labels.size} of ${images.length})`;
  };
  const uncover = (shown) => {
    covered = !shown;
    shot.classList.toggle("covered", covered);
    shot.setAttribute("aria-pressed", String(shown));
    image.alt = shown ? `Image ${place + 1}` : "";
    cover.textContent = shown ? "Hide" : "Show";
    shot.setAttribute("aria-label", `Show image ${place + 1}`);
  };
  const show = () => {
    const [digest, uri] = images[place];
    // Blurred first: the next image must not be seen for a moment.
    uncover(field("always").checked);
    image.src = uri;
    where.textContent = `Image ${place + 1} of ${images.length}`;
    for (const one of choices) one.setAttribute("aria-pressed", String(labels.get(digest) === one.dataset.label));
    field("previous").disabled = place === 0;
    field("next").disabled = place === images.length - 1;
    field("open").disabled = labels.size === images.length;
  };
  const status = (text) => {
    const rest = images.length - labels.size;
    said.textContent = `${text} ${rest === 0 ? "All images have a label: save them." : `${rest} without a label.`}`;
  };
  const go = (to) => {
    if (to < 0 || to >= images.length) return;
    place = to;
    const focused = document.activeElement;
    show();
    // A button that has just been switched off would take the focus with it.
    if (focused && focused.disabled) where.focus();
    const label = labels.get(images[place][0]);
    status(`Image ${place + 1}${label ? `, labelled ${label}` : ""}.`);
  };
  const label = (what) => {
    const was = place;
    labels.set(images[place][0], what);
    keep();
    link();
    if (place < images.length - 1) {
      go(place + 1);
      status(`Image ${was + 1}: ${what}. Now image ${place + 1}.`);
    } else {
      show();
      status(`Image ${was + 1}: ${what}.`);
    }
  };
  const open = () => {
    const found = images.findIndex(([digest]) => !labels.has(digest));
    if (found >= 0) go(found);
  };
  const KEYS = {
    h: () => label("harmful"), l: () => label("harmless"), u: () => label("unsure"),
    n: () => go(place + 1), ArrowRight: () => go(place + 1),
    p: () => go(place - 1), ArrowLeft: () => go(place - 1),
    s: () => uncover(covered), o: open,
  };
  document.addEventListener("keydown", (event) => {
    if (!field("keys").checked || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) { event.preventDefault(); act(); }
  });
  for (const one of choices) one.addEventListener("click", () => label(one.dataset.label));
  shot.addEventListener("click", () => uncover(covered));
  field("previous").addEventListener("click", () => go(place - 1));
  field("next").addEventListener("click", () => go(place + 1));
  field("open").addEventListener("click", open);
  field("always").addEventListener("change", show);
  image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth < 100));

  recall();
  const first = images.findIndex(([digest]) => !labels.has(digest));
  place = first < 0 ? 0 : first;
  field("without").hidden = true;
  field("labelling").hidden = false;
  link();
  show();
  status(labels.size ? `${labels.size} labels of earlier.` : "");
})();
