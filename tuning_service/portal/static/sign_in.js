// The form of the page /sign-in.
import { signIn } from "./core.js";

const form = document.getElementById("sign-in");
const tabs = [...form.querySelectorAll('[role="tab"]')];

function choose(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", String(chosen));
    each.tabIndex = chosen ? 0 : -1;
    document.getElementById(each.getAttribute("aria-controls")).hidden = !chosen;
  }
}

for (const tab of tabs) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = tabs[1 - tabs.indexOf(tab)];
    choose(other);
    other.focus();
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const byKey = tabs[1].getAttribute("aria-selected") === "true";
  const names = byKey ? ["key"] : ["tenant", "name", "password"];
  const error = form.querySelector(".form-error");
  const button = form.querySelector('[type="submit"]');
  error.hidden = true;
  button.disabled = true;
  try {
    const text = (name) => (name === "password" ? form.elements[name].value : form.elements[name].value.trim());
    await signIn(Object.fromEntries(names.map((name) => [name, text(name)])));
    location.assign(form.dataset.next);
  } catch (problem) {
    error.textContent = problem.message;
    error.hidden = false;
    button.disabled = false;
    form.elements[names.at(-1)].select();
  }
});

form.querySelector('[type="submit"]').disabled = false; // before, a browser would send the form by itself
if (!form.contains(document.activeElement)) form.elements.tenant.focus();
