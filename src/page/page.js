"use strict";
(() => {
  const STEP = 50;
  const PRINTED = 2000;
  const CHANGED = "(by a write)";
  const BUILT_IN = "(built in)";
  const WEIGHTS = ["deny", "warn", "audit"];
  const SVG = "http://www.w3.org/2000/svg";
  const at = (id) => document.getElementById(id);
  const { clusters } = JSON.parse(at("data").textContent);

  const make = (tag, set = {}, ...inside) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(set)) node.setAttribute(key, value);
    node.append(...inside);
    return node;
  };
  const said = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");
  const told = (count) => (count === null ? "unknown" : said(count));
  const noun = (count, one, many) => `${said(count)} ${count === 1 ? one : many}`;
  const ruleOf = (finding) => finding.rule || CHANGED;
  const policyOf = (finding) => finding.policy || BUILT_IN;
  const count = (cluster, weight) => cluster.findings.filter((it) => it.weight === weight).length;

  for (const cluster of clusters) {
    cluster.findings.sort((one, other) => WEIGHTS.indexOf(one.weight) - WEIGHTS.indexOf(other.weight));
    cluster.counts = WEIGHTS.map((weight) => count(cluster, weight));
    const words = [cluster.kind, cluster.namespace, cluster.name, `${cluster.namespace}/${cluster.name}`];
    if (cluster.autoscaling) words.push("autoscaling");
    if (cluster.suspended) words.push("suspended");
    for (const group of cluster.groups) words.push(group.name);
    for (const it of cluster.findings) {
      words.push(it.weight, ruleOf(it), policyOf(it), it.field, it.found, it.allowed, it.fix);
    }
    cluster.words = words.join("\n").toLowerCase();
  }

  // What is asked for.
  const fields = { text: at("text"), weight: at("weight"), namespace: at("namespace"), rule: at("rule"), policy: at("policy"), order: at("order") };
  const fill = (select, values) => {
    for (const value of [...new Set(values)].sort()) {
      const option = make("option", {}, value || "(none)");
      option.value = value;
      select.append(option);
    }
  };
  const findings = clusters.flatMap((cluster) => cluster.findings);
  fill(fields.namespace, clusters.map((cluster) => cluster.namespace));
  fill(fields.rule, findings.map(ruleOf));
  fill(fields.policy, findings.map(policyOf));

  const byPlace = (one, other) =>
    one.namespace < other.namespace ? -1 : one.namespace > other.namespace ? 1
      : one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
  const byWeight = (one, other) => {
    for (const rank of [0, 1, 2]) {
      if (one.counts[rank] !== other.counts[rank]) return other.counts[rank] - one.counts[rank];
    }
    return byPlace(one, other);
  };
  const missing = (it) => (it.template || it.joined === null ? -1 : Math.max(0, it.desired - it.joined));
  const ORDERS = {
    weight: byWeight,
    name: byPlace,
    workers: (one, other) => (other.template ? -1 : other.desired) - (one.template ? -1 : one.desired) || byPlace(one, other),
    missing: (one, other) => missing(other) - missing(one) || byPlace(one, other),
  };
  const sorted = {};
  const inOrder = (order) => (sorted[order] ??= [...clusters].sort(ORDERS[order]));

  const asked = () => {
    const weight = fields.weight.value;
    const { value: rule } = fields.rule;
    const { value: policy } = fields.policy;
    const narrow = rule || policy || WEIGHTS.includes(weight);
    const fits = (finding) =>
      (!WEIGHTS.includes(weight) || finding.weight === weight)
      && (!rule || ruleOf(finding) === rule) && (!policy || policyOf(finding) === policy);
    const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const namespace = fields.namespace.value;
    const matches = (cluster) =>
      (namespace === "*" || cluster.namespace === namespace)
      && words.every((word) => cluster.words.includes(word))
      && (weight !== "any" || cluster.findings.length > 0)
      && (weight !== "clean" || cluster.findings.length === 0)
      && (!narrow || cluster.findings.some(fits));
    return { matches, fits };
  };

  // How it is drawn.
  const gauge = (min, wanted, max, live, joined) => {
    const svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of Object.entries({ class: "gauge", viewBox: "0 0 1000 16", preserveAspectRatio: "none", "aria-hidden": "true" })) {
      svg.setAttribute(key, value);
    }
    const most = Math.max(min ?? 0, wanted, live ?? 0, joined ?? 0, 1);
    const top = max === null ? most * 1.25 : Math.max(max, most);
    const rect = (name, from, to, y, height) => {
      if (to <= from) return;
      const node = document.createElementNS(SVG, "rect");
      const x = Math.round((from / top) * 1000);
      const width = Math.max(Math.round((to / top) * 1000) - x, 4);
      for (const [key, value] of Object.entries({ class: name, x: Math.min(x, 1000 - width), y, width, height })) {
        node.setAttribute(key, value);
      }
      svg.append(node);
    };
    rect("track", 0, top, 0, 16);
    if (min !== null) rect("range", min, max ?? top, 0, 16);
    rect("live", 0, live ?? 0, 4, 8);
    rect("joined", 0, joined ?? 0, 4, 8);
    rect("wanted", Math.max(wanted - top * 0.004, 0), Math.min(wanted + top * 0.004, top), 0, 16);
    return svg;
  };
  const sum = (groups, of) => groups.reduce((all, group) => (all === null || of(group) === null ? null : all + of(group)), 0);
  const bound = (group, key) => (group[key] === null ? null : group[key] * group.hosts);
  const badges = (cluster) => {
    const all = WEIGHTS.flatMap((weight, rank) =>
      cluster.counts[rank] ? [make("span", { class: `badge ${weight}` }, `${said(cluster.counts[rank])} ${weight}`), " "] : []);
    return all.length ? all : [make("span", { class: "clean" }, "clean")];
  };
  const workers = (cluster) => {
    if (cluster.template) {
      return [make("p", { class: "counts" }, `a spec for clusters of ${noun(cluster.desired, "worker", "workers")}`)];
    }
    const groups = cluster.groups;
    const bar = gauge(sum(groups, (it) => bound(it, "min")), cluster.desired, sum(groups, (it) => bound(it, "max")), cluster.live, cluster.joined);
    const strong = (text) => make("strong", {}, text);
    return [bar, make("p", { class: "counts" }, strong(said(cluster.desired)), " desired, ", strong(told(cluster.live)), " live, ", strong(told(cluster.joined)), " joined")];
  };
  const limit = (group) => (group.max === null ? (group.min === null ? "no bounds" : "none") : said(group.max));
  const tight = matchMedia("(max-width: 44rem)");
  const groupTable = (cluster) => {
    const head = make("tr");
    for (const [name, kind] of [["Group", ""], ["Bounds and workers", ""], ["Min", "number"], ["Replicas", "number"], ["Max", "number"], ["Desired", "number"], ["Live", "number"], ["Joined", "number"]]) {
      head.append(make("th", { scope: "col", class: kind }, name));
    }
    const rows = cluster.groups.map((group) => {
      const number = (text) => make("td", { class: "number" }, text);
      const hosts = group.hosts > 1 ? [make("span", { class: "more" }, ` × ${said(group.hosts)} hosts`)] : [];
      return make("tr", {},
        make("th", { scope: "row" }, group.name || "(no name)", ...hosts),
        make("td", {}, gauge(bound(group, "min"), group.desired, bound(group, "max"), group.live, group.joined)),
        number(group.min === null ? "none" : said(group.min)),
        number(group.replicas === null ? "not set" : said(group.replicas)),
        number(limit(group)), number(said(group.desired)),
        number(cluster.template ? "none" : told(group.live)), number(cluster.template ? "none" : told(group.joined)));
    });
    const across = make("div", { class: "across", role: "group", "aria-label": `Worker groups of ${cluster.name}` });
    // There the columns do not fit, and the arrow keys have to move them.
    if (tight.matches) across.tabIndex = 0;
    across.append(make("table", { class: "groups" }, make("caption", { class: "unseen" }, `Worker groups of ${cluster.name}`), make("thead", {}, head), make("tbody", {}, ...rows)));
    return across;
  };
  const findingItem = (finding) => {
    const item = make("li", { class: finding.weight },
      make("p", { class: "what" },
        make("span", { class: `badge ${finding.weight}` }, finding.weight),
        make("code", {}, ruleOf(finding)),
        ...(finding.policy ? [make("span", {}, "policy ", make("code", {}, finding.policy))] : []),
        ...(finding.since ? [make("span", { class: "more" }, `since ${finding.since}`)] : [])),
      make("p", {}, make("code", {}, finding.field), make("span", {}, finding.field ? ": " : "", finding.found)));
    if (finding.allowed) item.append(make("p", {}, make("b", {}, "Allowed: "), make("span", {}, finding.allowed)));
    if (finding.fix) item.append(make("p", {}, make("b", {}, "To do: "), make("span", {}, finding.fix)));
    return item;
  };
  const detail = (cluster, fits) => {
    const inside = [];
    const fitting = cluster.findings.filter(fits);
    if (cluster.findings.length) {
      const rest = cluster.findings.length - fitting.length;
      inside.push(make("h3", {}, "Findings", ...(rest ? [make("span", { class: "more" }, ` (${said(rest)} more that the filters leave out)`)] : [])));
      inside.push(make("ul", { class: "findings" }, ...fitting.map(findingItem)));
    }
    if (cluster.groups.length) inside.push(make("h3", {}, "Worker groups"), groupTable(cluster));
    if (!inside.length) inside.push(make("p", { class: "more" }, "No findings and no worker groups."));
    return inside;
  };
  let made = 0;
  const rowsOf = (cluster, fits) => {
    const id = `detail-${made++}`;
    const toggle = make("button", { type: "button", class: "toggle", "aria-expanded": "false", "aria-controls": id }, make("bdi", {}, cluster.name || "(generated name)"));
    const tags = [cluster.kind === "RayCluster" ? "" : cluster.kind, cluster.group === "ray.io" ? "" : cluster.group, cluster.autoscaling ? "autoscaling" : "", cluster.suspended ? "suspended" : ""].filter(Boolean);
    const name = make("th", { scope: "row" }, toggle);
    if (tags.length) name.append(make("div", { class: "tags" }, ...tags.flatMap((tag, rank) => [rank ? ", " : "", make("bdi", {}, tag)])));
    const found = make("td", {}, ...badges(cluster));
    const first = cluster.findings.find(fits);
    if (first) found.append(make("p", { class: "first" }, ruleOf(first)));
    const row = make("tr", { class: "cluster" }, name, make("td", {}, cluster.namespace || "(none)"), found, make("td", {}, ...workers(cluster)));
    const more = make("tr", { class: "detail", id });
    more.hidden = true;
    toggle.addEventListener("click", () => open(row, more, more.hidden));
    row.detail = () => detail(cluster, fits);
    return [row, more];
  };
  const open = (row, more, wanted) => {
    if (wanted && !more.firstChild) more.append(make("td", { colspan: "4" }, ...row.detail()));
    more.hidden = !wanted;
    row.classList.toggle("open", wanted);
    row.querySelector(".toggle").setAttribute("aria-expanded", String(wanted));
  };

  // What is shown.
  let hits = [];
  let shown = 0;
  let view = asked();
  let allOpen = clusters.length <= 3;
  const show = (upTo) => {
    const part = document.createDocumentFragment();
    for (const cluster of hits.slice(shown, upTo)) {
      const [row, more] = rowsOf(cluster, view.fits);
      if (allOpen) open(row, more, true);
      part.append(row, more);
    }
    at("rows").append(part);
    shown = Math.min(upTo, hits.length);
    const left = hits.length - shown;
    at("more").hidden = left === 0;
    at("more").textContent = `Show ${said(Math.min(STEP, left))} more of ${said(left)}`;
    at("list").hidden = hits.length === 0;
    const part_of = shown < hits.length ? `, the first ${said(shown)} are shown` : "";
    at("count").textContent = clusters.length === 0 ? "There is nothing to show."
      : hits.length === clusters.length ? `${noun(clusters.length, "object", "objects")}${part_of}.`
        : hits.length === 0 ? `None of ${noun(clusters.length, "object", "objects")} match. Clear a filter to see more.`
          : `${said(hits.length)} of ${noun(clusters.length, "object", "objects")} match${part_of}.`;
  };
  const update = () => {
    view = asked();
    hits = inOrder(fields.order.value).filter(view.matches);
    shown = 0;
    at("rows").replaceChildren();
    show(STEP);
  };

  for (const field of Object.values(fields)) field.addEventListener("input", update);
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").addEventListener("reset", () => setTimeout(update));
  at("more").addEventListener("click", () => {
    const before = shown;
    show(shown + STEP);
    at("rows").querySelectorAll(".toggle")[before]?.focus();
  });
  const press = (button, pressed) => button.setAttribute("aria-pressed", String(pressed));
  const openAll = (wanted) => {
    for (const row of at("rows").querySelectorAll(".cluster")) open(row, row.nextElementSibling, wanted);
  };
  at("open").addEventListener("click", () => {
    allOpen = !allOpen;
    press(at("open"), allOpen);
    openAll(allOpen);
  });
  for (const pick of document.querySelectorAll(".pick")) {
    pick.addEventListener("click", () => {
      fields[pick.dataset.filter].value = pick.dataset.value;
      update();
      at("clusters").scrollIntoView();
      at("clusters").focus({ preventScroll: true });
    });
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    fields.text.focus();
  });

  const theme = at("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    press(theme, isDark());
  });
  dark.addEventListener("change", () => press(theme, isDark()));
  press(theme, isDark());

  let before = null;
  addEventListener("beforeprint", () => {
    before = allOpen;
    allOpen = true;
    show(Math.max(shown, PRINTED));
    openAll(true);
    for (const it of document.querySelectorAll("details")) it.open = true;
  });
  addEventListener("afterprint", () => {
    if (before === null) return;
    allOpen = before;
    update();
  });

  theme.hidden = false;
  if (clusters.length > 0) {
    for (const id of ["filters", "hint", "open"]) at(id).hidden = false;
    press(at("open"), allOpen);
  }
  update();
})();
