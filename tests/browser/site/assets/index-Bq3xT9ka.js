// A small page that makes the existing site's calls in the existing site's way: half of them without /api, with
// `Bearer null` where the token is not at hand, by cookie, and straight to tables with supabase-js.
const supabase = window.supabase.createClient(location.origin, config.anonKey);
const main = document.querySelector("main");
const query = new URLSearchParams(location.search);

const call = async (method, path, body, authorization = { Authorization: `Bearer ${localStorage.getItem("no such key")}` }) => {
  const headers = { "Content-Type": "application/json", ...authorization };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error);
  return data;
};

const rows = async (request) => {
  const { data, error, count } = await request;
  if (error) throw new Error(error.message);
  return data ?? count;
};

const history = ({ name, email }, id, email_type, subject) => ({
  ...{ recipient_email: email, recipient_name: name, subject: `${subject} - somewhere`, body: "<h1>x</h1>", email_type },
  ...{ related_to: "booking", related_id: id, status: "pending" },
});

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
  // The first page asks for everything at once.
  async "/"() {
    const slides = supabase.from("site_settings").select("value").eq("key", "hero_slides").single();
    const [packages, faqs, slide] = await Promise.all([
      rows(supabase.from("packages").select("*, itineraries(*)").order("id")),
      rows(supabase.from("faqs").select("*").eq("published", true)),
      rows(slides),
      rows(supabase.from("site_settings").select("*")),
      rows(supabase.from("testimonials").select("*").eq("status", "published").order("id", { ascending: false }).limit(10)),
      rows(supabase.from("destinations").select("*").eq("featured", true).limit(6)),
    ]);
    show("packages", packages);
    show("faqs", faqs);
    show("slides", slide.value);
  },
  async "/live"() {
    supabase.channel("settings").on("postgres_changes", { event: "*", schema: "public", table: "site_settings" }).subscribe();
    show("live", "asked for");
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
  async "/book"() {
    const found = await rows(supabase.from("packages").select("*").eq("id", query.get("package")).single());
    form(["name", "email", "phone", "travel_date"], async (given) => {
      const today = new Date().toISOString().slice(0, 10);
      const states = { status: "Pending", payment_status: "Pending", source: "Website", message: "" };
      const booking = { ...given, package: found.title, booking_date: today, amount: found.price, ...states };
      const [{ id }] = await rows(supabase.from("bookings").insert([booking]).select("id"));
      // A visitor's mail is none of the page's business; what is answered to this the page does not look at.
      await supabase.from("email_history").insert([history(given, id, "booking_confirmation", "Booking Confirmation")]).select();
      return { id };
    });
  },
  async "/contact"() {
    form(["subject", "customer", "email"], async (given) => {
      const ticket = { ...given, status: "Open", priority: "Medium", category: "General", assigned_to: null };
      const last_update = new Date().toISOString();
      return rows(supabase.from("support_tickets").insert([{ ...ticket, last_update }]).select().single());
    });
    form(["name", "message"], async (given) => {
      const said = { ...given, location: "Website User", rating: 5, status: "pending", avatar: "" };
      const { error } = await supabase.from("testimonials").insert([{ ...said, date: new Date().toISOString() }]);
      return error ? Promise.reject(error) : "thank you";
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
      const sent = { bookingId: booking.id, amount: Math.round(booking.totalPrice * 100), currency: booking.currency };
      const who = query.has("guest") ? {} : undefined; // whom the page takes for a guest sends no header at all
      const { clientSecret } = await call("POST", "/api/payments/create-payment-intent", sent, who);
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
    show("bookings", await rows(supabase.from("bookings").select("*").order("id", { ascending: false }).limit(20)));
    form(["id", "status", "notes"], async ({ id, ...changes }) => {
      const { error } = await supabase.from("bookings").update(changes).eq("id", id);
      if (error) throw new Error(error.message);
      const [booking] = await rows(supabase.from("bookings").select("*").eq("id", id));
      const mail = history(booking, id, "status_update", `Booking ${changes.status}`);
      return { ...booking, mail: (await rows(supabase.from("email_history").insert([mail]).select()))[0].status };
    });
    show("users", await rows(supabase.from("admin_users").select("*")));
    show("tickets", await rows(supabase.from("support_tickets").select("*").or("status.eq.Open,priority.eq.High")));
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
