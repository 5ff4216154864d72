#include "tests/sim/roam_rules.h"

#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/tunnel/packet.h"

#define MAX_PAIRS    512
#define MAX_REQUESTS 1024
#define MAX_NAMES    1024
#define MAX_SESSIONS 1024
#define MAX_PACKETS  (1 << 16)
#define SEALED_SLOTS (1 << 17)
/* Consent lapses after 30 s without an answer; 60 s without use make a peer idle. */
#define RECOVERY_US (35 * US_PER_S)
#define AWAKE_US    (60 * US_PER_S)

struct pair {
	uint16_t via; /* roam_relays.h */
	struct netaddr remote;
	uint64_t born_us; /* the latest user name that was answered was first seen then */
};

struct request {
	uint8_t txid[STUN_TXID_BYTES];
	uint16_t via;
	struct netaddr to;
	uint64_t born_us;
};

struct sealed {
	uint64_t id, digest; /* 0 = free */
	bool delivered;
};

struct end {
	struct pair pairs[MAX_PAIRS];
	size_t pair_count;
	struct request requests[MAX_REQUESTS]; /* a ring */
	size_t request_count;
	struct {
		uint64_t hash, first_us;
	} names[MAX_NAMES];
	size_t name_count;
	uint32_t heard[MAX_SESSIONS]; /* sessions */
	size_t heard_count;
	uint64_t keys[MAX_SESSIONS]; /* to send with */
	size_t key_count;
	struct sealed sealed[SEALED_SLOTS];
	size_t sealed_count;
	uint8_t arrived[MAX_PACKETS];
	uint64_t begun_us; /* the last restart */
	uint32_t generation;
	uint64_t broken_us; /* the path was last seen dead */
};

static struct end ends[2];
static struct mesh *mesh;
static uint64_t used_us, fault_us;
static const char *fault;
static struct roam_rules_counts counts;

static void fail(const char *text)
{
	if (fault)
		return;
	fault = text;
	fault_us = mesh->now_us;
}

static size_t number_of(const struct mesh_host *h)
{
	return (size_t)(h - mesh->hosts);
}

/* FNV-1a; never 0. */
static uint64_t hash(uint64_t start, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint64_t h = start ^ 14695981039346656037ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 1099511628211ULL;
	return h ? h : 1;
}

/* --- pairs --- */

static struct pair *find_pair(struct end *e, uint16_t via, const struct netaddr *remote)
{
	for (size_t i = 0; i < e->pair_count; i++) {
		if (e->pairs[i].via == via && netaddr_equal(&e->pairs[i].remote, remote))
			return &e->pairs[i];
	}
	return NULL;
}

static uint64_t first_seen(struct end *e, const struct stun_bytes *name)
{
	uint64_t h = hash(0, name->p, name->len);

	for (size_t i = 0; i < e->name_count; i++) {
		if (e->names[i].hash == h)
			return e->names[i].first_us;
	}
	if (e->name_count == MAX_NAMES) {
		fail("there are too many user names to watch");
		return 0;
	}
	e->names[e->name_count].hash = h;
	e->names[e->name_count++].first_us = mesh->now_us;
	return mesh->now_us;
}

static void on_request(struct end *e, const struct roam_datagram *d, const struct stun_message *m)
{
	struct request *r = &e->requests[e->request_count++ % MAX_REQUESTS];

	*r = (struct request){.via = d->via, .to = d->peer, .born_us = first_seen(e, &m->username)};
	memcpy(r->txid, m->txid, sizeof(r->txid));
}

static void on_response(struct end *e, const struct roam_datagram *d, const struct stun_message *m)
{
	struct pair *p = find_pair(e, d->via, &d->peer);

	for (size_t i = 0; i < MAX_REQUESTS; i++) {
		const struct request *r = &e->requests[i];

		if (memcmp(r->txid, m->txid, sizeof(r->txid)) != 0 || r->via != d->via ||
		    !netaddr_equal(&r->to, &d->peer))
			continue;
		if (!p && e->pair_count == MAX_PAIRS) {
			fail("there are too many pairs to watch");
			return;
		}
		if (!p) {
			p = &e->pairs[e->pair_count++];
			*p = (struct pair){.via = d->via, .remote = d->peer};
		}
		if (r->born_us > p->born_us)
			p->born_us = r->born_us;
		return;
	}
}

/* A number may come to a further address, another one than before. */
static void forget_pairs(struct end *e, uint16_t socket)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->pair_count; i++) {
		if (roam_relays_socket(e->pairs[i].via) != socket)
			e->pairs[kept++] = e->pairs[i];
	}
	e->pair_count = kept;
}

/* --- what is sealed --- */

static struct sealed *find_sealed(struct end *e, uint64_t id)
{
	size_t at = id % SEALED_SLOTS;

	while (e->sealed[at].id && e->sealed[at].id != id)
		at = (at + 1) % SEALED_SLOTS;
	return &e->sealed[at];
}

static uint64_t sealed_id(const struct tunnel_header *h)
{
	return hash(hash(0, &h->receiver_index, sizeof(h->receiver_index)), &h->counter,
		    sizeof(h->counter));
}

static void on_sealed(struct end *e, const uint8_t *buf, size_t len)
{
	struct tunnel_header header;
	struct sealed *s;

	if (tunnel_header_read(buf, len, &header) != OK)
		return;
	s = find_sealed(e, sealed_id(&header));
	counts.sealed++;
	if (s->id) {
		if (s->digest != hash(1, buf, len))
			fail("nonce: two texts under one counter");
		return;
	}
	if (++e->sealed_count > SEALED_SLOTS / 2)
		fail("too much is sealed to watch");
	else
		*s = (struct sealed){.id = sealed_id(&header), .digest = hash(1, buf, len)};
}

static void on_sent(struct mesh_host *h, uint16_t socket, const struct netaddr *to,
		    const uint8_t *buf, size_t len)
{
	struct roam_datagram d = roam_relays_on_sent(h, socket, to, buf, len);
	struct end *e = &ends[number_of(h)];
	struct stun_message m;

	if (d.len > 0 && d.buf[0] >= TUNNEL_TYPE_MIN) {
		if (!find_pair(e, d.via, &d.peer))
			fail("pair: sealed data over a pair that is not validated");
		counts.relayed += d.via != socket;
		on_sealed(e, d.buf, d.len);
	} else if (d.len > 0 && stun_decode(&m, d.buf, d.len) == OK &&
		   m.class == STUN_CLASS_REQUEST) {
		on_request(e, &d, &m);
	}
}

static void on_received(struct mesh_host *h, uint16_t socket, const struct netaddr *from,
			const uint8_t *buf, size_t len)
{
	struct roam_datagram d = roam_relays_on_received(h, socket, from, buf, len);
	struct stun_message m;

	if (d.len > 0 && d.buf[0] < 4 && stun_decode(&m, d.buf, d.len) == OK &&
	    m.class == STUN_CLASS_SUCCESS)
		on_response(&ends[number_of(h)], &d, &m);
}

static bool is_heard(const struct end *e, uint32_t session)
{
	for (size_t i = 0; i < e->heard_count; i++) {
		if (e->heard[i] == session)
			return true;
	}
	return false;
}

static void on_tun_packet(struct end *e, const uint8_t *plain)
{
	uint64_t sequence = 0;

	for (size_t i = 0; i < 8; i++)
		sequence = sequence << 8 | plain[20 + i];
	counts.packets++;
	if (sequence >= MAX_PACKETS)
		fail("there are too many packets to watch");
	else if (e->arrived[sequence]++)
		fail("once: a packet arrived twice");
}

static void on_opened(struct mesh_host *h, uint32_t session, bool over_path, const uint8_t *buf,
		      size_t len, const uint8_t *plain, size_t plain_len)
{
	struct end *e = &ends[number_of(h)];
	struct tunnel_header header;
	struct sealed *s;

	if (!over_path || tunnel_header_read(buf, len, &header) != OK)
		return;
	s = find_sealed(&ends[1 - number_of(h)], sealed_id(&header));
	counts.opened++;
	if (s->id && !s->delivered && !plain)
		fail("deliver: a sealed datagram does not open");
	s->delivered = s->id != 0;
	if (!plain)
		return;
	if (!is_heard(e, session) && e->heard_count < MAX_SESSIONS)
		e->heard[e->heard_count++] = session;
	if (plain_len >= 28 && plain[0] >> 4 == 4)
		on_tun_packet(e, plain);
}

/* --- what the overlay tells the data plane --- */

/* The network would carry what goes over the path of @h, and has for long enough. What a relay
 * would do is not asked. */
static bool lives(struct mesh_host *h)
{
	const struct end *e = &ends[number_of(h)];
	uint64_t now_us = mesh->now_us;

	return h->has_path && !h->path.relay && is_heard(e, h->path_session) &&
	       mesh_is_alive(h, h->path.socket, &h->path.remote) &&
	       (!e->broken_us || now_us > e->broken_us + RECOVERY_US) &&
	       now_us < used_us + AWAKE_US;
}

static void on_path(struct mesh_host *h, const struct overlay_event *v)
{
	struct end *e = &ends[number_of(h)];
	const struct pair *p = find_pair(e, roam_relays_via(v), &v->path.remote);

	if (!p) {
		fail("pair: the data plane is told of a pair that is not validated");
		return;
	}
	if (v->path.generation > e->generation && p->born_us < e->begun_us)
		fail("pair: it was not validated after the restart");
	/* Where only the keys change, the answer to the renewal was the proof that the peer has
	 * them. */
	if (h->has_path && v->session != h->path_session &&
	    (v->path.generation != e->generation || v->path.socket != h->path.socket ||
	     !netaddr_equal(&v->path.remote, &h->path.remote))) {
		counts.switches++;
		if (!is_heard(e, v->session))
			fail("make: nothing has come with the keys that take over");
	}
	if (!h->has_path || h->path.socket != v->path.socket ||
	    !netaddr_equal(&h->path.remote, &v->path.remote))
		e->broken_us = 0;
	e->generation = v->path.generation;
}

static void on_keys(struct mesh_host *h, const struct overlay_event *v)
{
	struct end *e = &ends[number_of(h)];
	struct overlay_session_keys keys;
	uint64_t digest;

	if (overlay_session_keys(h->overlay, v->peer, v->session, &keys) != OK)
		return;
	digest = hash(2, keys.send_key, sizeof(keys.send_key));
	secret_wipe(&keys, sizeof(keys));
	counts.keys++;
	for (size_t i = 0; i < e->key_count; i++) {
		if (e->keys[i] == digest)
			fail("nonce: a key is given out twice");
	}
	if (e->key_count == MAX_SESSIONS) {
		fail("there are too many keys to watch");
		return;
	}
	e->keys[e->key_count++] = digest;
}

static void on_event(struct mesh_host *h, const struct overlay_event *v)
{
	if (v->type == OVERLAY_EVENT_PATH) {
		on_path(h, v);
	} else if (v->type == OVERLAY_EVENT_PATH_CLEAR) {
		counts.clears++;
		if (lives(h))
			fail("break: a path that lives is given up");
	} else if (v->type == OVERLAY_EVENT_SESSION_REMOVE) {
		if (v->session == h->path_session && lives(h))
			fail("break: the keys of a path that lives are given up");
	} else if (v->type == OVERLAY_EVENT_SESSION_ADD) {
		on_keys(h, v);
	} else if (v->type == OVERLAY_EVENT_RESTART && v->restart_step == OVERLAY_RESTART_BEGUN) {
		ends[number_of(h)].begun_us = mesh->now_us;
	}
}

/* The path of @h goes over @socket, and a pair stands by that does not. */
static bool stands_by(const struct mesh_host *h, uint16_t socket)
{
	struct overlay_peer_info info;

	if (overlay_peer(h->overlay, 0, &info) != OK || !info.has_path ||
	    info.path.socket != socket)
		return false;
	for (size_t i = 0; i < info.standby_count; i++) {
		if (info.standby[i].socket != socket)
			return true;
	}
	return false;
}

/* --- for the test --- */

void roam_rules_remove_socket(size_t i, uint16_t number)
{
	struct mesh_host *h = &mesh->hosts[i];
	bool stood_by = stands_by(h, number);
	struct overlay_peer_info info;

	mesh_remove_socket(h, number);
	counts.stood_by += stood_by;
	if (stood_by && (overlay_peer(h->overlay, 0, &info) != OK || !info.has_path))
		fail("standby: what stood by does not carry the data");
}

void roam_rules_begin(struct mesh *m)
{
	static const struct mesh_watch watch = {
		.sent = on_sent, .received = on_received, .opened = on_opened, .event = on_event};

	memset(ends, 0, sizeof(ends));
	counts = (struct roam_rules_counts){0};
	fault = NULL;
	mesh = m;
	roam_relays_begin(m);
	used_us = m->now_us;
	m->watch = &watch;
}

void roam_rules_look(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct mesh_host *h = &mesh->hosts[i];

		if (h->has_path && !mesh_is_alive(h, h->path.socket, &h->path.remote))
			ends[i].broken_us = mesh->now_us;
		/* Numbers of sockets are given again. */
		for (uint16_t k = 0; k < MESH_MAX_MOVES; k++) {
			if (h->further[k].family == NETADDR_NONE)
				forget_pairs(&ends[i], (uint16_t)(MESH_FIRST_MOVE + k));
		}
	}
}

void roam_rules_on_use(void)
{
	used_us = mesh->now_us;
}

const char *roam_rules_fault(uint64_t *ret_us)
{
	*ret_us = fault_us;
	return fault;
}

struct roam_rules_counts roam_rules_counts(void)
{
	return counts;
}

bool roam_rules_has_arrived(size_t to, uint64_t sequence)
{
	return sequence < MAX_PACKETS && ends[to].arrived[sequence] > 0;
}
