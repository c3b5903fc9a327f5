-- Undoes 20250605000001_baseline_site_tables.sql on a database that it filled. Never on a project that had these tables before.
drop table if exists
  public.destinations, public.gallery, public.testimonials, public.faqs, public.blog_posts,
  public.ticket_messages, public.support_tickets, public.site_settings, public.email_history;
notify pgrst, 'reload schema';
