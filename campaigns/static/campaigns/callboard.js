// In: pages with [data-live="address"]. Out: the same page, kept up to date: every two
// seconds, or every [data-every] seconds.
// Also: a form with [data-once] is sent once, however often it is clicked; a field that looks its
// choices up has the name that its label says.
"use strict";

(() => {
  const EVERY = 2000;

  // A part is replaced only if its key changed, so that no button moves under a finger. One that was
  // not there yet comes to its place, one that is no more goes.
  function put(old, fresh) {
    const parts = new Map();
    const order = [...fresh.querySelectorAll(":scope > [data-part]")].map((one) => one.dataset.part);
    for (const part of fresh.querySelectorAll("[data-part]")) {
      parts.set(part.dataset.part, part);
    }
    for (const part of old.querySelectorAll("[data-part]")) {
      const next = parts.get(part.dataset.part);
      if (next && (!next.dataset.key || next.dataset.key !== part.dataset.key)) {
        const open = new Set(
          [...part.querySelectorAll("details[open][id]")].map((element) => element.id)
        );
        part.replaceWith(next);
        for (const id of open) {
          const element = document.getElementById(id);
          if (element) element.open = true;
        }
      }
    }
    for (const part of old.querySelectorAll(":scope > [data-part]")) {
      if (!order.includes(part.dataset.part)) part.remove();
    }
    let before = null;
    for (const name of order) {
      let part = old.querySelector(`:scope > [data-part="${name}"]`);
      if (!part) {
        part = parts.get(name);
        if (before) before.after(part);
        else old.prepend(part);
      }
      before = part;
    }
    hideGlyphs();
    redraw(old, fresh);
    old.dataset.active = fresh.dataset.active;
  }

  // A chart is no part that is replaced: it is given its new numbers.
  function redraw(old, fresh) {
    for (const next of fresh.querySelectorAll("canvas.chart[id]")) {
      const canvas = old.querySelector(`#${next.id}`);
      if (!canvas || canvas.dataset.value === next.dataset.value) continue;
      canvas.dataset.value = next.dataset.value;
      const chart = window.Chart && window.Chart.getChart(canvas);
      if (!chart) continue;
      const told = JSON.parse(next.dataset.value);
      chart.data.labels = told.labels;
      told.datasets.forEach((set, place) => {
        if (chart.data.datasets[place]) chart.data.datasets[place].data = set.data;
      });
      chart.update("none");
    }
  }

  async function refresh(region) {
    if (document.hidden) return;
    try {
      const reply = await fetch(region.dataset.live, {
        headers: { "X-Requested-With": "XMLHttpRequest" },
        redirect: "error",
      });
      if (!reply.ok) throw new Error(String(reply.status));
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      const fresh = page.querySelector("[data-live]");
      if (!fresh) throw new Error("no region");
      put(region, fresh);
      region.classList.remove("cb-stale");
    } catch {
      region.classList.add("cb-stale");
    }
  }

  // The text of an icon is the name of a glyph, which nobody wants to hear.
  function hideGlyphs() {
    for (const icon of document.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
      icon.setAttribute("aria-hidden", "true");
    }
  }

  // select2 puts something else in the place of a field, and leaves its label behind; Django's ways
  // to choose a day or a time are links with a glyph and nothing else.
  function nameFields() {
    hideGlyphs();
    for (const [start, words] of [["calendar", "Choose a Date"], ["clock", "Choose a Time"]]) {
      for (const link of document.querySelectorAll(`a[id^="${start}link"]`)) {
        link.setAttribute("aria-label", window.gettext ? window.gettext(words) : words);
      }
    }
    const search = document.querySelector("#searchbar");
    const icon = search?.closest("form").querySelector("button:not([aria-label])");
    if (icon && !icon.textContent.replace("search", "").trim()) {
      icon.setAttribute("aria-label", search.placeholder);
    }
    for (const one of document.querySelectorAll(".simplebar-content-wrapper")) {
      one.removeAttribute("aria-label"); // English, and says nothing
      one.removeAttribute("role");
    }
    for (const field of document.querySelectorAll("select.select2-hidden-accessible")) {
      const label = field.labels[0] || field.closest("[class*=field-]")?.querySelector("label");
      const shown = field.parentElement.querySelector(".select2-container");
      if (!label || !shown) continue;
      label.id = label.id || `${field.id}-label`;
      const roles = "[role=combobox], [role=searchbox], [role=textbox]";
      for (const one of shown.querySelectorAll(roles)) {
        one.setAttribute("aria-labelledby", label.id);
      }
    }
  }

  window.addEventListener("load", () => {
    nameFields();
    setTimeout(nameFields, 200); // what makes these fields may be later than this
  });

  document.addEventListener("DOMContentLoaded", () => {
    hideGlyphs();
    for (const region of document.querySelectorAll("[data-live]")) {
      const every = Number(region.dataset.every || 0) * 1000 || EVERY;
      const again = async () => {
        if (region.dataset.active === "1") await refresh(region);
        setTimeout(again, every);
      };
      setTimeout(again, every);
    }
    document.addEventListener("submit", (event) => {
      const form = event.target;
      if (!form.matches("[data-once]")) return;
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      form.dataset.sent = "1";
    });
    window.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      for (const form of document.querySelectorAll("[data-once]")) delete form.dataset.sent;
    });
  });
})();
