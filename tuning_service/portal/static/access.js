// The page /access: a new key's secret is shown once.
import { copied, element } from "./core.js";

document.addEventListener("portal:done", (event) => {
  if (!event.target.matches("[data-new-key]")) return;
  const notice = element(`
    <div class="notice"><p><strong>The new key.</strong> It is shown this once: copy it now.</p>
    <p class="mono"></p><div class="buttons"><button type="button">Copy</button><button type="button">Close</button></div></div>`);
  notice.querySelector(".mono").textContent = event.detail.secret;
  const [copy, close] = notice.querySelectorAll("button");
  copy.addEventListener("click", () => copied(event.detail.secret));
  close.addEventListener("click", () => notice.remove());
  document.getElementById("new-key").replaceChildren(notice);
  copy.focus();
});
for (const select of document.querySelectorAll("select[data-goes]")) {
  select.addEventListener("change", () => select.form.submit());
}
