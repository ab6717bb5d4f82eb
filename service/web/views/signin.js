// SPDX-License-Identifier: MPL-2.0

/** Asks for what the service wants to know before it shows anything. */

import { signIn } from "../api.js";
import { dialog, h, say } from "./dom.js";

/** Returns a page with the form. Calls `done` with a token in the tab's storage. */
export function signInForm(why, done) {
  return h("main.middle", {}, form("form.card", why, done, h("h1", {}, "Sign in")));
}

/** Asks over a page that stays. Calls `closed` when the dialog is gone, whatever was done. */
export function signInDialog(why, done, closed) {
  const box = dialog("Sign in", form("form", why, () => {
    box.close();
    done();
  }));
  box.addEventListener("close", closed);
  document.getElementById("app-id").focus();
}

function form(tag, why, done, heading = null) {
  const problem = h("p.problem", { role: "alert" }, why);
  const field = (id, label, type, autocomplete) => [
    h("label", { for: id }, label),
    h("input", { id, name: id, type, autocomplete, required: true, spellcheck: "false" }),
  ];
  const button = h("button.primary", { type: "submit" }, "Sign in");
  const element = h(
    tag,
    {
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        say(problem, "");
        try {
          const [id, secret] = ["app-id", "app-secret"].map((name) => element.elements[name].value);
          await signIn(id.trim(), secret);
          element.elements["app-secret"].value = "";
          done();
        } catch (error) {
          say(problem, error.message);
        } finally {
          button.disabled = false;
        }
      },
    },
    heading,
    h("p", {}, "This service shows conversations to its own application only."),
    ...field("app-id", "App ID", "text", "username"),
    ...field("app-secret", "App secret", "password", "current-password"),
    problem,
    button,
    h("p.hint", {}, "The token stays in this tab and is gone when you close it."),
  );
  return element;
}
