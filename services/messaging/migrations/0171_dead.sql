-- What census_v3 took the place of.
drop function census_v1;
drop function census_v2;
