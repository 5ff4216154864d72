#include "tests/support/mesh_internal.h"

#include <stdlib.h>
#include <string.h>

static void answer(struct mesh_host *to, const struct signal_message *message)
{
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	size_t len;

	if (signal_message_encode(message, buf, sizeof(buf), &len) == OK)
		mesh_fly(to->mesh, to, true, NULL, NULL, buf, len);
}

static struct mesh_host *host_of(struct mesh *m, const char *name, const struct netaddr *address)
{
	for (size_t i = 0; i < m->host_count; i++) {
		if (strcmp(m->hosts[i].name, name) == 0 ||
		    (!name[0] && netaddr_ip_equal(&m->hosts[i].address, address)))
			return &m->hosts[i];
	}
	return NULL;
}

static void challenge(struct mesh_host *h)
{
	struct signal_message c = {.type = SIGNAL_CHALLENGE, .server_time_s = 1, .nonce = {1}};

	answer(h, &c);
}

static void forward(struct mesh_host *from, const struct signal_message *in)
{
	struct mesh_host *to = host_of(from->mesh, in->to, NULL);
	struct signal_message out = *in;

	out.type = SIGNAL_DELIVER;
	memcpy(out.from, from->name, strlen(from->name) + 1);
	if (to && to->is_registered) {
		answer(to, &out);
		out = (struct signal_message){.type = SIGNAL_ACK};
	} else {
		out = (struct signal_message){.type = SIGNAL_ERROR, .code = SIGNAL_ERROR_ABSENT};
	}
	memcpy(out.xid, in->xid, sizeof(out.xid));
	answer(from, &out);
}

void mesh_on_frame(struct mesh_host *from, const uint8_t *buf, size_t len)
{
	struct mesh *m = from->mesh;
	struct signal_message in, out = {0};
	struct mesh_host *found;

	if (signal_message_decode(buf, len, &in) != OK)
		abort();
	if (m->filter_frame && !m->filter_frame(m, from, &in))
		return;
	memcpy(out.xid, in.xid, sizeof(out.xid));
	if (in.type == SIGNAL_REGISTER) {
		from->is_registered = true;
		out = (struct signal_message){
			.type = SIGNAL_REGISTERED, .lease_ms = 75000, .ping_ms = 20000};
		answer(from, &out);
	} else if (!from->is_registered) {
		challenge(from);
	} else if (in.type == SIGNAL_PING) {
		out = (struct signal_message){.type = SIGNAL_PONG, .seq = in.seq};
		answer(from, &out);
	} else if (in.type == SIGNAL_LOOKUP) {
		found = host_of(m, in.name, &in.address);
		out.type = found ? SIGNAL_FOUND : SIGNAL_ERROR;
		out.code = found ? SIGNAL_ERROR_OTHER : SIGNAL_ERROR_UNKNOWN;
		out.certificate = found ? found->certificate : NULL;
		out.certificate_len = found ? found->certificate_len : 0;
		out.online = found && found->is_registered;
		answer(from, &out);
	} else if (in.type == SIGNAL_FORWARD) {
		forward(from, &in);
	}
}
