#include "tests/support/mesh_internal.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"

struct mesh_message *mesh_fly_raw(struct mesh *m, uint64_t delay_us, const uint8_t *buf, size_t len)
{
	struct mesh_message *f = calloc(1, sizeof(*f));
	struct mesh_message **at = &m->flying;

	f->at_us = m->now_us + delay_us;
	f->len = len;
	if (len)
		memcpy(f->buf, buf, len);
	while (*at && (*at)->at_us <= f->at_us)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
	return f;
}

void mesh_fly_after(struct mesh *m, uint64_t delay_us, struct mesh_host *to, bool is_frame,
		    const struct netaddr *from, const struct netaddr *dest, const uint8_t *buf,
		    size_t len)
{
	struct mesh_message *f = mesh_fly_raw(m, delay_us, buf, len);

	f->to = to;
	f->is_frame = is_frame;
	if (from)
		f->from = *from;
	if (dest)
		f->dest = *dest;
}

/* Return: below @limit; 0 without asking when that is 0. */
static uint64_t chance(struct mesh *m, uint64_t limit)
{
	struct random_source random = random_seeded_source(&m->seed);
	uint32_t n = 0;

	if (limit == 0)
		return 0;
	random_bytes(&random, (uint8_t *)&n, sizeof(n));
	return n % limit;
}

void mesh_fly(struct mesh *m, struct mesh_host *to, bool is_frame, const struct netaddr *from,
	      const struct netaddr *dest, const uint8_t *buf, size_t len)
{
	uint64_t jitter_us = is_frame ? m->frame_jitter_us : m->jitter_us;

	mesh_fly_after(m, MESH_DELAY_US + chance(m, jitter_us), to, is_frame, from, dest, buf, len);
}

/* --- addresses --- */

struct netaddr mesh_stun_server(void)
{
	static const uint8_t ip[4] = {203, 0, 113, 1};

	return netaddr_from_ip4(ip, 3478);
}

/* How the others see socket @number of @h. */
struct netaddr mesh_outside(const struct mesh_host *h, uint16_t number)
{
	uint8_t ip[4] = {198, 51, 100, h->socket.ip[3]};
	struct netaddr a = h->mesh->nat ? netaddr_from_ip4(ip, 0) : h->socket;

	if (number >= MESH_FIRST_MOVE)
		return h->further[number - MESH_FIRST_MOVE];
	if (h->first_is_gone)
		return (struct netaddr){0};
	a.port = (uint16_t)(h->socket.port + number - 1);
	return a;
}

/* Return: the number of the socket of @h that others see at @addr, or 0. */
uint16_t mesh_socket_at(const struct mesh_host *h, const struct netaddr *addr)
{
	struct netaddr at = mesh_outside(h, 1);

	if (netaddr_ip_equal(&at, addr) && addr->port >= at.port &&
	    addr->port < at.port + h->next_socket)
		return (uint16_t)(addr->port - at.port + 1);
	for (uint16_t i = 0; i < MESH_MAX_MOVES; i++) {
		if (netaddr_equal(&h->further[i], addr))
			return (uint16_t)(MESH_FIRST_MOVE + i);
	}
	return 0;
}

struct mesh_host *mesh_host_at(struct mesh *m, const struct netaddr *addr)
{
	for (size_t i = 0; i < m->host_count; i++) {
		if (mesh_socket_at(&m->hosts[i], addr))
			return &m->hosts[i];
	}
	return NULL;
}

uint16_t mesh_add_address(struct mesh_host *h, const struct netaddr *address, uint16_t preference)
{
	for (uint16_t i = 0; i < MESH_MAX_MOVES; i++) {
		uint16_t number = (uint16_t)(MESH_FIRST_MOVE + i);

		if (h->further[i].family != NETADDR_NONE)
			continue;
		h->further[i] = *address;
		h->further[i].port = h->mesh->next_port++;
		if (overlay_add_socket(h->overlay, h->mesh->now_us, number, &h->further[i],
				       preference) != OK)
			abort();
		return number;
	}
	abort();
}

void mesh_remove_socket(struct mesh_host *h, uint16_t number)
{
	if (number >= MESH_FIRST_MOVE)
		h->further[number - MESH_FIRST_MOVE] = (struct netaddr){0};
	else
		h->first_is_gone = true;
	overlay_remove_socket(h->overlay, h->mesh->now_us, number);
}

bool mesh_is_alive(struct mesh_host *h, uint16_t socket, const struct netaddr *to)
{
	struct mesh *m = h->mesh;
	struct netaddr own = mesh_outside(h, socket);
	struct mesh_host *target = mesh_host_at(m, to);

	return own.family != NETADDR_NONE && target && target != h && !m->direct_blocked &&
	       mesh_outside(target, mesh_socket_at(target, to)).family != NETADDR_NONE &&
	       !netaddr_equal(to, &m->dead) && !netaddr_equal(&own, &m->dead);
}

static void answer_stun(struct mesh_host *h, const struct netaddr *mapped, const uint8_t *buf,
			size_t len)
{
	struct netaddr server = mesh_stun_server();
	uint8_t out[ICE_TRANSMIT_MAX_BYTES];
	struct stun_message m;
	struct stun_writer w;
	size_t out_len;

	if (stun_decode(&m, buf, len) != OK)
		return;
	stun_write_begin(&w, out, sizeof(out), STUN_CLASS_SUCCESS, STUN_METHOD_BINDING, m.txid);
	stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, mapped);
	if (stun_write_finish(&w, NULL, 0, true, &out_len) == OK)
		mesh_fly_after(h->mesh, h->mesh->stun_delay_us, h, false, &server, mapped, out,
			       out_len);
}

/* --- datagrams --- */

void mesh_send_datagram(struct mesh_host *h, uint16_t socket, const struct netaddr *to,
			const uint8_t *buf, size_t len)
{
	struct netaddr from = mesh_outside(h, socket), server = mesh_stun_server();
	struct mesh *m = h->mesh;
	struct mesh_host *target = mesh_host_at(m, to);
	struct mesh_message *f;

	if (m->watch && m->watch->sent)
		m->watch->sent(h, socket, to, buf, len);
	if (from.family == NETADDR_NONE || netaddr_equal(to, &m->dead))
		return;
	if (h->udp_blocked || (m->filter_datagram && !m->filter_datagram(m, h, buf, len)))
		return;
	if (m->nat && netaddr_equal(to, &server))
		answer_stun(h, &from, buf, len);
	for (int copies = 1 + (chance(m, m->twice_permille ? 1000 : 0) < m->twice_permille);
	     copies > 0 && target && !m->direct_blocked && !target->udp_blocked; copies--)
		mesh_fly(m, target, false, &from, to, buf, len);
	if (mesh_turn_at(m, to)) {
		f = mesh_fly_raw(m, MESH_DELAY_US, buf, len);
		f->turn = mesh_turn_at(m, to);
		f->from = from;
		f->dest = *to;
	}
}
