// A small site over the API, so that the links in the mails lead somewhere. Who is signed in is known by the cookie.
const main = document.querySelector("main");
const query = Object.fromEntries(new URLSearchParams(location.search));
document.querySelector("#inbox").href = config.mailbox;

const call = async (method, path, body) => {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error ?? data.message);
  return data;
};

const put = (tag, text, attributes = {}, parent = main) => {
  const element = Object.assign(document.createElement(tag), { textContent: text, ...attributes });
  parent.append(element);
  return element;
};

const tell = (text, className = "done") => {
  document.querySelector(".told")?.remove();
  put("article", text, { className: `told ${className}` });
};

const form = (title, fields, button, action) => {
  put("h1", title);
  const element = put("form", "");
  for (const [name, attributes] of Object.entries(fields)) {
    const label = put("label", attributes.label ?? name, {}, element);
    put("input", "", { name, required: true, ...attributes }, label);
  }
  put("button", button, {}, element);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      tell(await action(Object.fromEntries(new FormData(element))));
    } catch (error) {
      tell(error.message, "failed");
    }
  });
  return element;
};

const email = { label: "E-mail", type: "email", value: query.email ?? "" };
const password = { label: "Password (8 characters or more)", type: "password" };

const money = (amount, currency) => new Intl.NumberFormat("en", { style: "currency", currency }).format(amount);

const PAID = "Paid. What we mailed you is in the inbox.";

const begin = (booking, gateway) => call("POST", "/api/payments/create-payment-intent", { bookingId: booking.id, gateway });

// The money of what the payer has agreed to is taken; where a gateway took it itself, this tells how it stands.
const capture = async (transactionId, proof) => {
  const { status } = await call("POST", "/api/payments/capture", { transactionId, proof });
  return status === "paid" ? PAID : "The money is on its way. We write to you when it is here.";
};

const load = (address) => new Promise((resolve, reject) => {
  const onerror = () => reject(new Error(`${address} cannot be loaded.`));
  document.head.append(Object.assign(document.createElement("script"), { src: address, onload: resolve, onerror }));
});

// How a page lets somebody pay by each gateway.
const ways = {
  stripe(booking, label, key) {
    const stripe = Stripe(key);
    const card = stripe.elements().create("card");
    const paying = form("By card", {}, "Pay by card", async () => {
      const { clientSecret } = await begin(booking, "stripe");
      const { error } = await stripe.confirmCardPayment(clientSecret, { payment_method: { card } });
      if (error) throw new Error(error.message);
      return PAID;
    });
    const field = Object.assign(document.createElement("label"), {
      textContent: "Card (4242 4242 4242 4242 pays, 4000 0000 0000 0002 is declined)",
    });
    paying.prepend(field);
    card.mount(put("div", "", { className: "card" }, field));
  },
  razorpay(booking, label) {
    form(label, {}, `Pay with ${label}`, async () => {
      const { transactionId, checkout } = await begin(booking, "razorpay");
      const { script, ...options } = checkout;
      if (!window.Razorpay) await load(script);
      return new Promise((resolve, reject) => {
        const handler = (proof) => capture(transactionId, proof).then(resolve, reject);
        const modal = { ondismiss: () => reject(new Error("Nothing was paid.")) };
        new Razorpay({ ...options, handler, modal }).open();
      });
    });
  },
  paypal(booking, label) {
    form(label, {}, `Pay with ${label}`, async () => {
      const { checkout } = await begin(booking, "paypal");
      location.href = checkout.approveUrl;
      return "…";
    });
  },
};

const pages = {
  async "/"() {
    put("h1", "Where to?");
    const columns = "id,title,description,price,duration,destinations";
    for (const row of await call("GET", `/rest/v1/packages?select=${columns}&order=id`)) {
      const card = put("article", "");
      put("b", row.title, {}, card);
      put("p", row.description, {}, card);
      put("p", `${row.duration} days · ${row.destinations.join(", ")} · ${money(row.price, config.currency)} a guest`, {}, card);
      put("a", "Book", { className: "button", href: `/book?package=${row.id}` }, card);
    }
  },
  "/signup"() {
    form("Sign up", { name: { label: "Name" }, email, password }, "Sign up", async (given) => {
      await call("POST", "/api/customers/register", given);
      return "Welcome! The mail with the link is in the inbox (above).";
    });
  },
  async "/verify-email"() {
    tell((await call("POST", "/api/customers/verify-email", query)).message + ". You can log in now.");
  },
  "/login"() {
    form("Log in", { email, password }, "Log in", async (given) => {
      const { customer } = await call("POST", "/api/customers/login", given);
      return `Hello ${customer.name}! Choose a trip, or look at your bookings.`;
    });
    form("Forgotten?", { email }, "Mail me a link", async (given) => {
      return (await call("POST", "/api/customers/forgot-password", given)).message;
    });
  },
  "/reset-password"() {
    form("A new password", { newPassword: password }, "Save", async (given) => {
      return (await call("POST", "/api/customers/reset-password", { ...query, ...given })).message;
    });
  },
  "/book"() {
    const fields = {
      customer_name: { label: "Name" },
      customer_email: email,
      travel_date: { label: "First day", type: "date" },
      number_of_guests: { label: "Guests", type: "number", value: 2, min: 1 },
    };
    form("Book", fields, "Book", async (given) => {
      const order = { ...given, package_id: Number(query.package), number_of_guests: Number(given.number_of_guests) };
      const { booking } = await call("POST", "/api/bookings", { ...order, customer_phone: "" });
      location.href = `/pay?booking=${booking.id}`;
      return "Booked.";
    });
  },
  async "/pay"() {
    const { booking } = await call("GET", `/api/bookings/${query.booking}`);
    put("h1", `${booking.packageName}: ${money(booking.totalPrice, booking.currency)}`);
    if (query.canceled) tell("Nothing was paid.", "failed");
    else if (query.transaction) return tell(await capture(query.transaction));
    const { gateways } = await call("GET", "/api/payments/gateways");
    for (const { name, label, publishableKey } of gateways) ways[name]?.(booking, label, publishableKey);
  },
  async "/dashboard"() {
    const { customer } = await call("GET", "/api/customers/me");
    put("h1", `${customer.name}, ${customer.loyalty_points} points`);
    for (const booking of (await call("GET", `/api/customers/${customer.id}/bookings`)).bookings) {
      const card = put("article", "");
      put("b", booking.packageName, {}, card);
      put("p", `${booking.startDate} · ${booking.guests} guests · ${money(booking.totalPrice, booking.currency)}`, {}, card);
      put("p", `${booking.status} · ${booking.paymentStatus}`, {}, card);
      if (booking.status === "pending") put("a", "Pay", { className: "button", href: `/pay?booking=${booking.id}` }, card);
    }
  },
};

// Where mails and gateways lead to: /payment/<booking>, as on the agency's own site.
const [, pay, booking] = location.pathname.match(/^\/(payment)\/([^/]+)$/) ?? [];
if (pay) query.booking = decodeURIComponent(booking);

try {
  await (pages[pay ? "/pay" : location.pathname] ?? pages["/"])();
} catch (error) {
  tell(error.message, "failed");
}
document.body.dataset.ready = "yes";
