// <chat-window to="/ask" name="Ask us"><a href="/contact">Write to us</a></chat-window>
class ChatWindow extends HTMLElement {
  connectedCallback() {
    const name = this.getAttribute("name") ?? "Chat";
    this.attachShadow({ mode: "open" }).innerHTML = `
      <style>
        :host { font: inherit; color-scheme: light dark }
        dialog { inset: auto 1rem 1rem auto; margin: 0; width: min(22rem, 100% - 2rem); border: 1px solid; border-radius: 10px }
        [role=log] { height: 16rem; overflow: auto } p { margin: .4em 0; white-space: pre-wrap } .you { opacity: .7 }
        form { display: flex; gap: .5rem } input { flex: 1; font: inherit }
      </style>
      <button part="button"></button>
      <dialog><div role="log" aria-live="off"></div><p role="status" hidden></p>
        <form method="dialog"><input required maxlength="2000"><button>Send</button></form></dialog>`;
    const $ = (s) => this.shadowRoot.querySelector(s);
    $("button").textContent = name;
    $("dialog").setAttribute("aria-label", name);
    $("input").setAttribute("aria-label", "Your message");
    $("button").onclick = () => { $("dialog").show(); $("input").focus(); };
    $("dialog").onkeydown = (e) => { if (e.key === "Escape") { $("dialog").close(); $("button").focus(); } };
    $("form").onsubmit = (e) => { e.preventDefault(); this.#ask($("input"), $("[role=log]"), $("[role=status]")); };
  }
  #line(log, who, text) {
    const p = document.createElement("p");
    p.className = who;
    p.textContent = text;
    log.append(p);
    p.scrollIntoView({ block: "nearest" });
    return p;
  }
  async #ask(input, log, status) {
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    this.#line(log, "you", text);
    const p = this.#line(log, "they", "…");
    try {
      const answer = await fetch(this.getAttribute("to"), { method: "POST", body: text, headers: { "Content-Type": "text/plain" } });
      if (!answer.ok) throw new Error(answer.status);
      p.textContent = "";
      for await (const part of answer.body.pipeThrough(new TextDecoderStream())) p.textContent += part;
    } catch {
      p.textContent = "That didn't get through. Try again in a moment.";
    }
    status.hidden = false;
    status.textContent = p.textContent; // spoken once, when it is complete
  }
}
customElements.define("chat-window", ChatWindow);
