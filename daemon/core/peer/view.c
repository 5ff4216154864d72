#include <string.h>

#include "daemon/core/peer/peer.h"

static void fill_info(const struct peer *p, struct overlay_peer_info *ret)
{
	const struct session *s = p->current;

	*ret = (struct overlay_peer_info){
		.peer = p->number,
		.member = p->member,
		.name = p->name,
		.present = p->present,
		.state = p->state,
		.reason = p->reason,
		.since_us = p->since_us,
		.tx_packets = p->tx_packets,
		.tx_bytes = p->tx_bytes,
		.restart_cause = p->restart.last,
		.restart_us = p->restart.last_us,
		.restarts = p->restart.begun,
		.switches = p->restart.switched,
		.restart_failures = p->restart.failed,
	};
	if (s && s->secret) {
		ret->session = s->local_index;
		ret->cipher = s->cipher;
		ret->has_path = s->has_path && s->shared;
		ret->path = s->path;
		ret->standby_count = s->agent ? ice_agent_get_standby(s->agent, ret->standby) : 0;
		ret->path_bytes = s->has_path && p->mtu.is_known ? p->mtu.pmtu.size : 0;
		ret->sent_us = s->sent_us;
	}
}

bool overlay_next_peer(const struct overlay *o, uint32_t *cursor, struct overlay_peer_info *ret)
{
	while (*cursor < o->peer_limit) {
		const struct peer *p = &o->peers[(*cursor)++];

		if (p->in_use) {
			fill_info(p, ret);
			return true;
		}
	}
	return false;
}

enum err overlay_peer(const struct overlay *o, uint32_t peer, struct overlay_peer_info *ret)
{
	if (peer >= o->peer_limit || !o->peers[peer].in_use)
		return ERR_NOT_FOUND;
	fill_info(&o->peers[peer], ret);
	return OK;
}

enum err overlay_session_keys(struct overlay *o, uint32_t peer, uint32_t session,
			      struct overlay_session_keys *ret)
{
	struct peer *p = directory_get(o, peer);
	const struct session *s = p ? session_of_index(p, session) : NULL;

	if (!s)
		return ERR_NOT_FOUND;
	*ret = (struct overlay_session_keys){
		.local_index = s->local_index,
		.remote_index = s->remote_index,
		.cipher = s->cipher,
		.lanes = s->lanes,
		.features = s->features,
	};
	memcpy(ret->send_key, s->secret->send_key, sizeof(ret->send_key));
	memcpy(ret->receive_key, s->secret->receive_key, sizeof(ret->receive_key));
	return OK;
}

const struct route_table *overlay_routes(const struct overlay *o)
{
	return o->routes;
}

const struct stamp_table *overlay_stamps(const struct overlay *o)
{
	return &o->stamps;
}

const struct drop_counters *overlay_drops(const struct overlay *o)
{
	return &o->drops;
}

const struct drop_counters *overlay_ice_drops(const struct overlay *o)
{
	return ice_engine_drops(o->ice);
}

bool overlay_stun_server_info(const struct overlay *o, size_t i, struct ice_stun_server_info *ret)
{
	return ice_engine_stun_server_info(o->ice, i, ret);
}
