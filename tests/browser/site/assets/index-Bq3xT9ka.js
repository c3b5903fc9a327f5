// A small page that makes the existing site's calls in the existing site's way: half of them without /api, with
// `Bearer null` where the token is not at hand, by cookie, and straight to tables with supabase-js.
const supabase = window.supabase.createClient(location.origin, config.anonKey);
const main = document.querySelector("main");
const query = new URLSearchParams(location.search);

const call = async (method, path, body, bearer = localStorage.getItem("no such key")) => {
  const answer = await fetch(path, {
    method,
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${bearer}` },
    body: body && JSON.stringify(body),
  });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error);
  return data;
};

const rows = async (request) => {
  const { data, error, count } = await request;
  if (error) throw new Error(error.message);
  return data ?? count;
};

const show = (id, value) => {
  const line = document.createElement("pre");
  line.id = id;
  line.textContent = typeof value === "string" ? value : JSON.stringify(value);
  document.getElementById(id)?.remove();
  main.append(line);
};

const form = (fields, action) => {
  const element = document.createElement("form");
  element.innerHTML = fields.map((name) => `<input name="${name}" placeholder="${name}">`).join("") + "<button>Go</button>";
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      show("done", await action(Object.fromEntries(new FormData(element))));
    } catch (error) {
      show("failed", error.message);
    }
  });
  main.append(element);
};

const pages = {
  async "/"() {
    show("packages", await rows(supabase.from("packages").select("*, itineraries(*)").order("id")));
    show("faqs", await rows(supabase.from("faqs").select("*").eq("published", true)));
  },
  async "/signup"() {
    form(["name", "email", "password"], (given) => call("POST", "/customers/register", { ...given, phone: "" }));
  },
  async "/verify-email"() {
    const given = { token: query.get("token"), customerId: query.get("customerId") };
    show("done", await call("POST", "/customers/verify-email", given));
  },
  async "/login"() {
    form(["email", "password"], (given) => call("POST", "/api/customers/login", given));
  },
  async "/enquire"() {
    form(["name", "email", "package"], async (given) => {
      const today = new Date().toISOString().slice(0, 10);
      const booking = { ...given, phone: "", travel_date: "2031-05-01", booking_date: today, amount: 1, message: "" };
      const states = { status: "Pending", payment_status: "Pending", source: "Website" };
      return rows(supabase.from("bookings").insert([{ ...booking, ...states }]).select());
    });
    form(["subject", "customer", "email"], async (given) => {
      const ticket = { ...given, status: "Open", priority: "Medium", category: "General", assigned_to: null };
      const last_update = new Date().toISOString();
      return rows(supabase.from("support_tickets").insert([{ ...ticket, last_update }]).select().single());
    });
  },
  async "/book"() {
    form(["customer_name", "customer_email", "travel_date", "number_of_guests"], async (given) => {
      const order = { ...given, customer_phone: "", package_id: query.get("package"), amount: 1 };
      return (await call("POST", "/api/bookings", order)).booking;
    });
  },
  async "/pay"() {
    const { booking } = await call("GET", `/api/bookings/${query.get("booking")}`);
    show("booking", booking);
    await new Promise((loaded, refused) => {
      const script = document.createElement("script");
      Object.assign(script, { src: `${config.stripeUrl}/js.stripe.com/v3/`, onload: loaded, onerror: refused });
      document.head.append(script);
    });
    const stripe = Stripe(config.stripeKey);
    const card = stripe.elements().create("card");
    form([], async () => {
      const { clientSecret } = await call("POST", "/api/payments/create-payment-intent", {
        bookingId: booking.id,
        amount: Math.round(booking.totalPrice * 100),
        currency: booking.currency,
      });
      const { paymentIntent, error } = await stripe.confirmCardPayment(clientSecret, { payment_method: { card } });
      if (error) throw new Error(error.message);
      return paymentIntent.status;
    });
    const place = document.createElement("div");
    main.append(place);
    card.mount(place);
  },
  async "/dashboard"() {
    const { customer } = await call("GET", "/customers/me");
    show("customer", customer);
    show("bookings", (await call("GET", `/customers/${customer.id}/bookings`)).bookings);
  },
  async "/admin/login"() {
    form(["email", "password"], async (given) => (await call("POST", "/api/auth/login", given)).user);
  },
  async "/admin"() {
    const count = supabase.from("bookings").select("*", { count: "exact", head: true });
    show("count", String(await rows(count)));
    const newest = supabase.from("bookings").select("*").order("created_at", { ascending: false }).limit(20);
    show("bookings", await rows(newest));
    show("users", await rows(supabase.from("admin_users").select("*")));
    show("tickets", await rows(supabase.from("support_tickets").select("*").or("status.eq.Open,priority.eq.High")));
    form(["id", "status", "notes"], ({ id, ...changes }) =>
      rows(supabase.from("bookings").update(changes).eq("id", id).select()),
    );
  },
  async "/admin/settings"() {
    show("settings", await call("GET", "/api/settings"));
    form(["siteName"], (value) => call("POST", "/api/settings", { key: "general_settings", value }));
    form(["key", "value"], ({ key, value }) =>
      rows(supabase.from("site_settings").upsert({ key, value: { text: value } }, { onConflict: "key" }).select()),
    );
  },
};

try {
  await pages[location.pathname]?.();
} catch (error) {
  show("failed", error.message);
}
document.body.dataset.ready = "yes";
