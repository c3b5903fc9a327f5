// Stands in for Stripe.js: a page that has this script pays at the local Stripe, with a card field that a person can type
// into. A page that loads Stripe.js by @stripe/stripe-js takes the `window.Stripe` that is there already.
// Card elements, tokens, payment methods and card payments, with the 3-D Secure box as a question of the browser.
(() => {
  const origin = new URL(document.currentScript.src).origin;
  const INPUT = "border: 0; outline: 0; padding: 0; margin: 0; min-width: 0; background: none; font: inherit; color: inherit;";

  // {card: {number: 1}} as card[number]=1
  const flat = (value, name = "") =>
    value !== null && typeof value === "object"
      ? Object.entries(value).flatMap(([key, inner]) => flat(inner, name ? `${name}[${key}]` : key))
      : value === undefined || value === null
        ? []
        : [[name, String(value)]];

  const call = async (key, method, path, params = {}) => {
    const form = new URLSearchParams(flat(params));
    const headers = { Authorization: `Bearer ${key}` };
    try {
      const answer =
        method === "GET"
          ? await fetch(`${origin}${path}?${form}`, { headers })
          : await fetch(origin + path, { method, headers, body: form });
      const body = await answer.json();
      return answer.ok ? { body } : { error: body.error };
    } catch {
      return { error: { type: "api_connection_error", message: "The local Stripe does not answer. Is it running?" } };
    }
  };

  class CardElement {
    constructor() {
      this.listeners = {};
      this.place = document.createElement("div");
      this.place.style.cssText = "display: flex; gap: 1em; align-items: center;";
      const year = String(new Date().getFullYear() + 4).slice(2);
      this.number = this.input("Card number", "4242 4242 4242 4242", "", "flex: 1;");
      this.expiry = this.input("Expiry date", "MM / YY", `12 / ${year}`, "width: 5em;");
      this.cvc = this.input("Security code", "CVC", "123", "width: 3em;");
      this.place.addEventListener("input", () => this.changed());
    }

    input(label, placeholder, value, style) {
      const input = document.createElement("input");
      Object.assign(input, { placeholder, value, inputMode: "numeric", autocomplete: "off" });
      input.setAttribute("aria-label", label);
      input.style.cssText = INPUT + style;
      for (const name of ["focus", "blur"]) input.addEventListener(name, () => this.emit(name, { elementType: "card" }));
      this.place.append(input);
      return input;
    }

    changed() {
      const digits = this.number.value.replace(/\D/g, "").slice(0, 16);
      this.number.value = digits.replace(/(.{4})(?=.)/g, "$1 ");
      const complete = digits.length === 16 && /^\d\d?\s*\/?\s*\d\d$/.test(this.expiry.value.trim()) && this.cvc.value !== "";
      const value = { postalCode: "" };
      this.emit("change", { elementType: "card", brand: "unknown", empty: !digits, complete, error: undefined, value });
    }

    // What the API takes as a card.
    card() {
      const [month, year] = this.expiry.value.split("/").map((part) => part.trim());
      return { number: this.number.value.replace(/\D/g, ""), exp_month: month, exp_year: year, cvc: this.cvc.value };
    }

    emit(name, event) {
      for (const listener of this.listeners[name] ?? []) listener(event);
    }

    on(name, listener) {
      (this.listeners[name] ??= []).push(listener);
      return this;
    }

    once(name, listener) {
      const heard = (event) => {
        this.off(name, heard);
        listener(event);
      };
      return this.on(name, heard);
    }

    off(name, listener) {
      this.listeners[name] = listener ? (this.listeners[name] ?? []).filter((each) => each !== listener) : [];
      return this;
    }

    mount(target) {
      const parent = typeof target === "string" ? document.querySelector(target) : target;
      if (!parent) throw new Error(`There is no element ${target} to put the card field into.`);
      parent.replaceChildren(this.place);
      setTimeout(() => this.emit("ready", { elementType: "card" }));
    }

    unmount() {
      this.place.remove();
    }

    destroy() {
      this.unmount();
      this.listeners = {};
    }

    update(options) {
      for (const input of this.place.children) if (options?.disabled !== undefined) input.disabled = options.disabled;
    }

    focus() {
      this.number.focus();
    }

    blur() {
      document.activeElement?.blur();
    }

    clear() {
      this.number.value = "";
      this.changed();
    }
  }

  const elements = () => {
    const made = {};
    const named = (type) => (typeof type === "string" ? type : (type?.__elementType ?? "card"));
    return {
      create(type) {
        if (named(type) !== "card") throw new Error(`The local Stripe.js has card elements only, no ${named(type)}.`);
        return (made.card = new CardElement());
      },
      getElement: (type) => made[named(type)] ?? null,
      update() {},
      on() {},
      fetchUpdates: async () => ({}),
      submit: async () => ({}),
    };
  };

  // {card: element or {token}, billing_details} as the API takes it.
  const method = ({ card, billing_details }) => ({
    type: "card",
    card: card instanceof CardElement ? card.card() : card,
    billing_details,
  });

  window.Stripe = (key) => {
    const id = (secret) => secret.split("_secret_")[0];

    const retrievePaymentIntent = async (client_secret) => {
      const { body, error } = await call(key, "GET", `/v1/payment_intents/${id(client_secret)}`, { client_secret });
      return error ? { error } : { paymentIntent: body };
    };

    const authenticated = async (client_secret) => {
      const success = window.confirm("3-D Secure: your bank asks whether you are paying this. Are you?");
      const path = `/v1/payment_intents/${id(client_secret)}/_authenticate`;
      const { body, error } = await call(key, "POST", path, { key, client_secret, success });
      if (error) return { error };
      return body.status === "requires_payment_method" ? { error: body.last_payment_error } : { paymentIntent: body };
    };

    const confirmCardPayment = async (client_secret, data = {}) => {
      const given = data.payment_method;
      const params = { client_secret, return_url: data.return_url };
      if (typeof given === "string") params.payment_method = given;
      else if (given) params.payment_method_data = method(given);
      const path = `/v1/payment_intents/${id(client_secret)}/confirm`;
      const { body, error } = await call(key, "POST", path, params);
      if (error) return { error };
      return body.status === "requires_action" ? authenticated(client_secret) : { paymentIntent: body };
    };

    return {
      elements,
      retrievePaymentIntent,
      confirmCardPayment,
      handleCardAction: authenticated,
      handleNextAction: ({ clientSecret }) => authenticated(clientSecret),
      async createPaymentMethod(given) {
        const { body, error } = await call(key, "POST", "/v1/payment_methods", { key, ...method(given) });
        return error ? { error } : { paymentMethod: body };
      },
      async createToken(element) {
        const { body, error } = await call(key, "POST", "/v1/tokens", { key, card: element.card() });
        return error ? { error } : { token: body };
      },
      registerAppInfo() {},
      _registerWrapper() {},
    };
  };
  window.Stripe.version = "clover"; // what @stripe/stripe-js 8 looks for; it warns at another, and goes on
})();
