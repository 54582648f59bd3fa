//! What tests share. Server processes come from `lethe-servers` (libs/servers: Programs, Postgres, Nats, free_port), which `lethe dev` uses too.
