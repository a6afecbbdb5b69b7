// In: pages with [data-live="address"]. Out: the same page, kept up to date: every two
// seconds, or every [data-every] seconds.
// Also: a form with [data-once] is sent once, however often it is clicked.
"use strict";

(() => {
  const EVERY = 2000;

  // A part is replaced only if its key changed, so that no button moves under a finger.
  function put(old, fresh) {
    const parts = new Map();
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

  document.addEventListener("DOMContentLoaded", () => {
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
