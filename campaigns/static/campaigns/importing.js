// In: the pages of an import. Out: the same with less clicking: a bar while the file is uploaded,
// a header chosen by a click on its row, a preview that follows the choices. Without this script
// every page works by its buttons.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  // ---------------------------------------------------------------------------- the upload
  const upload = document.querySelector("form[data-upload]");
  if (upload) {
    const input = upload.querySelector("input[type=file]");
    const drop = upload.querySelector(".cb-drop");
    const name = upload.querySelector("[data-name]");
    const asked = name.textContent;
    const bar = upload.querySelector("[data-upload-bar]");
    const text = upload.querySelector("[data-upload-text]");
    const errors = upload.querySelector("[data-errors]");
    const show = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

    const tellName = () => {
      const file = input.files[0];
      name.textContent = file ? `${file.name} (${show(file.size)})` : asked;
      drop.classList.toggle("chosen", Boolean(file));
      errors.replaceChildren();
      drop.parentElement.classList.remove("errors");
    };
    input.addEventListener("change", tellName);
    for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, () => drop.classList.add("over"));
    for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
    if (input.files[0]) tellName();

    const refuse = (sentences) => {
      const list = document.createElement("ul");
      list.className = "errorlist";
      for (const sentence of sentences) {
        const item = document.createElement("li");
        item.textContent = sentence;
        list.append(item);
      }
      errors.replaceChildren(list);
      drop.parentElement.classList.add("errors");
      bar.hidden = true;
      delete upload.dataset.sent;
    };

    upload.addEventListener("submit", (event) => {
      if (!input.files[0]) return;
      event.preventDefault();
      if (upload.dataset.sent) return;
      upload.dataset.sent = "1";
      errors.replaceChildren();
      drop.parentElement.classList.remove("errors");
      const request = new XMLHttpRequest();
      request.open("POST", upload.action);
      request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
      request.upload.addEventListener("progress", (sent) => {
        if (!sent.lengthComputable) return;
        bar.hidden = false;
        bar.querySelector("span").style.width = `${(100 * sent.loaded) / sent.total}%`;
        text.textContent =
          sent.loaded < sent.total ? `${show(sent.loaded)} / ${show(sent.total)}` : upload.dataset.working;
      });
      request.addEventListener("load", () => {
        let said = null;
        try {
          said = JSON.parse(request.responseText);
        } catch {
          said = null;
        }
        if (said && said.url) window.location.assign(said.url);
        else refuse((said && said.errors) || [upload.dataset.lost]);
      });
      for (const kind of ["error", "abort", "timeout"]) {
        request.addEventListener(kind, () => refuse([upload.dataset.lost]));
      }
      request.send(new FormData(upload));
    });
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) bar.hidden = true;
    });
  }

  // ----------------------------------------------------------------------- how it is read
  const reading = document.getElementById("reading-form");
  if (reading) {
    const look = reading.querySelector("[data-look]");
    const line = reading.querySelector("#id_header_line");
    const rows = document.getElementById("first-rows");
    for (const choice of reading.querySelectorAll("select")) {
      choice.addEventListener("change", () => reading.requestSubmit(look));
    }
    if (rows && line) {
      const mark = () => {
        for (const row of rows.querySelectorAll("tr")) {
          const here = Number(row.dataset.line);
          row.classList.toggle("header", here === Number(line.value));
          row.classList.toggle("above", here < Number(line.value));
        }
      };
      rows.classList.add("clickable");
      rows.addEventListener("click", (event) => {
        const row = event.target.closest("tr[data-line]");
        if (!row) return;
        line.value = row.dataset.line;
        mark();
      });
      line.addEventListener("input", mark);
    }
  }

  // --------------------------------------------------------------------------- its columns
  const columns = document.querySelector("form[data-preview]");
  if (columns) {
    let latest = 0;
    columns.addEventListener("change", async (event) => {
      const choices = document.getElementById("choices");
      if (!choices.contains(event.target)) return;
      const mine = ++latest;
      const focused = document.activeElement && document.activeElement.id;
      choices.classList.add("cb-waits");
      try {
        const reply = await fetch(columns.dataset.preview, {
          method: "POST",
          body: new FormData(columns),
          headers: { "X-Requested-With": "XMLHttpRequest" },
          redirect: "error",
        });
        if (!reply.ok) throw new Error(String(reply.status));
        const page = new DOMParser().parseFromString(await reply.text(), "text/html");
        const fresh = page.getElementById("choices");
        if (mine !== latest || !fresh) return;
        choices.replaceWith(fresh);
        const element = focused && document.getElementById(focused);
        if (element) element.focus();
      } catch {
        choices.classList.remove("cb-waits");
      }
    });
  }
});
