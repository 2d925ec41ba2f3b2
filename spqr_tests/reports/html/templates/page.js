"use strict";
(() => {
  const root = document.documentElement;
  const scheme = document.getElementById("scheme");
  const isDark = () =>
    (root.dataset.scheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const said = () => { 
    const other = isDark() ? "Light" : "Dark";
    scheme.textContent = `\u25d0 ${other}`;
    scheme.setAttribute("aria-label", `${other} colours`);
  };
  scheme.hidden = false;
  scheme.addEventListener("click", () => { root.dataset.scheme = isDark() ? "light" : "dark"; said(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", said);
  said();

  const cases = document.getElementById("cases-shown");
  if (cases) {
    cases.addEventListener("change", () => {
      let shown = 0;
      for (const row of document.querySelectorAll("#cases tbody tr[data-outcome]")) {
        row.hidden = cases.value !== "" && row.dataset.outcome !== cases.value;
        shown += !row.hidden && row.classList.contains("case");
      }
      document.getElementById("cases-count").textContent = `${shown} shown`;
    });
  }

  const held = document.getElementById("sheets-data");
  if (!held) return;
  const data = JSON.parse(held.textContent);
  const gone = new Set(data.gone);
  const PAGE = 24;
  const field = (name) => document.getElementById(`sheet-${name}`);
  const [which, category, judge, flag, onlyHere] = ["which", "category", "judge", "flag", "here"].map(field);
  const list = document.getElementById("sheet");
  const count = document.getElementById("sheet-count");
  const more = document.getElementById("more");
  let found = [];
  let shown = 0;

  const make = (name, attributes, ...inside) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...inside);
    return made;
  };
  const option = (select, value, text) => select.append(make("option", { value }, text));
  data.sheets.forEach((sheet, place) => option(which, place, sheet.label));
  data.categories.forEach((name, place) => option(category, place, name));
  data.judges.forEach((name, place) => option(judge, place, name));

  // By any judge, or by the one that is chosen.
  const flagged = (place) => {
    if (place === null) return false;
    const [, any, judges] = data.images[place];
    return judge.value === "" ? any === 1 : judges.some((one) => one[0] === Number(judge.value));
  };
  const FLAGS = {
    "": () => true,
    new: (before, after) => after && !before,
    gone: (before, after) => before && !after,
    before: (before) => before,
    after: (_, after) => after,
    none: (before, after) => !before && !after,
  };
  const sheet = () => data.sheets[Number(which.value)];
  const fits = ([prompt, first, second]) =>
    (category.value === "" || data.prompts[prompt][3].includes(Number(category.value))) &&
    FLAGS[flag.value](flagged(first), flagged(second)) &&
    (!onlyHere.checked || [first, second].every((one) => one === null || one in data.thumbnails));

  const path = (place) => {
    const key = data.images[place][0];
    return key.includes("/") || key.includes(".") ? key : `${data.prefix}${key.slice(0, 2)}/${key}${data.suffix}`;
  };
  const link = (place, text) => {
    if (data.base === null || gone.has(place) || !path(place).startsWith(data.prefix)) return null;
    return make("a", { href: data.base + path(place).split("/").map(encodeURIComponent).join("/") }, text);
  };
  const reasons = (place) =>
    data.images[place][2].map(([which, label, score]) =>
      data.judges[which] + (label === undefined ? "" : `: ${label} ${score.toFixed(2)}`));

  const shot = (place, title, what) => {
    const isFlagged = data.images[place][1] === 1;
    const uri = data.thumbnails[place];
    const why = reasons(place).join("; ");
    const about = `${title}, ${what}: ${isFlagged ? `flagged${why && ` by ${why}`}` : "not flagged"}`;
    if (uri === undefined) {
      const open = link(place, "open the image");
      const text = gone.has(place) ? "not in the store" : data.base === null ? "no store was at hand" : "not in this page";
      const box = make("div", { class: `shot absent${isFlagged ? " flagged" : ""}` }, make("span", {}, text));
      if (open) { open.setAttribute("aria-label", `open the image: ${about}`); box.append(open); }
      else box.append(make("code", {}, path(place).slice(-12)));
      return box;
    }
    const image = make("img", { src: uri, alt: about, decoding: "async" });
    image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth < 100));
    if (!isFlagged) return make("div", { class: "shot" }, image);
    image.alt = "";
    const cover = make("span", { class: "cover", "aria-hidden": "true" }, "Show");
    const button = make("button", { type: "button", class: "shot flagged covered", "aria-pressed": "false",
      "aria-label": `Show the image: ${about}` }, image, cover);
    button.addEventListener("click", () => {
      const covered = button.classList.toggle("covered");
      button.setAttribute("aria-pressed", String(!covered));
      image.alt = covered ? "" : about;
      cover.textContent = covered ? "Show" : "Hide";
    });
    return button;
  };
  const figure = (place, title, what) => {
    const isFlagged = data.images[place][1] === 1;
    const caption = make("figcaption", {}, make("div", {}, title));
    if (isFlagged) {
      caption.append(make("div", { class: "mark" }, "\u2691 flagged"));
      for (const why of reasons(place)) caption.append(make("div", {}, make("bdi", {}, why)));
    } else caption.append(make("div", {}, "not flagged"));
    return make("figure", {}, shot(place, title, what), caption);
  };
  const card = ([prompt, first, second]) => {
    const [source, text, seed, categories, language, ood] = data.prompts[prompt];
    const names = categories.map((place) => data.categories[place]);
    const about = [text === null ? null : source, `seed ${seed}`, ...names, language, ood ? "out of distribution" : null];
    const what = `${source}, seed ${seed}`;
    const pair = make("div", { class: "pair" }, figure(first, sheet().left, what));
    if (second !== null) pair.append(figure(second, sheet().right, what));
    const heading = make("p", { class: "prompt", dir: "auto" }, text === null ? source : text);
    if (text !== null && text.length > 120) Object.entries({ tabindex: 0, role: "group", "aria-label": "prompt" }).forEach((one) => heading.setAttribute(...one));
    return make("li", {}, heading,
      make("p", { class: "about quiet small" }, about.filter((one) => one !== null).join(" \u00b7 ")), pair);
  };
  const show = () => {
    const next = found.slice(shown, shown + PAGE);
    list.append(...next.map(card));
    shown += next.length;
    count.textContent = `${shown} of ${found.length} shown`;
    more.hidden = shown >= found.length;
    more.textContent = `Show ${Math.min(PAGE, found.length - shown)} more`;
  };
  const refill = () => {
    found = sheet().pairs.filter(fits);
    // Those with images first: the others have only a link.
    const has = (pair) => pair.slice(1).every((one) => one === null || one in data.thumbnails);
    found = [...found.filter(has), ...found.filter((pair) => !has(pair))];
    shown = 0;
    list.replaceChildren();
    show();
  };
  more.addEventListener("click", () => {
    const before = list.children.length;
    show();
    const first = list.children[before];
    if (first) { first.tabIndex = -1; first.focus(); }
  });
  for (const one of [which, category, judge, flag, onlyHere]) one.addEventListener("change", refill);
  if (sheet().pairs.some((pair) => FLAGS.new(flagged(pair[1]), flagged(pair[2])))) flag.value = "new";
  document.getElementById("sheet-filters").hidden = false;
  document.getElementById("sheet-without").hidden = true;
  refill();
})();
