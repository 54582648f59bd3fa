-- Contacts who said STOP, while the others who have one of their addresses are being opted out, too.
create table opt_out_spreads (
  tenant_id  uuid        not null,
  contact_id contact_id  not null,
  asked_at   timestamptz not null,
  primary key (tenant_id, contact_id)
);
create index opt_out_spreads_asked_at on opt_out_spreads (asked_at);
call protect('opt_out_spreads');
call protect_due('opt_out_spreads', array['tenant_id', 'contact_id', 'asked_at']);
