// In: the form [data-review] of a call to judge. Out: the same by keys; 1, 2 and 3 choose, I, O and U
// say the intention, Enter saves, S skips. Whoever writes a note writes: Enter ends a line there, with Ctrl it saves.
"use strict";

(() => {
  document.addEventListener("DOMContentLoaded", () => {
    const form = document.querySelector("[data-review]");
    if (!form) return;
    const verdicts = [...form.querySelectorAll("[data-key]")];
    const intention = form.querySelector("[name=intention]");
    const none = form.querySelector("[name=none]");
    const unsure = form.querySelector("[name=unsure]");

    // Only one of them is meant: the last one.
    intention.addEventListener("input", () => {
      none.checked = unsure.checked = false;
    });
    for (const [one, other] of [[none, unsure], [unsure, none]]) {
      one.addEventListener("change", () => {
        if (!one.checked) return;
        other.checked = false;
        intention.value = "";
      });
    }

    // Says what is missing, and whether anything is.
    function check() {
      const chosen = verdicts.some((one) => one.checked);
      const told = Boolean(intention.value.trim()) || none.checked || unsure.checked;
      form.querySelector("[data-missing]").hidden = chosen;
      form.querySelector("[data-missing-intention]").hidden = told || !chosen;
      return chosen && told;
    }

    function save() {
      if (check()) form.requestSubmit(form.querySelector("#judge-now"));
    }

    const keys = {
      i: () => intention.select(),
      o: () => none.click(),
      n: () => form.querySelector("[name=note]").focus(),
      u: () => unsure.click(),
      s: () => form.querySelector("[data-skip]")?.click(),
      enter: save,
    };
    for (const one of verdicts) keys[one.dataset.key] = () => one.click();

    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.altKey || event.metaKey) return;
      const on = event.target.closest("textarea, select, audio, button, a, summary, input");
      const writes = on && (on.tagName === "TEXTAREA" || on.name === "intention");
      if (event.key === "Escape" && writes) {
        on.blur();
        return;
      }
      if (event.key === "Enter" && (event.ctrlKey || (writes && on.name === "intention"))) {
        event.preventDefault();
        save();
        return;
      }
      if (event.ctrlKey || writes || event.isComposing) return;
      const press = event.key === "Enter" && on && on.tagName !== "INPUT";
      const act = keys[event.key.toLowerCase()];
      if (!act || press || (on && ["SELECT", "AUDIO"].includes(on.tagName))) return;
      event.preventDefault();
      act();
    });
  });
})();
