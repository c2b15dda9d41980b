// What plain forms cannot do: copying, dialogs in place of pages, one send per form, and taking a secret
// off the page when it is left. Every page works without this file.
"use strict";

const COPIED_MS = 2000;
// A change usually answers before anybody could read a word about waiting; then one word, then a reason.
const WAITING = [[400, "waits"], [2000, "waitsLong"]];

// A form marked data-once is sent once, however often its button is pressed.
function sendOnce(form) {
  const button = form.querySelector("button:not([type=button])");
  const label = button?.textContent;
  let sent = false;
  let timers = [];
  form.addEventListener("submit", (event) => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    form.setAttribute("aria-busy", "true");
    // Disabling at once would drop the button from the submission.
    setTimeout(() => button?.setAttribute("aria-disabled", "true"));
    timers = WAITING.filter(([, text]) => button?.dataset[text])
      .map(([after, text]) => setTimeout(() => { button.textContent = button.dataset[text]; }, after));
  });
  // Coming back to a kept page makes its form usable again.
  addEventListener("pageshow", () => {
    sent = false;
    timers.forEach(clearTimeout);
    if (timers.length) button.textContent = label;
    timers = [];
    form.removeAttribute("aria-busy");
    button?.removeAttribute("aria-disabled");
  });
}

// A GET form marked data-opens shows a dialog instead of going to its page.
function openInPlace(form) {
  const dialog = document.getElementById(form.dataset.opens);
  form.addEventListener("submit", (event) => {
    if (form.querySelector("[aria-disabled=true]")) {
      event.preventDefault();
    } else if (dialog?.showModal) {
      event.preventDefault();
      fill(dialog, form);
      dialog.showModal();
    }
  });
}

// What was chosen for another key, and then left, must not be what is sent for this one.
function fill(dialog, form) {
  for (const sent of dialog.querySelectorAll("form")) sent.reset();
  for (const choice of dialog.querySelectorAll("select")) choice.dispatchEvent(new Event("change"));
  for (const place of dialog.querySelectorAll("[data-fill]")) {
    const text = form.dataset[place.dataset.fill] ?? "";
    if (place.type === "hidden") place.value = text;
    else place.textContent = text;
  }
  dialog.querySelector("[data-fill-action]")?.setAttribute("action", form.getAttribute("action"));
}

function closeFrom(dialog) {
  for (const closer of dialog.querySelectorAll("[data-close]")) {
    closer.addEventListener("click", (event) => {
      event.preventDefault();
      dialog.close();
    });
  }
}

function textOf(element) {
  return "value" in element ? element.value : element.textContent;
}

function select(element) {
  if (element.select) {
    element.select();
  } else {
    getSelection().selectAllChildren(element);
  }
}

// Without a secure context there is no clipboard: the button then selects the text.
function copyButton(button) {
  const source = document.getElementById(button.dataset.copies);
  const label = button.innerHTML;
  const status = document.querySelector("[data-says]");
  const say = (text) => { status.textContent = text; };
  let reset;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(textOf(source));
      button.textContent = "Copied";
      say("Copied");
    } catch {
      select(source);
      button.textContent = "Selected";
      say("Selected. Press Control C or Command C to copy.");
    }
    clearTimeout(reset);
    reset = setTimeout(() => { button.innerHTML = label; }, COPIED_MS);
  });
}

// A password can be read while it is typed. It is sent as a password, so that browsers keep it as one.
function showButton(button) {
  const field = document.getElementById(button.dataset.shows);
  const label = button.querySelector("span");
  const show = (plain) => {
    field.type = plain ? "text" : "password";
    label.textContent = plain ? "Hide" : "Show";
  };
  button.hidden = false;
  button.addEventListener("click", () => show(field.type === "password"));
  field.form.addEventListener("submit", () => show(false));
}

// What the server would refuse is said in the form: a day is needed, and not a past one, when "On a date" is
// chosen. A field that is not displayed must need nothing, or the form could not be sent.
function needDate(choice) {
  const date = choice.form.elements.expiry_date;
  const follow = () => {
    date.required = choice.value === "date";
    date.min = date.required ? new Date().toISOString().slice(0, 10) : "";
  };
  choice.addEventListener("change", follow);
  // Browsers point at nothing in a closed fold.
  date.addEventListener("invalid", () => { date.closest("details").open = true; });
  follow();
}

// The panel with a new secret: Done needs the check mark, leaving asks once, and what is left is emptied.
function reveal(panel) {
  const stored = panel.querySelector("[data-stored]");
  const finish = panel.querySelector("[data-finish]");
  const done = finish.querySelector("button");
  const follow = () => { done.disabled = !stored.checked; };
  const ask = (event) => { if (!stored.checked) event.preventDefault(); };

  // Reloading, or coming back, asks for the settings and does not send the form again.
  history.replaceState(null, "", "/settings");
  stored.checked = false;
  stored.addEventListener("change", follow);
  follow();
  const secret = panel.querySelector("textarea");
  secret.addEventListener("focus", () => secret.select());
  panel.querySelector("[tabindex]").focus();

  addEventListener("beforeunload", ask);
  addEventListener("pagehide", () => {
    for (const element of panel.querySelectorAll("[data-secret]")) {
      element.textContent = "";
      if ("value" in element) element.value = "";
    }
    panel.remove();
  });
}

// Browsers may keep a page for "back" in spite of `no-store`. It then shows keys as they were, and to whoever
// sits there after signing out: ask again. A reload would send a form again; this never does.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.replace(location.pathname + location.search);
});

document.querySelectorAll("form[data-once]").forEach(sendOnce);
document.querySelectorAll("form[data-opens]").forEach(openInPlace);
document.querySelectorAll("dialog").forEach(closeFrom);
document.querySelectorAll("[data-copies]").forEach(copyButton);
document.querySelectorAll("[data-shows]").forEach(showButton);
document.querySelectorAll("select[name=expiry]").forEach(needDate);
document.querySelectorAll("[data-reveal]").forEach(reveal);
