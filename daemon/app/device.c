/* The TUN device and the data plane on it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/app/internal.h"

#define DEFAULT_MAX_WORKERS 4
/* RFC 8200 s. 5: below this a link has no IPv6. */
#define IP6_MIN_MTU 1280

unsigned int device_workers(const struct app *a)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	/* A queue has one reader. */
	if (!a->offloads.tun_queues)
		return 1;
	if (a->config->workers)
		return a->config->workers;
	return processors < 1			  ? 1
	       : processors > DEFAULT_MAX_WORKERS ? DEFAULT_MAX_WORKERS
						  : (unsigned int)processors;
}

static struct tun_prefix prefix_of(const struct netaddr *a, uint8_t length_bits)
{
	struct tun_prefix p = {
		.family = a->family,
		.length_bits = length_bits,
	};

	memcpy(p.ip, a->ip, netaddr_ip_bytes(a));
	return p;
}

static struct tun_prefix network_of(const struct netprefix *n)
{
	struct netaddr a = {.family = n->family};

	memcpy(a.ip, n->ip, sizeof(a.ip));
	return prefix_of(&a, n->length_bits);
}

enum problem device_check_overlap(struct run *r, char *detail)
{
	const struct cert *own = overlay_own_cert(r->overlay);
	struct tun_overlap overlap;
	char text[NETPREFIX_TEXT_BYTES], why[TUN_WHY_CAP];

	for (size_t i = 0; i < own->network_count; i++) {
		struct tun_prefix p = network_of(&own->networks[i]);
		int n = tun_netcfg_find_overlap(r->netcfg, &p, 0, &overlap, why, sizeof(why));

		if (n < 0) {
			snprintf(detail, APP_DETAIL_BYTES, "%s", why);
			return PROBLEM_INTERNAL;
		}
		if (n > 0) {
			snprintf(detail, APP_DETAIL_BYTES, "%s overlaps %s",
				 netprefix_format(&own->networks[i], text), overlap.text);
			return PROBLEM_ROUTE_OVERLAP;
		}
	}
	return PROBLEM_NONE;
}

static bool wants_header(const struct config_offloads *o)
{
	return o->tun_tcp || o->tun_udp || o->partial_checksums;
}

enum problem device_open(struct run *r, char *detail)
{
	const struct config *c = r->app->config;
	const struct config_offloads *o = &r->app->offloads;
	struct tun_device_params params = {
		.name = c->interface_name,
		.queues = r->workers,
		.want_vnet_hdr = wants_header(o),
		.want_tso = o->tun_tcp,
		.want_uso = o->tun_tcp && o->tun_udp,
	};
	int n = tun_device_open(&params, &r->tun, detail, APP_DETAIL_BYTES);

	if (n == 0)
		return PROBLEM_NONE;
	return n == -ENODEV		     ? PROBLEM_NO_TUN
	       : n == -EPERM || n == -EACCES ? PROBLEM_TUN_PERMISSION
	       : n == -EBUSY		     ? PROBLEM_INTERFACE_EXISTS
					     : PROBLEM_INTERNAL;
}

/* IPv6 is switched off on this host, or not there at all. */
static bool is_without_ip6(int n)
{
	return n == -EACCES || n == -EOPNOTSUPP || n == -EAFNOSUPPORT;
}

static int add_addresses(struct run *r, char *detail)
{
	const struct cert *own = overlay_own_cert(r->overlay);
	const uint32_t mtu = r->app->config->mtu_bytes;
	int n = 0;

	r->has_ip6 = mtu >= IP6_MIN_MTU;
	for (size_t i = 0; n == 0 && i < own->address_count; i++) {
		bool is_ip4 = own->addresses[i].family == NETADDR_IP4;
		struct tun_prefix p = prefix_of(&own->addresses[i], is_ip4 ? 32 : 128);

		if (!is_ip4 && mtu < IP6_MIN_MTU)
			log_info("tun.no_ipv6", "mtu=%u least=%d", mtu, IP6_MIN_MTU);
		if (!is_ip4 && !r->has_ip6)
			continue;
		n = tun_netcfg_add_address(r->netcfg, tun_device_ifindex(r->tun), &p, detail,
					   APP_DETAIL_BYTES);
		if (is_ip4 || !is_without_ip6(n))
			continue;
		log_warning("tun.no_ipv6", "why=%s", log_quote(detail).text);
		r->has_ip6 = false;
		n = 0;
	}
	return n;
}

static int add_routes(struct run *r, char *detail)
{
	const struct cert *own = overlay_own_cert(r->overlay);
	int n = 0;

	for (size_t i = 0; n == 0 && i < own->network_count; i++) {
		struct tun_prefix p = network_of(&own->networks[i]);

		if (own->networks[i].family == NETADDR_IP4 || r->has_ip6)
			n = tun_netcfg_add_route(r->netcfg, tun_device_ifindex(r->tun), &p, detail,
						 APP_DETAIL_BYTES);
	}
	return n;
}

enum problem device_configure(struct run *r, char *detail)
{
	int ifindex = tun_device_ifindex(r->tun);
	int n = tun_netcfg_set_no_autoconf(r->netcfg, ifindex, detail, APP_DETAIL_BYTES);

	if (n == 0)
		n = tun_netcfg_set_mtu(r->netcfg, ifindex, r->app->config->mtu_bytes, detail,
				       APP_DETAIL_BYTES);
	if (n == 0)
		n = tun_netcfg_set_up(r->netcfg, ifindex, true, detail, APP_DETAIL_BYTES);
	if (n == 0)
		n = add_addresses(r, detail);
	if (n == 0)
		n = add_routes(r, detail);
	return n == 0 ? PROBLEM_NONE : n == -EPERM ? PROBLEM_TUN_PERMISSION : PROBLEM_INTERNAL;
}

/* Of what is wanted, what the device does. */
static struct data_offloads data_offloads(const struct run *r)
{
	const struct config_offloads *wanted = &r->app->offloads;
	struct tun_device_offloads tun = tun_device_offloads(r->tun);

	return (struct data_offloads){
		.vnet_header = tun.vnet_hdr,
		.tun_tcp = tun.tso,
		.tun_udp = tun.uso,
		.udp_segment = wanted->udp_segment,
		.udp_gro = wanted->udp_gro,
		.partial = wanted->partial_checksums,
	};
}

void device_set_offloads(struct run *r)
{
	const struct config_offloads *wanted = &r->app->offloads;
	struct data_offloads o;

	tun_device_set_offloads(r->tun, wanted->tun_tcp, wanted->tun_udp);
	o = data_offloads(r);
	data_plane_set_offloads(r->data, &o);
}

enum problem device_start_data(struct run *r, char *detail)
{
	struct data_params params = {
		.workers = tun_device_queues(r->tun),
		.max_peers = APP_MAX_PEERS,
		.max_sessions = 6 * APP_MAX_PEERS,
		.ring_bytes = 256 * 1024,
		.offloads = data_offloads(r),
	};
	enum err e;

	for (unsigned int i = 0; i < params.workers; i++)
		params.tun_fds[i] = tun_device_fd(r->tun, i);
	e = data_plane_create(&r->data, &params);
	if (e == OK)
		e = data_plane_set_routes(r->data, overlay_routes(r->overlay));
	if (e == OK)
		return PROBLEM_NONE;
	snprintf(detail, APP_DETAIL_BYTES, "%s", err_text(e));
	return PROBLEM_INTERNAL;
}
