-- A little believable data for a local database: `make run` and `supabase db reset` load it. Never on a live project: the
-- password of its staff is public. Running it again adds only what is missing. The pictures lie in tools/site; `make run`
-- puts the address of its site in place of localhost:3000. Choices are those that the site's own forms offer.

insert into public.packages
  (title, description, price, duration, image, destinations, featured, rating, accommodations, included, excluded)
select title, description, price, duration, image, destinations, featured, rating, accommodations, included, excluded
from (values
  (
    1, 'Annapurna Base Camp Trek', 'Terraced fields, rhododendron woods and a night under eight-thousanders.', 899.00, 11,
    'http://localhost:3000/pictures/annapurna.svg', array['Pokhara', 'Ghandruk', 'Annapurna Base Camp'], true, 4.8,
    'Tea houses, hotel in Pokhara', array['Guide and porter', 'Permits', 'All meals on the trek'],
    array['International flights', 'Travel insurance']
  ),
  (
    2, 'Kathmandu Valley Heritage', 'Four days among stupas, squares and workshops of three old royal cities.', 299.99, 4,
    'http://localhost:3000/pictures/kathmandu.svg', array['Kathmandu', 'Patan', 'Bhaktapur'], true, 4.6,
    'Boutique hotel in Patan', array['City guide', 'Entrance fees', 'Breakfast'], array['Lunch and dinner']
  ),
  (
    3, 'Chitwan Jungle Safari', 'By canoe and on foot through the park of the one-horned rhinoceros.', 349.50, 3,
    'http://localhost:3000/pictures/chitwan.svg', array['Chitwan'], false, 4.5,
    'Jungle lodge', array['Park fees', 'Full board', 'Naturalist'], array['Drinks', 'Tips']
  ),
  (
    4, 'Upper Mustang Caravan', 'The walled kingdom behind the Himalaya, by jeep and on horseback.', 1890.00, 14,
    'http://localhost:3000/pictures/mustang.svg', array['Jomsom', 'Kagbeni', 'Lo Manthang'], false, 4.9,
    'Lodges and home stays', array['Restricted-area permit', 'Jeep', 'Guide'], array['Horse hire', 'Insurance']
  )
) as seed (
  rank, title, description, price, duration, image, destinations, featured, rating, accommodations, included, excluded
)
where not exists (select from public.packages p where p.title = seed.title)
order by rank;

insert into public.itineraries (package_id, day, title, description)
select p.id, seed.day, seed.title, seed.description
from (values
  ('Annapurna Base Camp Trek', 1, 'To Pokhara', 'Drive along the Trishuli, evening at the lake.'),
  ('Annapurna Base Camp Trek', 2, 'To Ghandruk', 'Jeep to Nayapul, five hours on foot.'),
  ('Annapurna Base Camp Trek', 6, 'Annapurna Base Camp', 'Over the moraine to 4,130 metres.'),
  ('Kathmandu Valley Heritage', 1, 'Arrival', 'Transfer to Patan, walk over Durbar Square.'),
  ('Kathmandu Valley Heritage', 2, 'Stupas', 'Swayambhu at sunrise, Boudha in the afternoon.'),
  ('Kathmandu Valley Heritage', 3, 'Bhaktapur', 'Potters, woodcarvers and the five-storeyed temple.'),
  ('Kathmandu Valley Heritage', 4, 'Departure', 'Time to shop, transfer to the airport.'),
  ('Chitwan Jungle Safari', 1, 'To Sauraha', 'Village walk and Tharu dances.'),
  ('Chitwan Jungle Safari', 2, 'In the park', 'Canoe at dawn, jeep safari until dusk.'),
  ('Chitwan Jungle Safari', 3, 'Birds and back', 'Early bird walk, return by coach.')
) as seed (package, day, title, description)
join public.packages p on p.title = seed.package
where not exists (select from public.itineraries i where i.package_id = p.id and i.day = seed.day);

insert into public.destinations
  (name, region, description, image, featured, altitude, best_season, difficulty, attractions, activities, best_for,
   latitude, longitude)
select * from (values
  (
    'Pokhara', 'Gandaki', 'A lake town below the Annapurnas.', 'http://localhost:3000/pictures/pokhara.svg', true, 822,
    'October to April', 'Easy', array['Phewa Lake', 'Sarangkot'], array['Boating', 'Paragliding'],
    array['Families', 'Trekkers'], 28.2096, 83.9856
  ),
  (
    'Bhaktapur', 'Bagmati', 'Brick lanes and potters'' squares of the old royal city.',
    'http://localhost:3000/pictures/kathmandu.svg', true, 1401, 'September to May', 'Easy',
    array['Durbar Square', 'Nyatapola Temple'], array['City walks', 'Pottery'], array['Culture lovers'], 27.671, 85.4298
  ),
  (
    'Lo Manthang', 'Mustang', 'The walled capital of the upper Kali Gandaki.', 'http://localhost:3000/pictures/mustang.svg', false,
    3840, 'May to October', 'Challenging', array['Royal palace', 'Chhoser caves'], array['Trekking', 'Riding'],
    array['Adventurers'], 29.1833, 83.9667
  )
) as seed (name, region, description, image, featured, altitude, best_season, difficulty, attractions, activities,
           best_for, latitude, longitude)
where not exists (select from public.destinations d where d.name = seed.name);

insert into public.gallery (title, location, image, image_url, description, category)
select title, location, image, image, description, category from (values
  ('Morning over Machapuchare', 'Pokhara', 'http://localhost:3000/pictures/annapurna.svg', 'The Fishtail from Sarangkot.', 'Landscapes'),
  ('Prayer flags', 'Boudha', 'http://localhost:3000/pictures/prayer-flags.svg', 'Wind around the great stupa.', 'Culture'),
  ('A rhinoceros crosses', 'Chitwan', 'http://localhost:3000/pictures/chitwan.svg', 'Seen from the canoe.', 'Nature')
) as seed (title, location, image, description, category)
where not exists (select from public.gallery g where g.title = seed.title);

insert into public.testimonials (name, location, rating, message, status, avatar)
select * from (values
  ('Maya Lindqvist', 'Uppsala', 5, 'Our guide knew every tea house and every peak. We slept well and ate better.', 'published', ''),
  ('Tomás Herrera', 'Valencia', 4, 'Three days in Chitwan, four rhinos, one tiger track.', 'published', ''),
  ('Priya Nair', 'Kochi', 5, 'Patan by night was the best idea of the whole tour.', 'pending', '')
) as seed (name, location, rating, message, status, avatar)
where not exists (select from public.testimonials t where t.name = seed.name);

insert into public.faqs (question, answer, category, published)
select * from (values
  ('Do I need a visa?', 'Most nationalities get one on arrival at Kathmandu airport.', 'Before you go', true),
  ('When is the best time to trek?', 'October and November, then March to May.', 'Trekking', true),
  ('Can I pay in parts?', 'Ask us: we are working on it.', 'Payment', false)
) as seed (question, answer, category, published)
where not exists (select from public.faqs f where f.question = seed.question);

insert into public.blog_posts (title, excerpt, content, author, category, tags, status, image)
select * from (values
  (
    'What to pack for a tea-house trek', 'Less than you think.', 'A warm layer, a dry layer, a book to swap.',
    'Sunita', 'Travel Tips', array['packing', 'trekking'], 'Published', 'http://localhost:3000/pictures/annapurna.svg'
  ),
  (
    'Five temples before breakfast', 'A walk.', 'Still being written.',
    'Sunita', 'Culture', array['kathmandu'], 'Draft', 'http://localhost:3000/pictures/kathmandu.svg'
  )
) as seed (title, excerpt, content, author, category, tags, status, image)
where not exists (select from public.blog_posts b where b.title = seed.title);

insert into public.site_settings (key, value)
values
  ('general_settings', '{
    "siteName": "JKLG Travel", "siteEmails": ["hello@jklg.example"], "sitePhones": ["+977 1 5550100"],
    "siteAddress": "12 Jhamsikhel Road, Lalitpur, Nepal", "logoUrl": "http://localhost:3000/pictures/logo.svg", "logoSize": 40,
    "removeLogoBg": true
  }'),
  ('social_links', '{"facebook": "", "instagram": "", "twitter": "", "youtube": ""}'),
  ('hero_slides', '[
    {
      "id": 1, "title": "Walk among giants", "subtitle": "Tea houses, rhododendron woods and eight-thousanders",
      "image": "http://localhost:3000/pictures/annapurna.svg", "cta": "See our trips", "link": "/packages"
    },
    {
      "id": 2, "title": "Three old royal cities", "subtitle": "Four days among stupas, squares and workshops",
      "image": "http://localhost:3000/pictures/kathmandu.svg", "cta": "Ask us", "link": "/contact"
    }
  ]'),
  ('display_settings', '{"featuredPackages": 3}')
on conflict (key) do nothing;

-- Both sign in with the password travel-demo-2026.
insert into public.admin_users (name, email, phone, role, status)
select * from (values
  ('Asha Gurung', 'admin@jklg.example', '+977 1 5550100', 'Admin', 'Active'),
  ('Dorje Lama', 'guide@jklg.example', '+977 1 5550101', 'Guide', 'Active')
) as seed (name, email, phone, role, status)
where not exists (select from public.admin_users a where lower(a.email) = seed.email);
insert into public.staff_credentials (staff_id, password_hash)
select a.id, '$2b$10$LK0Rlaeh6H9JD4JQeFBzL.xrvVYisTmNzM9B1Id3dcXMD5.v5eMvK'
from public.admin_users a where a.email in ('admin@jklg.example', 'guide@jklg.example')
on conflict (staff_id) do nothing;

insert into public.bookings
  (name, email, phone, package, package_id, travel_date, return_date, number_of_guests, amount, status, source, message,
   assigned_to)
select seed.name, seed.email, seed.phone, p.title, p.id, current_date + seed.days, current_date + seed.days + p.duration,
  seed.guests, p.price * seed.guests, seed.status, 'Website', seed.message,
  seed.assigned_to
from (values
  ('Ada Byron', 'ada@example.com', '+44 20 5550111', 'Kathmandu Valley Heritage', 60, 2, 'Pending', 'Two singles, please.', ''),
  ('Grace Hopper', 'grace@example.com', '+1 202 5550112', 'Annapurna Base Camp Trek', 120, 1, 'Pending', '', 'Dorje Lama')
) as seed (name, email, phone, package, days, guests, status, message, assigned_to)
join public.packages p on p.title = seed.package
where not exists (select from public.bookings b where b.email = seed.email);
-- Nobody is to be told of bookings that nobody made.
delete from public.email_outbox where recipient in ('ada@example.com', 'grace@example.com') and attempts = 0;
