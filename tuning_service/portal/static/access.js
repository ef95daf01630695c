// The page /access: a new key's secret is shown once.
import { copied, element } from "./core.js";

document.addEventListener("portal:done", (event) => {
  if (!event.target.matches("[data-new-key]")) return;
  const notice = element(`
    <div class="notice" role="alert"><p><strong>The new key.</strong> It is shown this once: copy it now.</p>
    <p class="mono"></p><div class="buttons"><button type="button">Copy</button></div></div>`);
  notice.querySelector(".mono").textContent = event.detail.secret;
  notice.querySelector("button").addEventListener("click", () => copied(event.detail.secret));
  document.getElementById("main").prepend(notice);
});
for (const select of document.querySelectorAll("select[data-goes]")) {
  select.addEventListener("change", () => select.form.submit());
}
