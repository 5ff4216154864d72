#include "daemon/data/ahead.h"

void ahead_open(const struct data_plane *d, unsigned int worker,
		const struct tunnel_header *headers, struct session **ret, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (headers[i].receiver_index)
			__builtin_prefetch(session_bucket(d, headers[i].receiver_index));
	}
	for (size_t i = 0; i < count; i++) {
		struct session *s = NULL;

		if (headers[i].receiver_index)
			s = session_find(d, headers[i].receiver_index);
		ret[i] = s;
		if (!s)
			continue;
		__builtin_prefetch(&s->workers[worker]);
		tunnel_windows_prefetch(s->windows, &headers[i]);
	}
}

void ahead_seal(const struct data_plane *d, unsigned int worker, const struct netaddr *to,
		struct session **ret, size_t count)
{
	struct routes *routes = atomic_load(&d->routes);
	struct path *paths[AHEAD_SEALS];

	for (size_t i = 0; i < count; i++) {
		uint32_t target = routes ? route_table_lookup(routes->table, &to[i]) : ROUTE_NONE;

		paths[i] = target < d->max_peers ? atomic_load(&d->peers[target].path) : NULL;
		if (!paths[i])
			continue;
		__builtin_prefetch(paths[i]);
		__builtin_prefetch(&paths[i]->to);
	}
	for (size_t i = 0; i < count; i++) {
		ret[i] = paths[i] ? paths[i]->session : NULL;
		if (!ret[i])
			continue;
		__builtin_prefetch(ret[i]);
		__builtin_prefetch(&ret[i]->workers[worker]);
		__builtin_prefetch(&ret[i]->workers[worker].tx_bytes);
	}
}
