-- What was done is added where it stands: two purges at once do not write over each other's counts. Kinds keep the order in
-- which they came.
create function add_evidence_v1(evidence jsonb, more jsonb) returns jsonb language sql immutable as $$
  select coalesce(jsonb_agg(jsonb_build_object('store', store, 'kind', kind, 'count', count) order by place), '[]')
    from (select one->>'store' as store, one->>'kind' as kind, sum((one->>'count')::bigint) as count, min(at) as place
            from jsonb_array_elements(evidence || more) with ordinality as of_both (one, at) group by 1, 2) as summed
$$;
