// The money desk. Data becomes text nodes, never HTML; the address says what is shown: ?transaction=…, or a search.
const WHY = {
  amount_mismatch: "What was taken does not fit the booking, which is not Paid by it.",
  double_payment: "The booking was paid more than once.",
  booking_cancelled: "It was paid although the booking is cancelled.",
  dispute: "The payer disputes it.",
};
const VERDICTS = {
  processed: "The event has had its effect now.",
  foreign: "The event is about a payment that is not ours.",
  duplicate: "The event had had its effect before; nothing changed.",
  unmatched: "Still nobody here knows the event's payment.",
  failed: "The event failed again.",
  ignored: "Events of this kind concern nothing here.",
};
const RIGHTS = {
  bookings_edit: "refund, replay events or reconcile",
  bookings_update_payment: "clear flags",
  bookings_export: "download the list",
};
const DAY = 86_400_000;
const find = (selector, within = document) => within.querySelector(selector);
let staff = null; // who is signed in: name, role, permissions
let exponents = {}; // decimals of currencies that have not two
let turn = 0; // of what is opened one after the other, the last is shown

// --- making elements

function make(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

function table(name, heads, rows) {
  // The roles are said, as a phone lays the rows out as blocks, which are no table to a screen reader.
  const line = (kind, role) => (cells) => make("tr", { role: "row" }, cells.map((cell) => make(kind, { role }, cell ?? "")));
  const parts = [make("thead", {}, line("th", "columnheader")(heads)), make("tbody", {}, rows.map(line("td", "cell")))];
  return make("table", { role: "table", "aria-label": name }, parts);
}

function action(text, work, label = text) {
  return make("button", { class: "quiet", "aria-label": label, onclick: ({ target }) => work(target) }, text);
}

const words = (slug) => (slug ?? "").replace(/^warning_/, "inquiry ").replaceAll("_", " ");
const inside = (href, text) => make("a", { href, "data-inside": true }, text);
const link = (id, text) => inside(`?transaction=${encodeURIComponent(id)}`, text);
const tag = (text, isBad = false) => make("span", { class: isBad ? "tag bad" : "tag" }, words(text));
const state = (payment) => [tag(payment.status), " ", payment.needs_review ? tag(payment.review_reason, true) : ""];
const small = (...text) => make("div", {}, make("small", {}, ...text));

function when(text) {
  const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  return text ? make("time", { datetime: text }, shown.format(new Date(text))) : "";
}

function deadline(text) {
  if (!text) return "none told";
  const left = new Date(text) - Date.now();
  const days = Math.floor(left / DAY);
  const said = left < 0 ? "is over" : days ? `${days} ${days === 1 ? "day" : "days"} left` : "less than a day left";
  return [make("strong", { class: days < 3 ? "bad" : "warn" }, said), small(when(text))];
}

// --- amounts: minor units inside, currency units outside

const places = (currency) => exponents[currency] ?? 2;

function money(amount, currency) {
  const digits = { minimumFractionDigits: places(currency), maximumFractionDigits: places(currency) };
  return new Intl.NumberFormat(undefined, { style: "currency", currency, ...digits }).format(units(amount, currency));
}

const price = (amount, currency) => make("span", { class: "price" }, money(amount, currency));

function units(amount, currency) {
  const digits = String(amount).padStart(places(currency) + 1, "0");
  const point = digits.length - places(currency);
  return places(currency) ? `${digits.slice(0, point)}.${digits.slice(point)}` : digits;
}

function minorUnits(text, currency) {
  const [, whole, part = ""] = /^(\d{1,12})(?:[.,](\d+))?$/.exec(text.trim()) ?? [];
  return whole && part.length <= places(currency) ? Number(whole + part.padEnd(places(currency), "0")) : NaN;
}

const awaitsAnswer = (dispute) => /needs_response$/.test(dispute.status);
// --- talking to the service

class Refusal extends Error {
  constructor(message, status = 0, requestId = null) {
    super(requestId ? `${message} (request ${requestId})` : message);
    this.status = status;
  }
}

async function call(method, path, body, headers = {}) {
  const given = body ? { body: JSON.stringify(body), headers: { ...headers, "Content-Type": "application/json" } } : {};
  const answer = await fetch(`/api${path}`, { method, ...given }).catch(() => {
    throw new Refusal("The service cannot be reached. Please look at your connection and try again.");
  });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const said = told.error ?? `The service answered with the error ${answer.status}.`;
  throw new Refusal(said, answer.status, answer.headers.get("X-Request-Id"));
}

const ask = async (...given) => (await call(...given)).json();
const may = (permission) => staff.permissions.includes(permission);

function say(text, isBad = false) {
  find("#said").textContent = text;
  find("#said").classList.toggle("bad", isBad);
}

// Do something with its button out of use meanwhile; what is refused is said as it is, who is not signed in may do so.
async function attempt(work, button = null) {
  say("");
  if (button) button.disabled = true;
  try {
    await work();
  } catch (error) {
    const isOver = error.status === 401 && find("#login").hidden;
    if (isOver) show("login");
    if (!isOver || staff) say(error instanceof Refusal ? error.message : `This page failed: ${error.message}`, true);
    if (isOver) staff = null;
  } finally {
    if (button) button.disabled = false;
  }
}

function onSubmit(form, work) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => work(new FormData(form)), find("button", form));
  });
}

// --- what is shown

function show(id) {
  const isOther = find(`#${id}`).hidden;
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
  find("#who").hidden = id === "login";
  if (isOther) find("h1", find(`#${id}`)).focus();
}

async function route() {
  const query = new URLSearchParams(location.search);
  const mine = ++turn;
  await attempt(async () => {
    find("#who").hidden = false; // also for who may look at nothing here
    const desk = await ask("GET", "/payments/desk");
    if (mine === turn) showDesk(desk);
    if (!query.has("transaction")) return showFound(query, mine);
    find("#transaction h1").textContent = "Transaction";
    find("#detail").replaceChildren();
    show("transaction");
    await showTransaction(query.get("transaction"), mine);
  });
}

function go(query) {
  history.pushState(null, "", `${location.pathname}${`${query}` && `?${query}`}`);
  return route();
}

function showDesk(desk) {
  ({ staff, exponents } = desk);
  find("#who span").textContent = `${staff.name} (${staff.role})`;
  for (const place of document.querySelectorAll("[data-may]")) place.hidden = !may(place.dataset.may);
  const missing = Object.keys(RIGHTS).filter((permission) => !may(permission)).map((permission) => RIGHTS[permission]);
  find("#limits").textContent = missing.length ? `The role ${staff.role} may look, but not ${missing.join(", or ")}.` : "";
  // What is disputed stands above the flags already.
  const others = desk.transactions.filter(({ id }) => desk.disputes.every((dispute) => dispute.transaction_id !== id));
  desk.totals.transactions -= desk.transactions.length - others.length;
  desk.transactions = others;
  const parts = [
    waiting(desk, "disputes", "Disputes, to be answered in the gateway's dashboard", ["Payment", "Amount", "State", "To be answered"], disputeRow),
    waiting(desk, "transactions", "Flagged payments", ["Payment", "Amount", "Why"], flagRow),
    waiting(desk, "refunds", "Refunds that failed", ["Payment", "Amount", "What happened"], refundRow),
    waiting(desk, "events", "Events without effect", ["Event", "Came", "State", ""], eventRow),
    waiting(desk, "emails", "Mails that cannot be sent", ["To", "Mail", "Why"], mailRow),
  ].filter(Boolean);
  find("#waiting").replaceChildren(...(parts.length ? parts : [make("p", {}, "Nothing. All is settled.")]));
}

function waiting(desk, kind, name, heads, row) {
  const rows = desk[kind];
  if (!rows.length) return null;
  const rest = desk.totals[kind] - rows.length;
  const more = rest > 0 ? make("p", { class: "pale" }, `And ${rest} older ones.`) : null;
  const title = make("h2", {}, `${name} (${desk.totals[kind]})`);
  return make("section", { id: kind }, title, table(name, heads, rows.map(row)), more);
}

const about = (booking) => [booking?.package, booking?.email].filter(Boolean).join(" · ");
const payer = (id, booking) => [link(id, booking?.name || "without a booking"), small(about(booking))];
const disputeRow = (dispute) => [
  payer(dispute.transaction_id, dispute.bookings), price(dispute.amount, dispute.currency),
  [tag(dispute.status, true), small(words(dispute.reason))], deadline(dispute.due_by),
];
const whyFlagged = ({ review_reason: reason, dispute_status: dispute }) => (
  (WHY[reason] ?? `${words(reason)}.`) + (reason === "dispute" ? ` State of the dispute: ${words(dispute)}.` : "")
);
const flagRow = (payment) => [
  payer(payment.id, payment.bookings), price(payment.amount, payment.currency),
  [tag(payment.review_reason, true), small(whyFlagged(payment), " ", when(payment.created_at))],
];
const refundRow = (refund) => [
  payer(refund.transaction_id, refund.bookings), price(refund.amount, refund.currency),
  [
    tag(refund.status === "reserved" ? "outcome unknown" : refund.status, true), ` ${refund.last_error ?? ""}`,
    small(`“${refund.reason ?? ""}”, ${refund.requested_by}, `, when(refund.created_at)),
  ],
];
const eventRow = (event) => [
  [event.type, small(make("code", {}, event.id))], small(when(event.received_at)),
  [tag(event.is_given_up ? "given up" : event.state, true), small(`Tries: ${event.attempts}. ${whyIdle(event)}`)],
  may("bookings_edit") ? action("Replay", (button) => replay(event.id, button), `Replay ${event.id}`) : "",
];
const whyIdle = (event) => event.last_error ?? (event.state === "unmatched" ? "Nobody here knows its payment." : "");
const mailRow = (mail) => [mail.recipient, [words(mail.template), small(when(mail.finished_at))], mail.last_error];

async function replay(id, button) {
  await attempt(async () => {
    const { verdict } = await ask("POST", `/payments/events/${encodeURIComponent(id)}/replay`);
    showDesk(await ask("GET", "/payments/desk"));
    say(VERDICTS[verdict] ?? verdict, verdict === "failed" || verdict === "unmatched");
  }, button);
}

async function showFound(query, mine) {
  const form = find("#search");
  for (const name of ["q", "status"]) form.elements[name].value = query.get(name) ?? "";
  form.elements.needs_review.checked = query.get("needs_review") === "true";
  const asked = new URLSearchParams([...query].filter(([name, value]) => value && name !== "limit"));
  const { transactions, pagination } = await ask("GET", `/payments/transactions?limit=20&${asked}`);
  if (mine !== turn) return;
  const rows = transactions.map((payment) => [
    payer(payment.id, payment.bookings), [price(payment.amount, payment.currency), given(payment)], state(payment),
    small(when(payment.created_at)),
  ]);
  const { page, total, totalPages } = pagination;
  const turnTo = (to, text) => action(text, () => go(new URLSearchParams({ ...Object.fromEntries(asked), page: to })));
  const list = rows.length ? table("Transactions", ["Payer", "Amount", "State", "Begun"], rows) : make("p", {}, "None found.");
  find("#found").replaceChildren(list, make(
    "p", {}, `${total} in all${totalPages > 1 ? `, page ${page} of ${totalPages}` : ""} `,
    page > 1 ? turnTo(page - 1, "Newer") : "", " ", page < totalPages ? turnTo(page + 1, "Older") : "",
  ));
  show("desk");
  if (location.search) find("#search").scrollIntoView(); // what was asked for, below all that waits
}

function given(payment) {
  const told = [[payment.amount_refunded, "refunded"], [payment.amount_withdrawn, "taken by a dispute"]];
  return told.filter(([amount]) => amount).map(([amount, how]) => small(price(amount, payment.currency), ` ${how}`));
}

// --- one transaction

async function showTransaction(id, mine = turn) {
  const payment = await ask("GET", `/payments/transactions/${encodeURIComponent(id)}`);
  if (mine !== turn) return;
  const booking = payment.bookings;
  const isPaid = ["completed", "refunded"].includes(payment.status);
  const facts = {
    State: [state(payment), payment.failure_code ? ` ${words(payment.failure_code)}` : ""],
    Payer: [booking?.name ?? "", small(booking?.email ?? "")],
    Booking: booking ? [booking.package ?? "", small(inside(`?q=${booking.id}`, "all payments of this booking"))] : "deleted",
    ...(isPaid ? { Kept: [money(payment.amount_left, payment.currency), given(payment)] } : {}),
    "Paid by": `${words(payment.payment_method) || "–"}, ${payment.gateway}`,
    Ids: ["gateway_payment_id", "id", "booking_id"].map((name) => make("div", {}, make("code", {}, payment[name] ?? ""))),
  };
  find("#transaction h1").textContent = `${money(payment.amount, payment.currency)}, ${booking?.name ?? "without a booking"}`;
  find("#detail").replaceChildren(
    make("dl", {}, Object.entries(facts).map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    ...[reviewForm(payment), refundForm(payment)].filter(Boolean),
    ...section("Disputes", payment.disputes, ["Amount", "State", "To be answered", "Gateway's id"], (dispute) => [
      price(dispute.amount, payment.currency), [tag(dispute.status), small(words(dispute.reason))],
      awaitsAnswer(dispute) ? deadline(dispute.due_by) : "nothing to do", make("code", {}, dispute.gateway_dispute_id),
    ]),
    ...section("Refunds", payment.refunds, ["Amount", "State", "Reason", "Asked"], (refund) => [
      price(refund.amount, payment.currency), tag(refund.status, refund.status === "failed"),
      make("span", { class: "said" }, refund.reason ?? ""), [when(refund.created_at), small(refund.requested_by)],
    ]),
    make("h2", {}, "What happened"),
    make("ol", { class: "timeline" }, payment.transaction_audit_logs.map((entry, at, log) => (
      moment(entry, log[at - 1], payment.currency)
    ))),
  );
  show("transaction");
}

function section(name, rows, heads, row) {
  return rows.length ? [make("h2", {}, name), table(name, heads, rows.map(row))] : [];
}

function moment(entry, before, currency) {
  const reason = entry.reason ? make("p", { class: "said pale" }, entry.reason) : null;
  const what = make("p", {}, make("strong", {}, changes(entry, before, currency).join(", ")));
  return make("li", {}, make("small", {}, when(entry.created_at), ` · ${entry.changed_by}`), what, reason);
}

function changes(entry, before, currency) {
  if (!before) return [`${words(entry.new_status)}: ${money(entry.amount, currency)}`];
  const told = [];
  const grown = (name) => entry[name] - before[name];
  const moved = (name, went, came) => {
    if (grown(name)) told.push(`${money(Math.abs(grown(name)), currency)} ${grown(name) > 0 ? went : came}`);
  };
  if (entry.new_status !== before.new_status) told.push(entry.new_status);
  if (grown("amount")) told.push(`now ${money(entry.amount, currency)}`);
  moved("amount_refunded", "refunded", "of a refund came back");
  moved("amount_withdrawn", "taken by a dispute", "given back by a dispute");
  if (entry.dispute_status !== before.dispute_status) told.push(`dispute: ${words(entry.dispute_status)}`);
  if (entry.review_reason !== before.review_reason) {
    told.push(entry.review_reason ? `flagged: ${words(entry.review_reason)}` : "flag cleared");
  }
  return told.length ? told : ["noted"];
}

function opened(name, ...content) {
  return make("details", {}, make("summary", {}, name), ...content);
}

function reviewForm(payment) {
  if (!payment.needs_review) return null;
  const why = make("p", {}, make("strong", { class: "bad" }, `Flagged: ${whyFlagged(payment)}`));
  if (!may("bookings_update_payment")) return why;
  const note = make("input", { name: "note", required: true, maxlength: "500", autocomplete: "off" });
  const form = make(
    "form", {}, make("label", { class: "wide" }, "What was done about it ", note), make("button", {}, "Clear the flag"),
    payment.review_reason === "amount_mismatch" ? make("small", {}, "The booking then counts as paid by what was taken.") : "",
  );
  onSubmit(form, async () => {
    await ask("PATCH", `/payments/transactions/${payment.id}`, { review: "resolved", note: note.value });
    await showTransaction(payment.id);
    say("The flag is cleared, and your note is in the log.");
  });
  return make("div", {}, why, opened("Clear the flag", form));
}

function refundForm(payment) {
  const { currency } = payment;
  if (payment.status !== "completed" || !payment.amount_left || !may("bookings_edit")) return null;
  if (payment.gateway === "manual") {
    return make("p", { class: "pale" }, "Paid by other means: it is given back the same way, and noted at the booking.");
  }
  const field = (name, more) => make("input", { name, required: true, autocomplete: "off", ...more });
  const amount = field("amount", { inputmode: "decimal", value: units(payment.amount_left, currency) });
  const reason = field("reason", { maxlength: "500" });
  const button = make("button", {}, "");
  const form = make(
    "form", { oninput: changed }, make("label", {}, `Amount in ${currency.toUpperCase()} `, amount),
    make("label", { class: "wide" }, "Reason, for the log ", reason), button,
    make("small", {}, `${money(payment.amount_left, currency)} is left; that is all of it. Write less to give a part back.`),
  );
  let key; // one per refund that is meant: a second click, or a try after no answer, sends nothing twice
  function changed() {
    key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const asked = minorUnits(amount.value, currency);
    const isGood = asked > 0 && asked <= payment.amount_left;
    amount.setCustomValidity(isGood ? "" : `Please give an amount up to ${units(payment.amount_left, currency)}.`);
    button.textContent = isGood ? `Refund ${money(asked, currency)}` : "Refund";
  }
  changed();
  onSubmit(form, async () => {
    const which = { bookingId: payment.booking_id, transactionId: payment.id };
    const asked = { ...which, amount: minorUnits(amount.value, currency), reason: reason.value };
    try {
      const refund = await ask("POST", "/payments/refund", asked, { "Idempotency-Key": key });
      await showTransaction(payment.id);
      say(refundSaid(refund, money(refund.amount, currency)), !refund.success);
    } catch (error) {
      if ([400, 404].includes(error.status)) changed(); // nothing was begun: the next try is another
      throw error;
    }
  });
  return opened("Refund", form);
}

function refundSaid(refund, amount) {
  if (!refund.success) return `The refund of ${amount} failed: ${words(refund.status)}.`;
  if (refund.repeated) return `This refund of ${amount} had been made before; nothing was sent twice.`;
  return refund.status === "pending" ? `The refund of ${amount} is under way.` : `${amount} were refunded.`;
}

// --- what people do

onSubmit(find("#login form"), async (given) => {
  await ask("POST", "/auth/login", Object.fromEntries(given));
  find("#login form").reset();
  find("#login").hidden = true; // whoever may look at nothing here sees why, and no form
  await route();
});
onSubmit(find("#search"), (given) => go(new URLSearchParams([...given].filter(([, value]) => value))));
onSubmit(find("#export"), async (given) => {
  const answer = await call("GET", `/payments/transactions.csv?${new URLSearchParams(given)}`);
  const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))[1];
  const file = URL.createObjectURL(await answer.blob());
  make("a", { href: file, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(file), 60_000);
  say(`${name} is downloaded.`);
});
find("#reconcile").addEventListener("click", ({ target }) => attempt(async () => {
  const done = await ask("POST", "/payments/reconcile");
  await route();
  const asked = `Payments asked about: ${done.payments}, refunds: ${done.refunds}, events applied: ${done.events}.`;
  const failed = done.errors ? ` Steps that failed, for the next run to try again: ${done.errors}.` : "";
  say(`${asked} Events that still wait: ${done.waiting + done.unmatched}.${failed}`, done.errors > 0);
}, target));
find("#sign-out").addEventListener("click", ({ target }) => attempt(async () => {
  await call("POST", "/auth/logout");
  staff = null;
  show("login");
  say("You are signed out.");
}, target));
document.addEventListener("click", (event) => {
  const place = event.target.closest("a[data-inside]");
  if (!place || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(new URL(place.href).search.slice(1));
});
addEventListener("popstate", route);
const today = new Date().toLocaleDateString("sv");
find("#export").elements.from.value = `${today.slice(0, 8)}01`;
find("#export").elements.to.value = today;
route();
