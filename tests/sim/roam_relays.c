#include "tests/sim/roam_relays.h"

#include "daemon/core/stun/message.h"

#define RELAYED	     0x8000u
#define SERVER_SHIFT 12
#define MAX_CHANNELS 2048

/* A channel that an end has asked for. */
struct channel {
	const struct mesh_host *host;
	uint16_t via, number;
	struct netaddr peer;
};

static struct mesh *mesh;
static struct channel channels[MAX_CHANNELS]; /* a ring */
static size_t channel_count;

void roam_relays_begin(struct mesh *m)
{
	mesh = m;
	channel_count = 0;
}

uint16_t roam_relays_via(const struct overlay_event *v)
{
	if (!v->path.relay)
		return v->path.socket;
	return (uint16_t)(RELAYED | (v->relay_server - 1) << SERVER_SHIFT | v->path.socket);
}

uint16_t roam_relays_socket(uint16_t via)
{
	return via & RELAYED ? via & ((1u << SERVER_SHIFT) - 1) : via;
}

/* Return: 0 when @addr is no server. */
static uint16_t via_of(uint16_t socket, const struct netaddr *addr)
{
	for (unsigned int i = 0; i < MESH_MAX_TURN; i++) {
		if (netaddr_equal(&mesh->turn[i].address, addr))
			return (uint16_t)(RELAYED | i << SERVER_SHIFT | socket);
	}
	return 0;
}

static const struct channel *find(const struct mesh_host *h, uint16_t via, uint16_t number)
{
	size_t count = channel_count < MAX_CHANNELS ? channel_count : MAX_CHANNELS;

	/* The newest first. */
	for (size_t i = 1; i <= count; i++) {
		const struct channel *c = &channels[(channel_count - i) % MAX_CHANNELS];

		if (c->host == h && c->via == via && c->number == number)
			return c;
	}
	return NULL;
}

static struct roam_datagram unwrap(const struct mesh_host *h, uint16_t socket,
				   const struct netaddr *addr, const uint8_t *buf, size_t len,
				   uint16_t method)
{
	struct roam_datagram ret = {.via = via_of(socket, addr)};
	const struct channel *c;
	struct stun_message m;

	if (!ret.via)
		return (struct roam_datagram){.via = socket, .peer = *addr, .buf = buf, .len = len};
	if (len > 4 && buf[0] >= 64) {
		c = find(h, ret.via, (uint16_t)(buf[0] << 8 | buf[1]));
		ret.peer = c ? c->peer : ret.peer;
		ret.buf = buf + 4;
		ret.len = c ? (size_t)(buf[2] << 8 | buf[3]) : 0;
	} else if (stun_decode(&m, buf, len) == OK && m.class == STUN_CLASS_INDICATION &&
		   m.method == method) {
		ret.peer = m.xor_peer_address;
		ret.buf = m.data.p;
		ret.len = m.data.len;
	}
	return ret;
}

struct roam_datagram roam_relays_on_sent(const struct mesh_host *h, uint16_t socket,
					 const struct netaddr *to, const uint8_t *buf, size_t len)
{
	uint16_t via = via_of(socket, to);
	struct stun_message m;

	if (via && stun_decode(&m, buf, len) == OK && m.class == STUN_CLASS_REQUEST &&
	    m.method == STUN_METHOD_CHANNEL_BIND)
		channels[channel_count++ % MAX_CHANNELS] =
			(struct channel){.host = h,
					 .via = via,
					 .number = m.channel_number,
					 .peer = m.xor_peer_address};
	return unwrap(h, socket, to, buf, len, STUN_METHOD_SEND);
}

struct roam_datagram roam_relays_on_received(const struct mesh_host *h, uint16_t socket,
					     const struct netaddr *from, const uint8_t *buf,
					     size_t len)
{
	return unwrap(h, socket, from, buf, len, STUN_METHOD_DATA);
}
