-- A fence goes up in one transaction, and its census is frozen in the next: how long nobody can read any more depends on nobody's
-- number of messages.
alter table fences alter column census drop not null, alter column census_digest drop not null, alter column tallies drop not null,
  add constraint fences_frozen check (num_nonnulls(census, census_digest, tallies) in (0, 3));
