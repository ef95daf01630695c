// The account menu of who has signed in with a password: another one.
import { api, ask, toast } from "./core.js";

const FIELDS = `
  <p class="muted">You stay signed in here, and are signed out everywhere else.</p>
  <label class="field">Password now <input name="old_password" type="password" autocomplete="current-password"></label>
  <label class="field">New password <input name="new_password" type="password" autocomplete="new-password"><span class="hint">10 characters or more.</span></label>
  <label class="field">New password again <input name="again" type="password" autocomplete="new-password"></label>`;

async function change(data) {
  if (data.get("new_password") !== data.get("again")) {
    throw Object.assign(new Error("The new passwords differ."), {
      errors: [{ field: "again", message: "is not the same.", remedy: "Write the new password twice." }],
    });
  }
  const wish = { old_password: data.get("old_password"), new_password: data.get("new_password") };
  const session = await api("PUT", "/v1/session/password", wish);
  document.querySelector('meta[name="csrf"]').content = session.csrf;
}

document.getElementById("change-password").addEventListener("click", async (event) => {
  const menu = event.target.closest("details");
  menu.open = false;
  const done = await ask("Change your password", FIELDS, { yes: "Change", act: change });
  menu.querySelector("summary").focus();
  if (done !== null) toast("Your password was changed.");
});
