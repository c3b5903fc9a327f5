// A stand-in for https://checkout.razorpay.com/v1/checkout.js: one dialogue that takes a UPI id or a card number.
// success@razorpay pays, failure@razorpay is declined, pending@razorpay leaves the payment open; see devstack.razorpay.
(function () {
  "use strict";
  const base = new URL(document.currentScript.src).origin;

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function field(name, label, value) {
    return element("label", { textContent: label + " " }, element("input", { name, value, autocomplete: "off" }));
  }

  class Razorpay {
    constructor(options) {
      for (const name of ["key", "order_id"]) {
        if (!options || !options[name]) throw new Error("Razorpay: the option " + name + " is missing");
      }
      this.options = options;
      this.listeners = {};
    }

    on(event, listener) {
      (this.listeners[event] = this.listeners[event] || []).push(listener);
    }

    open() {
      const { options } = this;
      const pay = element("button", { type: "submit", textContent: "Pay" });
      const cancel = element("button", { type: "button", textContent: "Cancel" });
      const said = element("p", { className: "razorpay-error" });
      const form = element(
        "form",
        {},
        element("h2", { textContent: options.name || "Razorpay (local)" }),
        element("p", { textContent: [options.description, options.currency, options.amount].filter(Boolean).join(" · ") }),
        element("p", {}, field("vpa", "UPI id", "success@razorpay")),
        element("p", {}, field("card", "or card number", "")),
        said,
        pay,
        " ",
        cancel,
      );
      this.dialog = element("dialog", { className: "razorpay-checkout" }, form);
      form.onsubmit = (event) => {
        event.preventDefault();
        pay.disabled = true;
        this.pay(form, said).finally(() => (pay.disabled = false));
      };
      cancel.onclick = () => this.dismiss();
      this.dialog.oncancel = (event) => {
        event.preventDefault();
        this.dismiss();
      };
      document.body.append(this.dialog);
      this.dialog.showModal();
    }

    close() {
      if (this.dialog) this.dialog.remove();
    }

    dismiss() {
      this.close();
      const { modal } = this.options;
      if (modal && modal.ondismiss) modal.ondismiss();
    }

    async pay(form, said) {
      const { key, order_id, amount, currency, description, prefill = {}, notes } = this.options;
      const card = form.elements.card.value.trim();
      const way = card ? { card } : { vpa: form.elements.vpa.value.trim() };
      const body = { key, order_id, amount, currency, description, notes, ...prefill, ...way };
      const answer = await fetch(base + "/v1/checkout/pay", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      const told = await answer.json();
      if (told.error) {
        said.textContent = told.error.description;
        (this.listeners["payment.failed"] || []).forEach((listener) => listener(told));
      } else if (told.razorpay_signature) {
        this.close();
        if (this.options.handler) this.options.handler(told);
      } else {
        said.textContent = "The payment is being processed. You may close this window.";
      }
    }
  }

  window.Razorpay = Razorpay;
})();
