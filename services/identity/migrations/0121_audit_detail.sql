-- A code that an audit event's action leaves open: the role that was granted, how much was erased. Never anything personal.
alter table audit_events add column detail text not null default '';
