-- A one-time password is good until then. Null: the member's own, or a first owner's, of which nobody could make another.
alter table members add column password_expires_at timestamptz;
